import { expect, test } from "vitest";
import type { OrderDocument } from "../api/kinds";
import { classesOf, isReservation, saidOfReservations, saidOfTerm, standingOf, termOf } from "./reservations";
import { asText } from "./say";

const COIN = { symbol: "tUSD", decimals: 6 };
const order = { client: "0xc", classes: "6", gpus: "8", maxSeconds: "7200", minSeconds: "3600", maxPrice: "2100000", startsAt: "9000", expiresAt: "8000" } as unknown as OrderDocument;
const at = (instant: number) => `@${instant}`;

test("a reservation says what it wants, what it guarantees at least and what it can cost at worst, to the unit", () => {
  expect(termOf("0xo", order)).toMatchObject({ classes: [1, 2], gpus: 8, startsAt: 9_000, endsAt: 16_200, guaranteed: 16_800_000n, worst: 33_600_000n, expiresAt: 8_000 });
  expect(classesOf((1n << 256n) - 1n)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect([isReservation(order, 8_999), isReservation(order, 9_000), isReservation({ startsAt: "0" }, 1)]).toEqual([true, false, false]);
});

test("it waits, is reserved, runs and is over by the chain's word", () => {
  expect(["book", "open", "closed"].map((state) => standingOf(order, state, 8_999))).toEqual(["waits for a provider", "reserved", "closed"]);
  expect(standingOf(order, "open", 9_000)).toBe("runs");
});

test("what waits is said in a sentence, and of one's own what ending it before its beginning costs", () => {
  const terms = [termOf("0xa", { ...order, maxPrice: "2000000" }), termOf("0xb", order)];
  expect(asText(saidOfReservations([], () => "H100", COIN))).toBe("No reservation waits for a provider now.");
  expect(asText(saidOfReservations(terms, () => "H100", COIN))).toBe("2 reservations wait for a provider. The dearest wants 8 × H100 for 2.10 tUSD an hour at most.");
  expect(asText(saidOfTerm(order, "book", undefined, COIN, 10, at) ?? [])).toBe("A reservation from @9000 on. No provider has opened it; until @8000 any whose offer fits may.");
  expect(asText(saidOfTerm(order, "open", { price: "2000000", offer: 3 }, COIN, 10, at) ?? [])).toBe("Reserved on offer 3 from @9000 on. Ending it before costs 16.00.");
  expect(saidOfTerm(order, "open", { price: "2000000", offer: 3 }, COIN, 9_000, at)).toBeUndefined();
});
