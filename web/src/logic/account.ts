// What an account has at stake, what waits, and whether it adds up.
import type { Lease, OrderTold } from "../api/kinds";
import { bondOf, locked, units } from "./amounts";
import { endingCost } from "./job";

export interface Stake {
  id: string;
  gpus: number;
  price: bigint;
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
    id: lease.id, gpus: Number(gpus), price, locked: lock - units(lease.paid), run, bond: bondOf(lock, BigInt(bondBps), bondFloor),
    endsBy: lease.deadline ?? startsAt + most + grace, lastHeartbeat: lease.lastHeartbeat, status: lease.status,
  };
}

/** What all orders that wait could lock at worst. */
export function worstOf(orders: readonly OrderTold[]): { count: number; amount: bigint } {
  const waiting = orders.filter((one) => one.state === "book");
  return { count: waiting.length, amount: waiting.reduce((sum, one) => sum + units(one.worstCost), 0n) };
}
