// The vaults that the gateway's operator names, and the price of one's shares as this page has seen it.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { VaultRow } from "../api/kinds";
import { units } from "../logic/amounts";
import type { Drawn } from "../logic/gpu_use";
import { withSeen } from "../logic/vaults";
import { useAnswer, type Often } from "./answers";
import { token } from "./market";

const seen = signal<ReadonlyMap<string, readonly Drawn[]>>(new Map());

export const useVaults = (often: Often = "seldom") => useAnswer("/v1/vaults", {}, often);

/** The price of this vault's shares at each block that was shown here, oldest first. */
export function usePrices(vault: (VaultRow & { block: { timestamp: number } }) | undefined): readonly Drawn[] {
  useEffect(() => {
    if (!vault) return;
    const before = seen.value.get(vault.vault) ?? [];
    const after = withSeen(before, vault.block.timestamp, units(vault.price), token.value.decimals);
    if (after !== before) seen.value = new Map(seen.value).set(vault.vault, after);
  }, [vault]);
  return seen.value.get(vault?.vault ?? "") ?? [];
}
