// What is looked at before an offer's terms change on the chain. Pure, and small: the view that offers it needs its bounds before any act is loaded.

/** An offer as the chain has it, at one block. */
export interface Listing {
  provider: string;
  price: bigint;
  expiresAt: number;
  /** Block time. */
  now: number;
}

/** What fits the contract's word, in token base units per GPU-hour. */
export const MOST_PRICE = (1n << 80n) - 1n;
const NOT_SENT = "Nothing was sent.";

/** Why an offer is not given another price, or (without one) not taken off the market; "" where it is this account's to do, and changes something. */
export function listingFault(offer: number, listed: Listing, account: string, price?: bigint): string {
  if (listed.provider.toLowerCase() !== account) return `On the chain offer ${offer} is of ${listed.provider}, not of your wallet. ${NOT_SENT}`;
  if (listed.expiresAt <= listed.now) return `On the chain offer ${offer} is off the market already. ${NOT_SENT}`;
  if (price === undefined) return "";
  if (price <= 0n || price > MOST_PRICE) return `That is no price that the market takes. ${NOT_SENT}`;
  return price === listed.price ? `On the chain offer ${offer} asks that already. ${NOT_SENT}` : "";
}
