// A dispute in numbers: until when it may be raised, what is staked on it, what every way out of it pays; and the papers for who rules. Pure.
import type { Lease, Market, OrderDocument, OrderTold, Receipts } from "../api/kinds";
import { bondOf, earned, locked, units } from "./amounts";

type Terms = Pick<OrderDocument, "gpus" | "startsAt" | "minSeconds" | "maxSeconds">;
type Standing = Pick<Lease, "status" | "price" | "openedAt" | "paidSeconds" | "claimedSeconds" | "changedAt">;
type Windows = Pick<Market, "startGrace" | "claimGrace" | "challengeWindow" | "rulingWindow" | "bondFloor">;

/** What a dispute would be about, raised at `now`. */
export interface Grounds {
  from: number;
  /** From here on it is too late. */
  until: number;
  isOpen: boolean;
  seconds: number;
  /** What these seconds earn beyond what is paid. */
  amount: bigint;
  /** As much as the provider's bond, of the disputer's own free balance. */
  stake: bigint;
}

const startOf = (order: Terms, lease: Standing) => Math.max(lease.openedAt, Number(order.startsAt));

function pay(order: Terms, lease: Standing, seconds: number): bigint {
  const [price, gpus] = [units(lease.price), units(order.gpus)];
  return earned(price, gpus, BigInt(Math.max(seconds, lease.paidSeconds))) - earned(price, gpus, BigInt(lease.paidSeconds));
}

/** Nothing where the lease is neither running nor claimed. */
export function groundsOf(order: Terms, lease: Standing, market: Windows, bondBps: number, now: number): Grounds | undefined {
  if (lease.status !== "Open" && lease.status !== "Claimed") return undefined;
  const begins = startOf(order, lease);
  const isClaimed = lease.status === "Claimed";
  const from = isClaimed ? lease.changedAt : begins + market.startGrace;
  const until = isClaimed ? lease.changedAt + market.challengeWindow : begins + Number(order.maxSeconds) + market.claimGrace;
  const seconds = isClaimed ? lease.claimedSeconds : Math.max(0, Math.min(Number(order.maxSeconds), now - begins));
  const lock = locked(units(lease.price), units(order.gpus), units(order.maxSeconds));
  return { from, until, isOpen: from <= now && now < until, seconds, amount: pay(order, lease, seconds), stake: bondOf(lock, BigInt(bondBps), units(market.bondFloor)) };
}

/** What can become of a dispute that was raised. */
export interface Ways {
  /** Until here the arbiter may rule; from here on anybody may end it. */
  ruledUntil: number;
  /** The most seconds that can be ruled to be paid, and what they earn beyond what is paid. */
  mostSeconds: number;
  most: bigint;
  /** What is paid where nobody rules. */
  lapsed: bigint;
  stake: bigint;
  /** What the loser's stake brings the winner: the arbiter has the rest. */
  won: bigint;
}

/** Nothing where the lease is not disputed. */
export function waysOf(order: Terms, lease: Standing, market: Windows, bondBps: number): Ways | undefined {
  if (lease.status !== "Disputed") return undefined;
  const asked = Math.max(lease.claimedSeconds, lease.paidSeconds);
  const isEarly = lease.changedAt < startOf(order, lease) + Number(order.minSeconds);
  const mostSeconds = isEarly ? Math.max(asked, Number(order.minSeconds)) : asked;
  const lock = locked(units(lease.price), units(order.gpus), units(order.maxSeconds));
  const stake = bondOf(lock, BigInt(bondBps), units(market.bondFloor));
  const half = lease.paidSeconds + Math.floor((mostSeconds - lease.paidSeconds) / 2);
  return { ruledUntil: lease.changedAt + market.rulingWindow, mostSeconds, most: pay(order, lease, mostSeconds), lapsed: pay(order, lease, half), stake, won: stake - stake / 2n };
}

/** One thing that was named by its hash, and what was found when this browser hashed what the gateway handed over. */
export interface Checked {
  what: string;
  named: string;
  /** "": it could not be had. */
  found: string;
}

/** Everything that both sides signed about a lease and what was found here, as one document for whoever is to rule. */
export function evidenceOf(market: Market, order: OrderTold, lease: Lease, receipts: Receipts["receipts"], result: unknown, checked: readonly Checked[]): string {
  const { chainId, market: address } = market;
  const all = { what: "evidence of one lease, as its client saw it", chainId, market: address, id: order.id, order: order.order, lease, receipts, result: result ?? null, checked };
  return `${JSON.stringify(all, null, 2)}\n`;
}

/** What was found, in a sentence. */
export function saidOfChecks(checked: readonly Checked[]): string {
  const missing = checked.filter((one) => !one.found).length;
  const other = checked.filter((one) => one.found && one.found !== one.named).length;
  if (!checked.length) return "No result was delivered: there is nothing to hash.";
  if (!missing && !other) return `${checked.length === 1 ? "The one hash" : `All ${checked.length} hashes`} that the provider signed ${checked.length === 1 ? "matches" : "match"} what is there.`;
  const words = [other ? `${other} of ${checked.length} ${other === 1 ? "is" : "are"} not what was signed` : "", missing ? `${missing} of ${checked.length} cannot be had` : ""];
  return `${words.filter(Boolean).join("; ")}.`;
}

/** The share of a part of a lease, among those that an address brings. */
export const shareOf = (shares: readonly string[], part: "log" | "outputs"): string | undefined => shares.find((one) => one.startsWith(`${part}.`)) ?? shares.find((one) => !/^(log|outputs)\./.test(one));
