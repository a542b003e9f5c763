// Reservations: orders for a term that lies ahead. What each asks for, what it guarantees at least, and how far it has come. Pure.
import type { Lease, OrderDocument } from "../api/kinds";
import { earned, locked, priced, spoken, units } from "./amounts";
import { plural } from "./names";
import { strong, type Coin, type Said } from "./say";

export interface Term {
  id: string;
  client: string;
  /** By number, as the order's mask has them. */
  classes: number[];
  gpus: number;
  startsAt: number;
  endsAt: number;
  limit: bigint;
  /** What ending it costs at least, at its limit, and what it can cost at worst. */
  guaranteed: bigint;
  worst: bigint;
  /** Until when a provider may open it. */
  expiresAt: number;
}

export function termOf(id: string, order: OrderDocument): Term {
  const [limit, gpus, startsAt] = [units(order.maxPrice), units(order.gpus), Number(order.startsAt)];
  return {
    id, client: order.client, classes: classesOf(units(order.classes)), gpus: Number(gpus), startsAt, endsAt: startsAt + Number(order.maxSeconds), limit,
    guaranteed: earned(limit, gpus, units(order.minSeconds)), worst: locked(limit, gpus, units(order.maxSeconds)), expiresAt: Number(order.expiresAt),
  };
}

/** Which classes a mask of 256 bits accepts; of more than fit a sentence, the first. */
export function classesOf(mask: bigint, most = 8): number[] {
  const found: number[] = [];
  for (let at = 0; at < 256 && found.length < most; at++) if ((mask >> BigInt(at)) & 1n) found.push(at);
  return found;
}

/** Whether an order is one for later, as its gateway took it: its meter does not begin when it is opened. */
export const isReservation = (order: Pick<OrderDocument, "startsAt">, acceptedAt: number): boolean => Number(order.startsAt) > acceptedAt;

/** How far it has come, by the chain's word at block time `now`. */
export function standingOf(order: Pick<OrderDocument, "startsAt">, state: string, now: number): string {
  if (state === "book") return "waits for a provider";
  if (state === "open") return Number(order.startsAt) > now ? "reserved" : "runs";
  return state;
}

/** What waits, in a sentence. */
export function saidOfReservations(terms: readonly Term[], name: (of: Term) => string, coin: Coin): Said {
  const dearest = terms.reduce<Term | undefined>((best, one) => (!best || one.limit > best.limit ? one : best), undefined);
  if (!dearest) return ["No reservation waits for a provider now."];
  return [strong(plural(terms.length, "reservation")), ` ${terms.length === 1 ? "waits" : "wait"} for a provider. ${terms.length === 1 ? "It" : "The dearest"} wants ${dearest.gpus} × ${name(dearest)} for `, strong(priced(dearest.limit, coin.decimals)), ` ${coin.symbol} an hour at most.`];
}

/** Of one's own, in its job's view; nothing where it is none, or has begun. */
export function saidOfTerm(order: OrderDocument, state: string, lease: Pick<Lease, "price" | "offer"> | undefined, coin: Coin, now: number, at: (instant: number) => string): Said | undefined {
  if (Number(order.startsAt) <= now) return undefined;
  const term = termOf("", order);
  if (state === "book") return ["A reservation from ", strong(at(term.startsAt)), ` on. No provider has opened it; until ${at(term.expiresAt)} any whose offer fits may.`];
  if (state !== "open" || !lease) return undefined;
  const guaranteed = earned(units(lease.price), units(order.gpus), units(order.minSeconds));
  return ["Reserved on offer ", strong(String(lease.offer)), " from ", strong(at(term.startsAt)), ` on. Ending it before costs ${spoken(guaranteed, coin.decimals)}.`];
}
