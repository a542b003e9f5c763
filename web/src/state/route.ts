// Where the page is, as the address says behind `#`: views need nothing of the server.
import { computed, signal } from "@preact/signals";

export interface Place {
  view: string;
  /** What of it: a class, an order, an account. */
  of: string;
  query: URLSearchParams;
}

/** `#/job/0x…?share=…` as a place; whatever is no place is the market. */
export function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view = "", of = ""] = path.split("/", 2);
  return { view: view || "market", of: decode(of), query: new URLSearchParams(query) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function linkTo(view: string, of: string | number = ""): string {
  return `#/${view}${of === "" ? "" : `/${encodeURIComponent(String(of))}`}`;
}

const hash = signal(typeof location === "undefined" ? "" : location.hash);
export const place = computed(() => placeOf(hash.value));

export function watchAddress(): void {
  addEventListener("hashchange", () => {
    hash.value = location.hash;
    scrollTo(0, 0);
  });
}

export function go(view: string, of: string | number = ""): void {
  location.hash = linkTo(view, of);
}
