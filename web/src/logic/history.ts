// What was paid and how much was let, over time: for drawing and for sentences. Numbers here are for the eye; no money is worked out from them.
import type { Serving } from "../state/ledger";

export interface Fill {
  at: number;
  price: bigint;
  gpus: number;
}
export interface Bucket {
  from: number;
  mean: bigint;
  low: bigint;
  high: bigint;
  gpus: number;
}
export interface History {
  from: number;
  to: number;
  step: number;
  fills: Fill[];
  buckets: Bucket[];
  /** GPUs let from each instant on. */
  use: { at: number; gpus: number }[];
}

const STEPS = [10, 30, 60, 300, 900, 3_600, 14_400, 86_400];
const MOST_BUCKETS = 48;

/** The class's history up to now, in so many buckets as can be told apart. */
export function historyOf(servings: readonly Serving[], gpuClass: number, now: number): History {
  const own = servings.filter((one) => one.gpuClass === gpuClass);
  const fills = own.map((one) => ({ at: one.openedAt, price: one.price, gpus: one.gpus }));
  const first = Math.min(now, ...fills.map((one) => one.at));
  const step = STEPS.find((one) => (now - first) / one <= MOST_BUCKETS) ?? 86_400;
  const from = Math.floor(first / step) * step;
  return { from, to: now, step, fills, buckets: bucketsOf(fills, from, step), use: useOf(own) };
}

function bucketsOf(fills: readonly Fill[], from: number, step: number): Bucket[] {
  const found = new Map<number, Fill[]>();
  for (const one of fills) {
    const at = from + Math.floor((one.at - from) / step) * step;
    found.set(at, [...(found.get(at) ?? []), one]);
  }
  return [...found].sort(([one], [other]) => one - other).map(([at, some]) => {
    const gpus = some.reduce((sum, one) => sum + one.gpus, 0);
    const paid = some.reduce((sum, one) => sum + one.price * BigInt(one.gpus), 0n);
    const prices = some.map((one) => one.price);
    return { from: at, mean: paid / BigInt(gpus), low: prices.reduce((a, b) => (a < b ? a : b)), high: prices.reduce((a, b) => (a > b ? a : b)), gpus };
  });
}

function useOf(servings: readonly Serving[]): { at: number; gpus: number }[] {
  const changes = servings.flatMap((one) => [
    { at: one.openedAt, gpus: one.gpus },
    ...(one.ended ? [{ at: one.ended.block.timestamp, gpus: -one.gpus }] : []),
  ]);
  changes.sort((one, other) => one.at - other.at);
  const use: { at: number; gpus: number }[] = [];
  let gpus = 0;
  for (const change of changes) {
    gpus += change.gpus;
    const last = use.at(-1);
    if (last?.at === change.at) last.gpus = gpus;
    else use.push({ at: change.at, gpus });
  }
  return use;
}

/** What it cleared at last, and what it cleared at before that instant. */
export function clearedAt(history: History, before: number): { last: Fill | undefined; earlier: Fill | undefined } {
  const last = history.fills.at(-1);
  return { last, earlier: history.fills.findLast((one) => one.at <= before) };
}

/** When so many more GPUs of an offer must have come free: the latest instant at which its leases end. */
export function freeBy(servings: readonly Serving[], offer: number, missing: number, grace: number): number | undefined {
  const ends = servings
    .filter((one) => one.offer === offer && !one.ended)
    .map((one) => ({ at: one.openedAt + one.maxSeconds + grace, gpus: one.gpus }))
    .sort((one, other) => one.at - other.at);
  let freed = 0;
  for (const one of ends) {
    freed += one.gpus;
    if (freed >= missing) return one.at;
  }
  return undefined;
}
