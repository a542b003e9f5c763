import { expect, test } from "vitest";
import { listingFault, MOST_PRICE, type Listing } from "./listings";

const account = `0x${"ab".repeat(20)}`;
const listed: Listing = { provider: `0x${"AB".repeat(20)}`, price: 290_000n, expiresAt: 2_000, now: 1_000 };

test("one's own offer on the market gets another price, or is taken off", () => {
  expect(listingFault(3, listed, account, 310_000n)).toBe("");
  expect(listingFault(3, listed, account)).toBe("");
});

test("somebody else's offer, one that is off the market, and a change that changes nothing are not sent", () => {
  expect(listingFault(3, { ...listed, provider: `0x${"cd".repeat(20)}` }, account, 1n)).toContain("not of your wallet");
  expect(listingFault(3, { ...listed, now: 2_000 }, account)).toContain("off the market already");
  expect(listingFault(3, listed, account, 290_000n)).toContain("asks that already");
  for (const price of [0n, MOST_PRICE + 1n]) expect(listingFault(3, listed, account, price)).toContain("no price");
});
