// What was paid and how much was let, over time: for drawing and for sentences. Numbers here are for the eye; no money is worked out from them.
import type { LeaseRow, Span } from "../api/kinds";
import { units } from "./amounts";

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

const STEPS = [10, 30, 60];
const MOST_FINE = 45;

/** A class's past: the gateway's spans, and each opening that is known; the young market's finer than a minute. */
export function historyOf(spans: readonly Span[], spanSeconds: number, leases: readonly LeaseRow[], now: number): History {
  const first = spans.findIndex((one) => one.opened > 0 || one.listed > 0);
  const told = first < 0 ? [] : spans.slice(first);
  const from = told[0]?.start ?? now;
  const fills = leases.filter((one) => one.openedAt >= from && one.order).map((one) => ({ at: one.openedAt, price: units(one.price), gpus: Number(one.order?.gpus ?? 0) })).sort((one, other) => one.at - other.at);
  const use = told.map((one) => ({ at: Math.min(one.start + spanSeconds, now), gpus: one.let }));
  const step = STEPS.find((one) => (now - from) / one <= MOST_FINE) ?? spanSeconds;
  const isFine = step < spanSeconds && sum(fills) === told.reduce((all, one) => all + one.gpusOpened, 0);
  if (isFine) return { from: fills[0] ? Math.floor(fills[0].at / step) * step : from, to: now, step, fills, buckets: bucketsOf(fills, from, step), use };
  const buckets = told.filter((one) => one.mean !== null).map((one) => ({ from: one.start, mean: units(one.mean), low: units(one.lowest), high: units(one.highest), gpus: one.gpusOpened }));
  return { from, to: now, step: spanSeconds, fills, buckets, use };
}

const sum = (fills: readonly Fill[]) => fills.reduce((all, one) => all + one.gpus, 0);

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

/** What it cleared at last, and what it stood at at that instant; where it is not known so far back, what it first cleared at. */
export function clearedAt(history: History, before: number): { last: Fill | undefined; earlier: Fill | undefined; isThatOld: boolean } {
  const told = history.fills.length ? history.fills : history.buckets.map((one) => ({ at: one.from, price: one.mean, gpus: one.gpus }));
  const then = told.findLast((one) => one.at <= before);
  return { last: told.at(-1), earlier: then ?? (told.length > 1 ? told[0] : undefined), isThatOld: then !== undefined };
}

/** By when so many more GPUs of an offer must have come free: the latest instant at which its leases end. */
export function freeBy(leases: readonly LeaseRow[], offer: number, missing: number): number | undefined {
  const ends = leases.filter((one) => one.offer === offer && one.endsBy !== null).sort((one, other) => (one.endsBy ?? 0) - (other.endsBy ?? 0));
  let freed = 0;
  for (const one of ends) {
    freed += Number(one.order?.gpus ?? 0);
    if (freed >= missing) return one.endsBy ?? undefined;
  }
  return undefined;
}
