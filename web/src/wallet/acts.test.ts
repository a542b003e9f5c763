import { toFunctionSelector, type AbiFunction } from "viem";
import { expect, test, vi } from "vitest";
import told from "../../../marketplace/chain/abi/ComputeMarket.json";

vi.stubGlobal("document", { querySelector: () => null });
const { MARKET } = await import("./acts");

test("every verb that the page sends is one of the market's, to the last field", () => {
  const real = new Map(told.abi.filter((one) => one.type === "function").map((one) => [one.name, one as unknown as AbiFunction]));
  const verbs = MARKET.filter((one) => one.type === "function");
  for (const one of verbs) expect([one.name, toFunctionSelector(one), one.stateMutability]).toEqual([one.name, toFunctionSelector(real.get(one.name)!), real.get(one.name)!.stateMutability]);
  expect(verbs.map((one) => one.name)).toEqual(expect.arrayContaining(["cancel", "terminate", "dispute", "rule", "lapse", "expire", "withdraw", "reprice", "depositWithPermit"]));
});
