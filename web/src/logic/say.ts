// The sentence that a view begins with: a pure function of what is known. Where that does not support it, it says so.
import type { Account, Lease, Offer, OrderTold } from "../api/kinds";
import { priced, spoken, units } from "./amounts";
import { article, plural, spokenClass } from "./names";

export type Said = (string | { strong: string })[];
export const strong = (text: string) => ({ strong: text });

export function asText(said: Said): string {
  return said.map((word) => (typeof word === "string" ? word : word.strong)).join("");
}

export interface Coin {
  symbol: string;
  decimals: number;
}

/** Whether a GPU of this offer can be had now. */
export function canServe(offer: Offer, isSilent: (offer: Offer) => boolean, together = 1): boolean {
  return isListed(offer) && offer.free >= together && !isSilent(offer);
}

export function isListed(offer: Offer): boolean {
  return offer.listed;
}

export function cheapest(offers: readonly Offer[]): Offer | undefined {
  return offers.reduce<Offer | undefined>((best, one) => (!best || units(one.price) < units(best.price) ? one : best), undefined);
}

const COUNTS = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight"];

/** What one costs now, and how many are free together. */
export function saidOfClass(name: string, offers: readonly Offer[], isSilent: (offer: Offer) => boolean, coin: Coin): Said {
  const gpu = spokenClass(name);
  const free = offers.filter((one) => canServe(one, isSilent));
  const best = cheapest(free);
  if (!offers.length) return [`Nobody offers ${article(gpu)} ${gpu} now. An order waits for one.`];
  if (!best) return [`Every ${gpu} is let or silent now. An order waits for the next that comes free.`];
  const together = Math.max(...free.map((one) => one.free));
  const tail = together === 1 ? "No two are free together." : `${COUNTS[together] ?? together} are free together on one machine.`;
  return [`One ${gpu} is to be had for `, strong(priced(units(best.price), coin.decimals)), ` ${coin.symbol} an hour. ${tail}`];
}

/** What is free, what is at stake, and what ending it all would cost. */
export function saidOfAccount(account: Account, run: bigint, coin: Coin): Said {
  const said: Said = [strong(spoken(units(account.free), coin.decimals)), ` ${coin.symbol} are free`];
  if (account.locked === null) return [...said, ". What is at stake is being counted anew."];
  if (units(account.locked) === 0n) return [...said, units(account.free) === 0n ? ", and nothing is at stake. A deposit lets you sign an order." : ", and nothing is at stake."];
  return [...said, " and ", strong(spoken(units(account.locked), coin.decimals)), ` at stake. Ending everything now would cost ${spoken(run, coin.decimals)}.`];
}

/** What became of an order, and what it cost. */
export function saidOfJob(order: OrderTold, lease: Lease | undefined, coin: Coin, name = "The job", nearestMiss = "", exitCode?: number): Said {
  const amount = (value: string) => spoken(units(value), coin.decimals);
  if (order.state === "withdrawn") return [`${name} was taken off the book. It locked nothing and cost nothing.`];
  if (order.state === "expired") return [`${name} found nobody before its order expired. It cost nothing.`];
  if (order.state === "book") return [`${name} waits. `, nearestMiss ? sentence(nearestMiss.split(";")[0] ?? "") : "No round has looked at its order yet."];
  if (!lease) return [`${name} is ${order.state}.`];
  if (order.state === "open") return [`${name} runs on offer ${lease.offer} at `, strong(priced(units(lease.price), coin.decimals)), ` ${coin.symbol} per GPU-hour.`];
  if (order.state === "claimed") return [`${name} has run, and its provider claims ${plural(lease.claimedSeconds, "second")}. Countersign it, or dispute it.`];
  if (order.state === "disputed") return [`${name} is disputed: an arbiter decides over ${plural(lease.claimedSeconds, "second")}.`];
  if (lease.exit === "LeaseExpired") return [`${name} was not done. The provider fell silent and its bond paid `, strong(amount(lease.compensation)), "."];
  if (lease.exit === "LeaseDeclined") return [`${name} was declined by its provider. Everything came back.`];
  if (lease.exit === "LeaseTerminated") return [`${name} was ended by its client. It cost `, strong(amount(lease.paid)), "."];
  const done = exitCode === undefined ? "is over" : exitCode === 0 ? "is done" : `failed with exit code ${exitCode}`;
  return [`${name} ${done}. The work cost `, strong(amount(lease.paid)), `; ${amount(lease.refund)} came back.`];
}

/** What becomes of a price that a provider's wallet gave an offer, once its agent looks: the inventory is what the agent keeps to. */
export function saidOfAgent(isSilent: boolean): string {
  const who = isSilent ? "Its agent is silent; when it is back" : "Its agent is there: within ten minutes";
  return `${who}, it puts back what its inventory says for what it listed. The commands, on its machine, tell it.`;
}

function sentence(text: string): string {
  const one = text.trim().replace(/\.$/, "");
  return `${one.charAt(0).toUpperCase()}${one.slice(1)}.`;
}

/** Which blocks left the chain. */
export function saidOfReplaced({ first, last }: { first: number; last: number }): string {
  return first === last ? `Block ${last} was replaced.` : `Blocks ${first} to ${last} were replaced.`;
}

/** Whether the market has what it owes. */
export function saidOfNetwork(difference: bigint | undefined, block: number, coin: Coin): Said {
  if (difference === undefined) return [`The market stands at block `, strong(String(block)), ". What it holds has not been read yet."];
  if (difference === 0n) return ["Solvent to the unit at block ", strong(String(block)), "."];
  const amount = spoken(difference < 0n ? -difference : difference, coin.decimals);
  return difference > 0n ? [`The market holds ${amount} ${coin.symbol} more than it owes, at block `, strong(String(block)), "."] : [`The market lacks ${amount} ${coin.symbol} of what it owes, at block `, strong(String(block)), "."];
}
