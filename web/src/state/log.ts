// A job's log as it grows: read once to see whether one may, then followed, resumed where it broke off. Kept short on purpose.
import { signal, type Signal } from "@preact/signals";
import { ask, pathOf, Problem } from "../api/read";
import { logText } from "../logic/names";

export interface LogKept {
  text: string;
  /** Lines that were dropped from the front, so that numbers stay true. */
  dropped: number;
  state: "opening" | "following" | "over" | "refused" | "lost";
  problem: Problem | undefined;
}

const MOST_LETTERS = 400_000;

/** A log with more text behind it; from the front go whole lines when it is too long. */
export function grown(kept: LogKept, more: string): LogKept {
  const text = kept.text + more;
  if (text.length <= MOST_LETTERS) return { ...kept, text };
  const cut = text.indexOf("\n", text.length - MOST_LETTERS) + 1;
  const gone = text.slice(0, cut);
  return { ...kept, text: text.slice(cut), dropped: kept.dropped + (gone.match(/\n/g)?.length ?? 0) };
}

export function followLog(lease: string, share: string | undefined): { log: Signal<LogKept>; stop: () => void } {
  const log = signal<LogKept>({ text: "", dropped: 0, state: "opening", problem: undefined });
  let source: EventSource | undefined;
  let isOver = false;
  const query: Record<string, string> = share ? { share } : {};
  const path = pathOf("/v1/leases/{lease}/logs", { path: { lease }, query: { follow: "false", ...query } });
  ask(path, { headers: { Accept: "text/plain" } }).then(async (answer) => {
    const next = answer.headers.get("bourse-log-next") ?? "0";
    log.value = { ...grown(log.value, logText(await answer.text())), state: "following" };
    if (!isOver) source = follow(lease, next, query, log);
  }, (error: unknown) => {
    log.value = { ...log.value, state: "refused", problem: error instanceof Problem ? error : undefined };
  });
  return { log, stop: () => { isOver = true; source?.close(); } };
}

function follow(lease: string, offset: string, query: Record<string, string>, log: Signal<LogKept>): EventSource {
  const source = new EventSource(pathOf("/v1/leases/{lease}/logs", { path: { lease }, query: { offset, ...query } }));
  let waiting = "";
  let isDue = false;
  const commit = () => {
    isDue = false;
    log.value = { ...grown(log.value, logText(waiting)), state: log.value.state };
    waiting = "";
  };
  source.addEventListener("log", (event) => {
    waiting = (waiting + String((JSON.parse(event.data) as { text?: unknown }).text ?? "")).slice(-MOST_LETTERS);
    if (isDue) return;
    isDue = true;
    setTimeout(commit, 250);
  });
  source.addEventListener("end", () => {
    source.close();
    setTimeout(() => (log.value = { ...log.value, state: "over" }), 300);
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED && log.value.state === "following") log.value = { ...log.value, state: "lost" };
  };
  source.onopen = () => {
    if (log.value.state === "lost") log.value = { ...log.value, state: "following" };
  };
  return source;
}
