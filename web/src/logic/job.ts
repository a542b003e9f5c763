// A job as a story: what happened, with its typed reason and its evidence; and each attempt as a pane of money over time.
import type { Decline, Explanation, Lease, Market, OrderDocument, OrderEvent, OrderTold, Receipts } from "../api/kinds";
import { NOTHING, taken, type Serving, type Told } from "./ledger";
import { bondOf, earned, locked, spoken, units } from "./amounts";
import { oneLine, reasonWords, shortId } from "./names";
import type { Coin } from "./say";

export interface Happening {
  at: number;
  what: string;
  detail: string;
  /** The typed reason, where there is one: it is written in the ink of what went wrong. */
  reason: string;
  evidence: string;
  isBad: boolean;
  isProvisional: boolean;
}

export interface Attempt {
  number: number;
  offer: number;
  price: bigint;
  openedAt: number;
  /** When its meter begins: a reservation is opened before. */
  startsAt: number;
  maxSeconds: number;
  endedAt: number | undefined;
  exit: string;
  paidSeconds: number;
  locked: bigint;
  paid: bigint;
  refund: bigint;
  compensation: bigint;
  bond: bigint;
}

export interface Known {
  order: OrderTold;
  lease: Lease | undefined;
  servings: readonly Serving[];
  receipts: Receipts["receipts"];
  declines: readonly Decline[];
  explanation: Explanation | undefined;
  market: Market;
  bondBps: (offer: number) => number;
  coin: Coin;
}

/** The openings of an order's lease, as the gateway tells the order's events. */
export function servingsOf(events: readonly OrderEvent[], order: OrderTold["order"]): readonly Serving[] {
  const told = events.filter((one) => one.tx !== null && one.block !== null).map((one, at): Told => ({
    name: one.name, fields: { ...one.fields, order }, block: { number: one.block ?? 0, hash: one.tx ?? "", timestamp: one.at, time: one.atTime ?? "" }, tx: one.tx ?? "", logIndex: at,
  }));
  return taken(NOTHING, told).servings;
}

/** Each opening of the lease, oldest first; what the lease itself says goes to the last one. */
export function attemptsOf(known: Known): Attempt[] {
  const { order, lease } = known;
  const openings = known.servings.length ? known.servings.map((one) => ({ offer: one.offer, price: one.price, openedAt: one.openedAt, ended: one.ended }))
    : order.lease ? [{ offer: order.lease.offer, price: units(order.lease.price), openedAt: order.lease.openedAt, ended: undefined as Told | undefined }] : [];
  const gpus = units(order.order.gpus);
  const maxSeconds = Number(order.order.maxSeconds);
  return openings.map((one, at) => {
    const lock = locked(one.price, gpus, BigInt(maxSeconds));
    const isLast = at === openings.length - 1;
    const fields = one.ended?.fields ?? {};
    const amount = (name: "paid" | "refund" | "compensation") => (isLast && lease && lease.status === "Closed" ? units(lease[name]) : units(fields[name] as string | undefined));
    return {
      number: at + 1, offer: one.offer, price: one.price, openedAt: one.openedAt, startsAt: Math.max(one.openedAt, Number(order.order.startsAt)), maxSeconds, endedAt: one.ended?.block.timestamp,
      exit: one.ended?.name ?? (isLast ? lease?.exit ?? "" : ""), paidSeconds: isLast ? lease?.paidSeconds ?? 0 : Number(fields["paidSeconds"] ?? 0), locked: lock,
      paid: amount("paid"), refund: amount("refund"), compensation: amount("compensation"), bond: bondOf(lock, BigInt(known.bondBps(one.offer)), units(known.market.bondFloor)),
    };
  });
}

/** The attempts of a job over all of its orders, numbered through. */
export function attemptsOver(orders: readonly Known[]): Attempt[] {
  return orders.flatMap(attemptsOf).map((one, at) => ({ ...one, number: at + 1 }));
}

/** What happened to a job over all of its orders: the first is accepted, every later one is the same work ordered again. */
export function happeningsOver(orders: readonly Known[], head: number, confirmations = 1): Happening[] {
  const rows = orders.flatMap((one, at) => happeningsOf(one, head, confirmations).map((row) => (at > 0 && row.what === ACCEPTED ? { ...row, what: "Ordered again" } : row)));
  return rows.sort((one, other) => one.at - other.at);
}

/** What ending an open lease at this instant would cost its client beyond what is paid: its meter, and never less than the order guarantees. */
export function endingCost(order: Pick<OrderDocument, "gpus" | "startsAt" | "minSeconds" | "maxSeconds">, lease: Pick<Lease, "price" | "openedAt" | "paidSeconds">, at: number): bigint {
  const metered = Math.max(0, Math.min(Number(order.maxSeconds), at - Math.max(lease.openedAt, Number(order.startsAt))));
  const due = Math.max(metered, Number(order.minSeconds), lease.paidSeconds);
  const [price, gpus] = [units(lease.price), units(order.gpus)];
  return earned(price, gpus, BigInt(due)) - earned(price, gpus, BigInt(lease.paidSeconds));
}

const EVENTS: Record<string, string> = {
  LeaseOpened: "Lease opened", LeaseSettled: "Lease settled", LeaseClaimed: "Provider claims", LeaseFinalized: "Claim became final", LeaseTerminated: "Ended by the client",
  LeaseDeclined: "Declined by the provider", LeaseExpired: "Lease expired", LeaseDisputed: "Disputed", LeaseRuled: "Arbiter ruled", LeaseLapsed: "Dispute lapsed", LeaseAssigned: "Pay goes to another account",
};
const ACCEPTED = "Order accepted";
const BAD = new Set(["LeaseExpired", "LeaseDeclined", "LeaseDisputed"]);

/** Everything that is known to have happened, in the order of block time; failures are never folded away. */
export function happeningsOf(known: Known, head: number, confirmations = 1): Happening[] {
  const { order, coin } = known;
  const amount = (value: bigint) => spoken(value, coin.decimals);
  const rows: Happening[] = [
    plainly(order.acceptedAt, ACCEPTED, `at most ${amount(units(order.order.maxPrice))} for ${order.order.maxSeconds} s: ${amount(units(order.worstCost))} at worst`, "gateway"),
  ];
  if (order.withdrawnAt) rows.push(plainly(order.withdrawnAt, "Taken off the book", "nothing was locked", "gateway"));
  const told = known.explanation;
  if (told) rows.push(plainly(told.block.timestamp, told.placedOn ? `Placed on offer ${told.placedOn}` : "Looked at, not placed", oneLine(told.nearestMiss, 300), `block ${told.block.number}`));
  for (const serving of known.servings) for (const one of serving.events) rows.push(ofEvent(one, known, head, confirmations));
  for (const one of known.declines) rows.push({ ...plainly(one.openedAt, "Given back", oneLine(one.detail, 300), "signed"), reason: oneLine(one.reason, 60), isBad: true });
  for (const one of known.receipts) rows.push(ofReceipt(one));
  return rows.sort((one, other) => one.at - other.at);
}

function plainly(at: number, what: string, detail: string, evidence: string): Happening {
  return { at, what, detail, evidence, reason: "", isBad: false, isProvisional: false };
}

function ofReceipt(one: Receipts["receipts"][number]): Happening {
  const whose = one.role === "provider" ? "Provider’s receipt" : "Client’s receipt";
  const what = one.receipt.last ? whose : `${whose} on the way`;
  return plainly(one.at, what, one.role === "provider" ? `${one.receipt.usedSeconds} s used` : "every hash and second checked", "signed");
}

function ofEvent(told: Told, known: Known, head: number, confirmations: number): Happening {
  return {
    at: told.block.timestamp, what: EVENTS[told.name] ?? oneLine(told.name, 40), detail: detailOf(told, known), evidence: `block ${told.block.number} · ${shortId(told.tx)}`,
    reason: BAD.has(told.name) ? told.name : "", isBad: BAD.has(told.name), isProvisional: head - told.block.number + 1 < confirmations,
  };
}

function detailOf(told: Told, known: Known): string {
  const say = (name: string) => spoken(units(told.fields[name] as string | undefined), known.coin.decimals);
  switch (told.name) {
    case "LeaseOpened": {
      const price = units(told.fields["price"] as string);
      const lock = locked(price, units(known.order.order.gpus), units(known.order.order.maxSeconds));
      return `offer ${Number(told.fields["offer"])} at ${spoken(price, known.coin.decimals)}; ${spoken(lock, known.coin.decimals)} of the client’s locked, and a bond`;
    }
    case "LeaseSettled":
      return told.fields["last"] ? `${say("paid")} paid, ${say("refund")} back` : `${say("paid")} paid on the way`;
    case "LeaseExpired":
      return `from the deadline on anybody may say so; ${say("compensation")} of the bond is the client’s`;
    case "LeaseDeclined":
      return `${say("refund")} back at once, nothing paid`;
    case "LeaseClaimed":
      return `${Number(told.fields["usedSeconds"])} s, final when nobody disputes it in time`;
    default:
      return told.fields["paid"] === undefined ? "" : `${say("paid")} paid, ${say("refund")} back`;
  }
}

/** The reasons of the last round, most offers first, each with the offers that it is about. */
export function reasonsOf(explanation: Explanation | undefined): { count: number; words: string; name: string; offers: number[] }[] {
  return Object.entries(explanation?.reasons ?? {})
    .map(([name, count]) => ({ count, name, words: reasonWords(name), offers: explanation?.offers?.[name] ?? [] }))
    .sort((one, other) => other.count - one.count);
}
