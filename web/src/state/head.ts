// The newest block that the page has seen, how old it is, and whether the stream still brings any.
import { computed, signal } from "@preact/signals";
import type { Block } from "../api/kinds";

/** The newest block, and when it was first heard of here (this machine's monotonic clock, in ms). */
export const head = signal<{ block: Block; heardAt: number } | undefined>(undefined);
/** Ticks once a second: all that is said of time follows it, and nothing else does. */
export const tick = signal(now());
export const stream = signal<{ state: "opening" | "open" | "cut"; nextTryAt: number }>({ state: "opening", nextTryAt: 0 });
/** Blocks that were replaced by others of the same chain, newest last. */
export const replaced = signal<readonly { first: number; last: number }[]>([]);
/** Changes with every block: whoever shows something asks for it again. */
export const turn = signal(0);
const [LEAST_PATIENCE_SECONDS, FIRST_PATIENCE_SECONDS] = [10, 30];
/** How far apart blocks come, by their own time; nothing before the second one. */
const pace = signal<number | undefined>(undefined);
/** How old the newest block may be before what is shown counts as stale: three blocks of this chain, and never less than ten seconds. */
export const patienceSeconds = computed(() => (pace.value === undefined ? FIRST_PATIENCE_SECONDS : Math.min(FIRST_PATIENCE_SECONDS * 4, Math.max(LEAST_PATIENCE_SECONDS, 3 * pace.value))));

export function now(): number {
  return typeof performance === "undefined" ? 0 : performance.now();
}

/** A block that somebody told us of. Older ones change nothing; another one at the same height is a reorganisation. */
export function heard(block: Block): void {
  const last = head.value;
  if (last && block.number < last.block.number) return;
  if (last && block.number === last.block.number) {
    if (block.hash === last.block.hash) return;
    noteReplaced(block.number, block.number);
  }
  if (last && block.number > last.block.number) pace.value = (block.timestamp - last.block.timestamp) / (block.number - last.block.number);
  head.value = { block, heardAt: now() };
  turn.value += 1;
}

/** The chain went another way behind this block: what comes next may be lower, and counts all the same. */
export function noteReplaced(first: number, last: number): void {
  replaced.value = [...replaced.value.slice(-9), { first: Math.min(first, last), last }];
}

export function forgetHead(): void {
  head.value = undefined;
}

export const ageSeconds = computed(() => (head.value ? Math.max(0, Math.round((tick.value - head.value.heardAt) / 1000)) : 0));
/** Whether what is shown may no longer be so: by the age of the last block, whatever the connection says of itself. */
export const isCut = computed(() => head.value !== undefined && (stream.value.state === "cut" || ageSeconds.value > patienceSeconds.value));
/** Block time as it must be by now. */
export const chainTime = computed(() => (head.value ? head.value.block.timestamp + (isCut.value ? 0 : ageSeconds.value) : 0));

let paced = 0;
/** Begins to tick; hidden pages do not. */
export function keepTime(): void {
  if (paced) return;
  paced = window.setInterval(() => {
    if (!document.hidden) tick.value = now();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    tick.value = now();
    if (!document.hidden) turn.value += 1;
  });
}
