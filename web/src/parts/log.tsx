// The log as text: line numbers, follow, nothing of it is markup or moves a cursor.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { followLog } from "../state/log";
import { plural } from "../logic/names";
import { wallet } from "../state/wallet";
import { Panel, ProblemNote } from "./panel";
import { Command } from "./words";

const MOST_SHOWN = 500;

export function Log({ lease, share, isSealed }: { lease: string; share: string | undefined; isSealed: boolean }) {
  if (isSealed) return <Panel title="Log"><p class="empty">The log of a sealed job is sealed to its client’s key, and nothing of it is streamed. When the job is over, the command opens it.</p><Command words={`bourse logs ${lease}`} /></Panel>;
  return <OpenLog lease={lease} share={share} />;
}

function OpenLog({ lease, share }: { lease: string; share: string | undefined }) {
  const read = useMemo(() => followLog(lease, share), [lease, share, wallet.value.signedInUntil]);
  useEffect(() => read.stop, [read]);
  const [isFollowing, follow] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  const { text, dropped, state, problem } = read.log.value;
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  const first = Math.max(0, lines.length - MOST_SHOWN);
  useEffect(() => {
    if (isFollowing && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text, isFollowing]);
  const said = { opening: "opening", following: "following", over: "complete", refused: "not for everybody", lost: "ends here for now" }[state];
  return (
    <section aria-label="Log">
      <div class="hd">
        <h2>Log <small>{state === "refused" ? said : `${plural(lines.length + dropped, "line")}, ${said}`}</small></h2>
        {state === "refused" ? null : <button type="button" class="u cap" data-key="f" aria-pressed={isFollowing} onClick={() => follow(!isFollowing)}>{isFollowing ? "following" : "follow"}</button>}
      </div>
      {state === "refused" ? <ProblemNote problem={problem} /> : (
        <div ref={box} class="log mono" id="log" tabIndex={0} role="log" aria-live="off" aria-label="Log of the job">
          {first + dropped > 0 ? <div class="ink3">{first + dropped} earlier lines</div> : null}
          {lines.slice(first).map((line, at) => <div key={first + dropped + at}><span class="ln" aria-hidden="true">{first + dropped + at + 1}</span><span>{line}</span></div>)}
          {lines.length ? null : <div class="ink3">Nothing was written yet.</div>}
        </div>
      )}
    </section>
  );
}
