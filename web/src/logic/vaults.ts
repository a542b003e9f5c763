// Vaults that lend against leases, in sentences; and their price as far as it was seen. Pure; no money is worked out from what is drawn.
import type { Loan, VaultRow } from "../api/kinds";
import { spoken, units } from "./amounts";
import type { Drawn } from "./gpu_use";
import { plural } from "./names";
import { strong, type Coin, type Said } from "./say";

const MOST_SEEN = 600;

/** What all of them lend, and what is free. */
export function saidOfVaults(vaults: readonly VaultRow[], coin: Coin): Said {
  if (!vaults.length) return ["No vault lends on this market’s leases, as far as this gateway’s operator says."];
  const [free, all] = [sum(vaults, (one) => one.cash), sum(vaults, (one) => one.assets)];
  return [strong(plural(vaults.length, "vault")), ` ${vaults.length === 1 ? "lends" : "lend"} against leases: `, strong(spoken(all, coin.decimals)), ` ${coin.symbol} in them, `, strong(spoken(free, coin.decimals)), " of it free."];
}

/** What a share is worth, what is free, and whether anybody may enter. */
export function saidOfVault(vault: VaultRow, coin: Coin): Said {
  const worth: Said = ["A share that was bought for one ", `${coin.symbol} at first is worth `, strong(spoken(units(vault.price), coin.decimals)), "; "];
  if (units(vault.supply) === 0n) return ["Nothing has been lent through this vault."];
  const free: Said = [strong(spoken(units(vault.cash), coin.decimals)), ` of ${spoken(units(vault.assets), coin.decimals)} ${coin.symbol} are free.`];
  return [...worth, ...free, vault.isImpaired ? " Less stands behind a loan than is owed: nobody enters now." : ""];
}

/** How a loan stands, and on whose word it rests. */
export function standingOfLoan(loan: Loan): string {
  if (loan.state === "written_off") return "written off";
  if (loan.state === "repaid") return "repaid";
  return loan.isImpaired ? "impaired" : "covered";
}

/** Shares that wait to leave, at the price of now. */
export function waiting(vault: VaultRow): bigint {
  const supply = units(vault.supply);
  return supply === 0n ? 0n : (units(vault.pendingShares) * units(vault.assets)) / supply;
}

/** The same points with one more, if it is newer than all of them; the oldest go first. */
export function withSeen(points: readonly Drawn[], at: number, price: bigint, decimals: number): readonly Drawn[] {
  if ((points.at(-1)?.at ?? -1) >= at) return points;
  return [...points, { at, value: Number(price) / 10 ** decimals }].slice(-MOST_SEEN);
}

/** The points drawn between the least and the greatest of them, so that what moved is seen: for a line whose lowest edge is the least. */
export function raised(points: readonly Drawn[]): { points: Drawn[]; top: number; least: number; most: number } {
  const values = points.map((one) => one.value).filter((one): one is number => one !== undefined);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const room = Math.max(most - least, most * 1e-4, 1e-6);
  return { points: points.map(({ at, value }) => ({ at, value: value === undefined ? undefined : ((value - least) / room) * 100 })), top: 100, least, most };
}

const sum = (vaults: readonly VaultRow[], of: (one: VaultRow) => string) => vaults.reduce((all, one) => all + units(of(one)), 0n);
