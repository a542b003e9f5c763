// Dialogs: what the keys are, and (in a chunk of its own) what one is about to sign.
import { useEffect, useRef, useState } from "preact/hooks";
import { closeDialog, dialog } from "../state/dialog";
import { areKeysOff, turnKeys } from "./keys";
import { OrderPreview } from "./order_preview";
import { Boundary } from "./panel";

export function Dialogs() {
  const place = useRef<HTMLDialogElement>(null);
  const shown = dialog.value;
  useEffect(() => {
    if (shown && !place.current?.open) place.current?.showModal();
    if (!shown) place.current?.close();
  }, [shown]);
  if (!shown) return null;
  return (
    <dialog ref={place} onClose={closeDialog} aria-labelledby="dialog-title">
      <Boundary what="This"><>{shown.kind === "keys" ? <Keys /> : <OrderPreview draft={shown} />}</></Boundary>
      <p class="acts"><button type="button" class="btn ghost" onClick={closeDialog}>Close</button></p>
    </dialog>
  );
}

const ALL: [string, string][] = [
  ["/", "find"], ["g m · g j · g a · g p · g r · g n", "market, jobs, account, providers, rounds, network"], ["j k", "next, earlier row; Enter opens it"], ["o", "an order"],
  ["l · f", "log · follow"], ["v", "chart as a table"], ["c · y", "copy command · copy id"], ["d w e", "deposit, withdraw, end a lease: puts the focus there"], ["t", "light or dark"], ["Esc", "back"],
];

function Keys() {
  const [isOff, turn] = useState(areKeysOff());
  return (
    <>
      <h2 id="dialog-title">Keys</h2>
      <dl class="words">{ALL.map(([key, name]) => <><dt><kbd>{key}</kbd></dt><dd>{name}</dd></>)}</dl>
      <p class="cap lead">No single key sends or signs anything.</p>
      <label class="field">Keys are on<input type="checkbox" checked={!isOff} onChange={() => { turnKeys(!isOff); turn(!isOff); }} /></label>
    </>
  );
}
