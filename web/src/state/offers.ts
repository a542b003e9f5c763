// All offers, page by page, and who of their providers is silent.
import type { Offer } from "../api/kinds";
import { read } from "../api/read";
import { useQuestion } from "./answers";
import { chainTime } from "./head";
import { silentAfter } from "./market";

const MOST_PAGES = 10;

export interface OffersTold {
  value: Offer[] | undefined;
}

async function allOffers(signal: AbortSignal): Promise<Offer[]> {
  const found: Offer[] = [];
  let after: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const told = await read("/v1/offers", { query: { limit: "100", after } }, signal);
    found.push(...told.items);
    if (!told.next) break;
    after = told.next;
  }
  return found;
}

export const useOffers = () => useQuestion<Offer[]>("all offers", "each block", allOffers);

/** Silent: no sign of life for longer than the market's threshold, by the gateway's word, and by the clock since it gave it. */
export function isSilent(offer: Offer): boolean {
  return offer.silent || offer.lastHeartbeat === null || chainTime.value - offer.lastHeartbeat > silentAfter.value;
}

/** The block time of the last sign of life, and since when nobody has heard one. */
export function silentFor(offer: Offer): number {
  return offer.lastHeartbeat === null ? Infinity : Math.max(0, chainTime.value - offer.lastHeartbeat);
}
