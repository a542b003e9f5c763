// A job is what somebody wants done, and may take several orders: the work of a retry names the order before it. Pure.
import type { OrderTold } from "../api/kinds";
import { oneLine } from "./names";

/** What the work of an order says of the job it belongs to. */
export interface WorkSaid {
  name: string;
  /** The order before it; "" where it is the first, or does not say. */
  previous: string;
  /** Only its client, and who serves it, can read what it runs and makes. */
  isSealed: boolean;
}

export interface JobTold {
  /** As its client calls it; "" where nobody who looks may know, or it has none. */
  name: string;
  /** Its orders, the first attempt first. */
  orders: readonly [OrderTold, ...OrderTold[]];
}

/** What a work document says of its job; whoever wrote it is not trusted. */
export function workSaid(document: unknown): WorkSaid {
  const said = (name: string) => (document && typeof document === "object" && name in document ? (document as Record<string, unknown>)[name] : undefined);
  const [name, previous] = [said("name"), said("previous")];
  return { name: typeof name === "string" ? oneLine(name, 200).trim() : "", previous: typeof previous === "string" && /^0x[0-9a-f]{64}$/.test(previous) ? previous : "", isSealed: typeof said("sealed") === "object" && said("sealed") !== null };
}

/** All orders as jobs, that with the newest order first. Only an order of the same client can be an earlier attempt: a stranger's work may name anything. */
export function jobsOf(orders: readonly OrderTold[], said: ReadonlyMap<string, WorkSaid>): JobTold[] {
  const known = new Map(orders.map((one) => [one.id, one]));
  const before = (one: OrderTold): OrderTold | undefined => {
    const found = known.get(said.get(one.id)?.previous ?? "");
    return found && found.id !== one.id && found.order.client === one.order.client ? found : undefined;
  };
  const jobs = new Map<string, OrderTold[]>();
  for (const one of orders) {
    const first = firstOf(one, before);
    jobs.set(first.id, [...(jobs.get(first.id) ?? []), one]);
  }
  const told = [...jobs.values()].map((of): JobTold => {
    const sorted = [...of].sort(bySigning) as [OrderTold, ...OrderTold[]];
    return { name: sorted.map((one) => said.get(one.id)?.name ?? "").findLast(Boolean) ?? "", orders: sorted };
  });
  return told.sort((one, other) => newestOf(other).acceptedAt - newestOf(one).acceptedAt);
}

/** The attempt that counts now. */
export const newestOf = (job: JobTold): OrderTold => job.orders.at(-1) ?? job.orders[0];

const bySigning = (one: OrderTold, other: OrderTold) => one.acceptedAt - other.acceptedAt;

/** The first attempt. Ids are hashes of what names the order before, so there is no way round in a circle; a gateway that shows one is left after as many steps. */
function firstOf(order: OrderTold, before: (one: OrderTold) => OrderTold | undefined): OrderTold {
  const seen = new Set<string>();
  let first = order;
  for (let next = before(order); next && !seen.has(next.id); next = before(next)) {
    seen.add(next.id);
    first = next;
  }
  return first;
}
