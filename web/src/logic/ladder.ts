// The book as a ladder: one line for each price, orders left, machines right, and between them what one can be had for now.
import type { Bid, Explanation, Offer } from "../api/kinds";
import { units } from "./amounts";
import { reasonWords } from "./names";
import { canServe, cheapest } from "./say";

export const LEVELS = 25;
const NEXT_ROUND = "next round";

export interface Level {
  price: bigint;
  /** Blocks of GPUs that are wanted together, smallest first. */
  bids: { id: string; gpus: number }[];
  asks: { id: number; gpus: number; free: number; silent: boolean }[];
  /** Why the orders of this level wait, as far as the book says. */
  why: string;
  isMark: boolean;
}

export interface Ladder {
  levels: Level[];
  above: number;
  below: number;
  /** What one GPU is to be had for. */
  mark: bigint | undefined;
  wanted: { orders: number; gpus: number };
  live: { gpus: number; free: number; silent: number; let: number };
}

/** Orders for which something that they could have is free, and which wait all the same: only a round can say why. */
export function puzzling(ladder: Ladder, most = 6): string[] {
  return ladder.levels.filter((one) => one.why === NEXT_ROUND).flatMap((one) => one.bids.map((bid) => bid.id)).slice(0, most);
}

/** Why a round did not place an order that seems to fit, in a few words; "" where it says nothing that the book does not show. */
export function inShort(explanation: Pick<Explanation, "reasons">): string {
  const shown = new Set(["ClassNotAccepted", "PriceOutOfBounds", "NotEnoughGpus", "ProviderSilent", "OfferNotAlive"]);
  const [name, count] = Object.entries(explanation.reasons).filter(([reason]) => !shown.has(reason)).sort(([, one], [, other]) => other - one)[0] ?? ["", 0];
  return name === "DeclinedBefore" ? `declined by ${count}` : name ? `${count} ${reasonWords(name)}` : "";
}

/** All levels, highest price first; no more than fit, those nearest to the mark. */
export function ladderOf(bids: readonly Bid[], asks: readonly Offer[], isSilent: (offer: Offer) => boolean, most = LEVELS, said: ReadonlyMap<string, string> = new Map()): Ladder {
  const free = asks.filter((one) => canServe(one, isSilent));
  const best = cheapest(free);
  const mark = best && units(best.price);
  const levels = new Map<bigint, Level>();
  const at = (price: bigint): Level => {
    const found = levels.get(price) ?? { price, bids: [], asks: [], why: "", isMark: price === mark };
    levels.set(price, found);
    return found;
  };
  for (const bid of bids) at(units(bid.maxPrice)).bids.push({ id: bid.id, gpus: bid.gpus });
  for (const one of asks) at(units(one.price)).asks.push({ id: one.id, gpus: one.gpus, free: one.free, silent: isSilent(one) });
  const sorted = [...levels.values()].sort((one, other) => (one.price > other.price ? -1 : 1));
  for (const level of sorted) level.bids.sort((one, other) => one.gpus - other.gpus);
  explain(sorted, free, mark, said);
  return { ...windowed(sorted, mark, most), mark, wanted: wantedBy(bids), live: liveOf(asks, isSilent) };
}

function explain(sorted: Level[], free: readonly Offer[], mark: bigint | undefined, said: ReadonlyMap<string, string>): void {
  let isSaid = false;
  for (const level of sorted) {
    if (!level.bids.length) continue;
    const told = level.bids.map((one) => said.get(one.id)).find(Boolean);
    if (mark !== undefined && level.price < mark) {
      if (!isSaid) level.why = "limits below";
      isSaid = true;
      continue;
    }
    level.why = told ?? reasonOf(level, free);
  }
}

/** A gang waits where no machine within its limit has so many free at once. */
function reasonOf(level: Level, free: readonly Offer[]): string {
  const within = free.filter((one) => units(one.price) <= level.price);
  const most = Math.max(0, ...within.map((one) => one.free));
  const least = level.bids[0]?.gpus ?? 0;
  if (most === 0) return "nothing is free";
  return least > most ? `${least} together, ${most} free` : NEXT_ROUND;
}

function windowed(sorted: Level[], mark: bigint | undefined, most: number): Pick<Ladder, "levels" | "above" | "below"> {
  if (sorted.length <= most) return { levels: sorted, above: 0, below: 0 };
  const middle = mark === undefined ? 0 : sorted.findIndex((one) => one.price <= mark);
  const from = Math.max(0, Math.min(middle - Math.floor((most * 2) / 5), sorted.length - most));
  return { levels: sorted.slice(from, from + most), above: from, below: sorted.length - from - most };
}

function wantedBy(bids: readonly Bid[]): Ladder["wanted"] {
  return { orders: bids.length, gpus: bids.reduce((sum, one) => sum + one.gpus, 0) };
}

export function liveOf(asks: readonly Offer[], isSilent: (offer: Offer) => boolean): Ladder["live"] {
  const live = { gpus: 0, free: 0, silent: 0, let: 0 };
  for (const one of asks) {
    live.let += one.gpus - one.free;
    if (isSilent(one)) live.silent += one.free;
    else {
      live.gpus += one.gpus;
      live.free += one.free;
    }
  }
  return live;
}

export interface Size {
  together: number;
  price: bigint | undefined;
  soonest: string;
  isNow: boolean;
}

/** What n GPUs of one machine ask, and when they are to be had. `endsBy`: when each lease of an offer must be over. */
export function sizesOf(asks: readonly Offer[], isSilent: (offer: Offer) => boolean, endsBy: (offer: number, missing: number) => number | undefined, clock: (at: number) => string, sizes = [1, 2, 4, 8]): Size[] {
  return sizes.map((together) => {
    const now = cheapest(asks.filter((one) => canServe(one, isSilent, together)));
    if (now) return { together, price: units(now.price), soonest: `now, offer ${now.id}`, isNow: true };
    const later = cheapest(asks.filter((one) => one.gpus >= together && !isSilent(one)));
    if (!later) return { together, price: undefined, soonest: "no machine", isNow: false };
    const at = endsBy(later.id, together - later.free);
    return { together, price: units(later.price), soonest: at === undefined ? "when it comes free" : `${clock(at)} at the latest`, isNow: false };
  });
}
