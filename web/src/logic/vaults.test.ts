import { expect, test } from "vitest";
import type { Loan, VaultRow } from "../api/kinds";
import { asText } from "./say";
import { raised, saidOfVault, saidOfVaults, standingOfLoan, waiting, withSeen } from "./vaults";

const coin = { symbol: "tUSD", decimals: 6 };
const vault = (of: Partial<VaultRow> = {}) => ({ cash: "140810001", assets: "150050002", price: "1000333", supply: "150000000000000", pendingShares: "75000000000000", isImpaired: false, ...of }) as VaultRow;

test("a vault is said with its price, what is free, and whether anybody may enter", () => {
  expect(asText(saidOfVault(vault(), coin))).toBe("A share that was bought for one tUSD at first is worth 1.00; 140.81 of 150.05 tUSD are free.");
  expect(asText(saidOfVault(vault({ isImpaired: true }), coin))).toContain("nobody enters now");
  expect(asText(saidOfVault(vault({ supply: "0" }), coin))).toBe("Nothing has been lent through this vault.");
  expect(asText(saidOfVaults([vault(), vault()], coin))).toBe("2 vaults lend against leases: 300.10 tUSD in them, 281.62 of it free.");
});

test("what waits to leave is at the price of now, and nothing where there are no shares", () => {
  expect(waiting(vault())).toBe(75_025_001n);
  expect(waiting(vault({ supply: "0" }))).toBe(0n);
});

test("a loan is covered, impaired, repaid or written off", () => {
  const stands = (state: string, isImpaired = false) => standingOfLoan({ state, isImpaired } as Loan);
  expect([stands("drawn"), stands("drawn", true), stands("repaid"), stands("written_off", true)]).toEqual(["covered", "impaired", "repaid", "written off"]);
});

test("prices are kept once for each block, and what little moved is drawn from edge to edge", () => {
  const once = withSeen([], 10, 1_000_000n, 6);
  expect(withSeen(once, 10, 2_000_000n, 6)).toBe(once);
  const twice = withSeen(once, 11, 1_000_300n, 6);
  const drawn = raised(twice);
  expect(drawn.points.map((one) => Math.round(one.value ?? -1))).toEqual([0, 100]);
  expect([drawn.least, drawn.most]).toEqual([1, 1.0003]);
});
