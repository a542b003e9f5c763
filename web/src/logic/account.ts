// What an account has at stake, what waits, and whether it adds up.
import type { Lease, OrderTold } from "../api/kinds";
import { bondOf, locked, units } from "./amounts";
import { endingCost } from "./job";

export interface Stake {
  id: string;
  gpus: number;
  price: bigint;
  /** T: what its opening locked; and what is still locked of it. */
  all: bigint;
  locked: bigint;
  run: bigint;
  bond: bigint;
  endsBy: number;
  lastHeartbeat: number | null;
  status: string;
}

/** A live lease as its client sees it; undefined where its order is not known. */
export function stakeOf(lease: Lease, bondBps: number, bondFloor: bigint, now: number, grace: number): Stake | undefined {
  const order = lease.order;
  if (!order) return undefined;
  const [price, gpus, most] = [units(lease.price), units(order.gpus), Number(order.maxSeconds)];
  const lock = locked(price, gpus, BigInt(most));
  const startsAt = Math.max(lease.openedAt, Number(order.startsAt));
  const run = endingCost(order, lease, now);
  return {
    id: lease.id, gpus: Number(gpus), price, all: lock, locked: lock - units(lease.paid), run, bond: bondOf(lock, BigInt(bondBps), bondFloor),
    endsBy: lease.deadline ?? startsAt + most + grace, lastHeartbeat: lease.lastHeartbeat, status: lease.status,
  };
}

/** What is to be done about a provider that says nothing, with what comes of it; a lease that is over, or heard of, needs nothing. */
export function saidOfSilence(stake: Stake, now: number, silentAfter: number, said: (amount: bigint) => string, at: (instant: number) => string): string {
  if (stake.status !== "Open") return "";
  const back = `all ${said(stake.locked)} that is locked comes back, with up to ${said(stake.bond < stake.all ? stake.bond : stake.all)} of its bond`;
  if (now >= stake.endsBy) return `Its deadline is over: anybody may expire it now, and ${back}. The scheduler does so by itself.`;
  if (stake.lastHeartbeat !== null && now - stake.lastHeartbeat <= silentAfter) return "";
  return `Its provider is silent. You need not do anything: unless it comes back, the lease can be expired from ${at(stake.endsBy)} on, and ${back}. Your client orders the work again elsewhere meanwhile (bourse watch). Ending it yourself pays the provider.`;
}

/** What all orders that wait could lock at worst. */
export function worstOf(orders: readonly OrderTold[]): { count: number; amount: bigint } {
  const waiting = orders.filter((one) => one.state === "book");
  return { count: waiting.length, amount: waiting.reduce((sum, one) => sum + units(one.worstCost), 0n) };
}
