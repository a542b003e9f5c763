// The market's terms: asked for once, needed everywhere that money is written.
import { computed, signal } from "@preact/signals";
import type { Market } from "../api/kinds";
import { oneLine } from "../logic/names";
import { Problem, read } from "../api/read";
import { contradiction, ownWordIn } from "../logic/own";
import { heard } from "./head";

/** What this install says by itself; nothing where a gateway serves the page. */
export const own = ownWordIn(document.querySelector<HTMLMetaElement>('meta[name="bourse-own"]')?.content);

export const market = signal<Market | undefined>(undefined);
export const marketProblem = signal<Problem | undefined>(undefined);
export const token = computed(() => ({ symbol: oneLine(market.value?.token.symbol ?? "", 12), decimals: market.value?.token.decimals ?? 6 }));

export async function openMarket(): Promise<void> {
  try {
    const told = await read("/v1/market");
    const other = own ? contradiction(own, told) : "";
    if (other) throw new Problem(0, "OtherMarket", other);
    market.value = told;
    marketProblem.value = undefined;
    heard(told.block);
  } catch (error) {
    marketProblem.value = error instanceof Problem ? error : new Problem(0, "UnreadableAnswer", "The gateway's answer cannot be read.");
  }
}

/** After how long without a sign of life a provider is silent, in seconds of block time. */
export const silentAfter = computed(() => market.value?.maxSilenceSeconds ?? 60);
