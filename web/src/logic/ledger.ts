// What the events tell, taken in one after the other: every opening of a lease, and how it ended. Pure.
import type { Block, OrderDocument } from "../api/kinds";

export interface Told {
  name: string;
  fields: Record<string, unknown>;
  block: Block;
  tx: string;
  logIndex: number;
}

/** One opening of a lease. */
export interface Serving {
  lease: string;
  offer: number;
  client: string;
  provider: string;
  gpuClass: number;
  gpus: number;
  price: bigint;
  openedAt: number;
  maxSeconds: number;
  openedIn: Told;
  ended: Told | undefined;
  events: Told[];
}

export interface Ledger {
  offers: ReadonlyMap<number, { provider: string; gpuClass: number; gpus: number }>;
  servings: readonly Serving[];
  seen: ReadonlySet<string>;
}

export const NOTHING: Ledger = { offers: new Map(), servings: [], seen: new Set() };
const ENDS = new Set(["LeaseSettled", "LeaseFinalized", "LeaseTerminated", "LeaseDeclined", "LeaseExpired", "LeaseRuled", "LeaseLapsed"]);
const MOST_SERVINGS = 5_000;

/** The ledger with these events taken in; each counts once, however often it is told. */
export function taken(ledger: Ledger, events: readonly Told[]): Ledger {
  const next = { offers: new Map(ledger.offers), servings: [...ledger.servings], seen: new Set(ledger.seen) };
  for (const told of events) {
    const id = `${told.block.hash}:${told.logIndex}`;
    if (next.seen.has(id)) continue;
    next.seen.add(id);
    takeIn(next, told);
  }
  if (next.servings.length > MOST_SERVINGS) next.servings.splice(0, next.servings.length - MOST_SERVINGS);
  return next;
}

interface Growing {
  offers: Map<number, { provider: string; gpuClass: number; gpus: number }>;
  servings: Serving[];
}

function takeIn(next: Growing, told: Told): void {
  const fields = told.fields;
  if (told.name === "OfferListed") {
    const value = fields["value"] as { class: number; gpus: number };
    next.offers.set(Number(fields["offer"]), { provider: String(fields["provider"]), gpuClass: value.class, gpus: value.gpus });
  } else if (told.name === "LeaseOpened") {
    next.servings.push(opened(next, told));
  } else if (told.name.startsWith("Lease")) {
    const at = next.servings.findLastIndex((one) => one.lease === fields["lease"]);
    const one = next.servings[at];
    if (one) next.servings[at] = { ...one, events: [...one.events, told], ended: ends(told) ? told : one.ended };
  }
}

function opened(next: Growing, told: Told): Serving {
  const fields = told.fields;
  const order = fields["order"] as OrderDocument;
  const offer = Number(fields["offer"]);
  const known = next.offers.get(offer);
  return {
    lease: String(fields["lease"]), offer, client: String(fields["client"]), provider: known?.provider ?? "", gpuClass: known?.gpuClass ?? -1,
    gpus: Number(order.gpus), price: whole(fields["price"]), openedAt: told.block.timestamp, maxSeconds: Number(order.maxSeconds), openedIn: told,
    ended: undefined, events: [told],
  };
}

/** A progress receipt settles and goes on; the last one ends the lease. */
function ends(told: Told): boolean {
  return ENDS.has(told.name) && (told.name !== "LeaseSettled" || told.fields["last"] === true);
}

export function whole(value: unknown): bigint {
  return typeof value === "number" || typeof value === "string" ? BigInt(value) : 0n;
}
