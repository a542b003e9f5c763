// The past as the gateway keeps it: spans of a class, and the leases of some offers.
import { signal } from "@preact/signals";
import type { LeaseRow, Offer } from "../api/kinds";
import { read } from "../api/read";
import { useAnswer, useQuestion } from "./answers";

export const SPANS = [[60, "1 h"], [3_600, "2 d"], [86_400, "60 d"]] as const;
/** How long a span of the charts is, in seconds. */
export const spanSeconds = signal<60 | 3_600 | 86_400>(60);
const MOST_OFFERS = 12;

export const useSpans = (name: string) => useAnswer(name ? "/v1/history/{class_name}" : undefined, { path: { class_name: name }, query: { bucket: String(spanSeconds.value) } });

/** The newest leases of each of these offers: one question each, and of no more than fit. */
export function useLeasesOf(offers: readonly Offer[]) {
  const ids = offers.slice(0, MOST_OFFERS).map((one) => one.id).sort((one, other) => one - other);
  return useQuestion<LeaseRow[]>(ids.length ? `leases of ${ids.join()}` : "", "each block", async (asking) => {
    const pages = await Promise.all(ids.map((offer) => read("/v1/leases", { query: { offer: String(offer), limit: "100" } }, asking)));
    return pages.flatMap((one) => one.items);
  });
}
