import { expect, test } from "vitest";
import { contradiction, ownWordIn } from "./own";

const told = { chainId: 31337, market: "0xAA", token: { address: "0xbb", symbol: "tUSD", decimals: 6 }, opener: "0xcc", arbiter: "0xdd" } as never;
const own = { gateway: "gateway.example", chain: 31337, market: "0xaa", token: "0xBB", opener: "0xcc", arbiter: null };

test("the same market is the same, however its letters are written, and a role that the book leaves open is anybody's", () => {
  expect(contradiction(own, told)).toBe("");
});

test("another market, token, chain or role is refused by name", () => {
  expect(contradiction({ ...own, market: "0xee" }, told)).toBe("The gateway at gateway.example names the market 0xAA; your address book names 0xee. Nothing of it is shown.");
  expect(contradiction({ ...own, chain: 1 }, told)).toContain("names the chain 31337");
  expect(contradiction({ ...own, token: "0xee" }, told)).toContain("names the token");
  expect(contradiction({ ...own, opener: "0xee" }, told)).toContain("names the scheduler");
  expect(contradiction({ ...own, arbiter: "0xee" }, told)).toContain("names the arbiter");
});

test("a page that a gateway serves has no word of its own", () => {
  expect(ownWordIn(null)).toBeUndefined();
  expect(ownWordIn(JSON.stringify(own))).toEqual(own);
});
