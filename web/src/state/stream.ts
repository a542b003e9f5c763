// The one stream of the market's events, resumed where it broke off; and a look at the head where no event says it.
import { startOver } from "./answers";
import { forgetHead, head, heard, noteReplaced, now, patienceSeconds, stream, turn } from "./head";
import type { Block } from "../api/kinds";
import { json } from "../api/read";

const WAITS_SECONDS = [1, 2, 4, 8, 15];
const LOOK_MS = 1_000;

let source: EventSource | undefined;
let failures = 0;
let lastId = "";
let retry = 0;
let headsCome = false;
let nudge = 0;
let openedAt = 0;

export function openStream(): void {
  clearTimeout(retry);
  source?.close();
  openedAt = now();
  const opened = (source = new EventSource(`/v1/events?live=true${lastId ? `&after=${encodeURIComponent(lastId)}` : ""}`));
  opened.onopen = () => {
    failures = 0;
    stream.value = { state: "open", nextTryAt: 0 };
    turn.value += 1;
  };
  opened.onerror = () => {
    if (source === opened) lose();
  };
  listen(opened);
}

/** Breaks it off, and comes back by itself: after 1, 2, 4, 8, 15, 15 … seconds. */
function lose(): void {
  source?.close();
  source = undefined;
  const wait = WAITS_SECONDS[Math.min(failures++, WAITS_SECONDS.length - 1)] ?? 15;
  stream.value = { state: "cut", nextTryAt: now() + wait * 1000 };
  clearTimeout(retry);
  retry = window.setTimeout(openStream, wait * 1000);
}

const NAMES = [
  "LeaseOpened", "LeaseSettled", "LeaseClaimed", "LeaseFinalized", "LeaseTerminated", "LeaseDeclined", "LeaseExpired", "LeaseDisputed",
  "LeaseRuled", "LeaseLapsed", "LeaseAssigned", "OfferListed", "OfferRepriced", "OrderCancelled", "Deposited", "Withdrawn", "Authorized",
];

function listen(opened: EventSource): void {
  for (const name of NAMES) {
    opened.addEventListener(name, (event) => {
      lastId = event.lastEventId || lastId;
      changed();
    });
  }
  opened.addEventListener("head", (event) => {
    headsCome = true;
    const told = parsed<Block & { lag: number }>(event.data);
    if (told) heard(told);
  });
  opened.addEventListener("reorg", (event) => {
    const told = parsed<{ from: { number: number; hash: string }; to: { number: number; hash: string } }>(event.data);
    if (told) noteReplaced(told.to.number + 1, told.from.number);
    forgetHead();
    startOver();
  });
  for (const name of ["book", "offer", "heartbeat"]) opened.addEventListener(name, changed);
}

/** However many changes come, what is shown is asked for again once for all of them: at most four times a second, and not where nobody looks. */
function changed(): void {
  if (nudge) return;
  nudge = window.setTimeout(() => requestAnimationFrame(() => {
    nudge = 0;
    turn.value += 1;
  }), 250);
}

function parsed<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined; // it was no event of ours; the next one is read all the same
  }
}

/** Where the gateway tells no heads, look for one; a page that nobody sees does not. */
export function watchHead(): void {
  window.setInterval(() => {
    if (document.hidden || headsCome) return;
    json<{ head: Block | null; projection: Block | null }>("/ready").then((told) => {
      if (told.projection ?? told.head) heard((told.projection ?? told.head) as Block);
    }, () => undefined); // the age of the last block says it all
  }, LOOK_MS);
  // A stream that stays open and brings no block is given up for a new one: nothing else would tell.
  window.setInterval(() => {
    const quietSince = Math.max(openedAt, head.value?.heardAt ?? 0);
    if (!document.hidden && stream.value.state !== "cut" && now() - quietSince > 1_500 * patienceSeconds.value) lose();
  }, 2_000);
}
