import { describe, expect, it } from "vitest";
import type { Lease, Market, OrderEvent, OrderTold } from "../api/kinds";
import { attemptsOf, attemptsOver, happeningsOf, happeningsOver, endingCost, servingsOf, type Known } from "./job";
import { asText, saidOfJob } from "./say";

const COIN = { symbol: "tUSD", decimals: 6 };
const event = (name: string, at: number, block: number | null, fields: object) => ({ name, at, reason: "", detail: "", fields, block, tx: block === null ? null : `0xtx${block}`, atTime: null }) as unknown as OrderEvent;
const order = { id: "0xo", state: "closed", acceptedAt: 90, withdrawnAt: null, worstCost: "32500", order: { gpus: "1", maxSeconds: "45", maxPrice: "2600000", startsAt: "0" }, lease: { offer: 2, price: "2050000", openedAt: 200, paidSeconds: 25 } } as unknown as OrderTold;
const lease = { status: "Closed", exit: "LeaseSettled", offer: 2, price: "2050000", openedAt: 200, paidSeconds: 25, paid: "14236", refund: "11389", compensation: "0" } as unknown as Lease;
const EVENTS = [
  event("accepted", 90, null, {}),
  event("LeaseOpened", 100, 10, { lease: "0xo", offer: 3, price: "1980000" }),
  event("LeaseDeclined", 105, 15, { lease: "0xo", refund: "24750" }),
  event("LeaseOpened", 200, 20, { lease: "0xo", offer: 2, price: "2050000" }),
  event("LeaseSettled", 226, 46, { lease: "0xo", last: true, paid: "14236", refund: "11389" }),
];
const known: Known = { order, lease, servings: servingsOf(EVENTS, order.order), receipts: [], declines: [], explanation: undefined, market: { bondFloor: "100000" } as Market, bondBps: () => 2_000, coin: COIN };

describe("a job", () => {
  it("has an attempt for each opening, and each adds up to the unit", () => {
    const attempts = attemptsOf(known);
    expect(attempts.map((one) => [one.offer, one.exit, one.locked, one.paid, one.refund])).toEqual([[3, "LeaseDeclined", 24_750n, 0n, 24_750n], [2, "LeaseSettled", 25_625n, 14_236n, 11_389n]]);
    for (const one of attempts) expect(one.paid + one.refund).toBe(one.locked);
  });
  it("is told in the order of block time, with what failed never left out, and what is not deep enough marked", () => {
    const rows = happeningsOf(known, 46, 2);
    expect(rows.map((one) => one.what)).toEqual(["Order accepted", "Lease opened", "Declined by the provider", "Lease opened", "Lease settled"]);
    expect(rows[2]).toMatchObject({ reason: "LeaseDeclined", isBad: true });
    expect(rows.map((one) => one.isProvisional)).toEqual([false, false, false, false, true]);
  });
  it("of several orders is one story: attempts are numbered through, and the same work is ordered again", () => {
    const again: Known = { ...known, order: { ...order, acceptedAt: 230 }, lease: undefined, servings: servingsOf([event("LeaseOpened", 240, 60, { lease: "0xp", offer: 4, price: "2050000" })], order.order) };
    expect(attemptsOver([known, again]).map((one) => [one.number, one.offer])).toEqual([[1, 3], [2, 2], [3, 4]]);
    expect(happeningsOver([known, again], 60).map((one) => one.what).slice(-3)).toEqual(["Lease settled", "Ordered again", "Lease opened"]);
  });
  it("that was reserved has its meter begin with its term, not with its opening", () => {
    const reserved = { ...known, order: { ...order, order: { ...order.order, startsAt: "150" } } };
    expect(attemptsOf(reserved).map((one) => [one.openedAt, one.startsAt])).toEqual([[100, 150], [200, 200]]);
  });
  it("costs, when it is ended now, what has run and is not paid yet", () => {
    const [terms, open] = [{ gpus: "2", maxSeconds: "60", minSeconds: "0", startsAt: "0" }, { price: "3600000", openedAt: 100, paidSeconds: 10 }];
    expect(endingCost(terms, open, 130)).toBe(40_000n);
    expect(endingCost(terms, { ...open, paidSeconds: 0 }, 9_999)).toBe(120_000n);
  });
  it("costs no less than its order guarantees, before its term begins, too", () => {
    const [terms, open] = [{ gpus: "2", maxSeconds: "60", minSeconds: "40", startsAt: "500" }, { price: "3600000", openedAt: 100, paidSeconds: 10 }];
    expect(endingCost(terms, open, 130)).toBe(60_000n);
    expect(endingCost(terms, open, 545)).toBe(70_000n);
    expect(endingCost(terms, { ...open, paidSeconds: 50 }, 545)).toBe(0n);
  });
  it("is said in a sentence by what is known, and not as done where nobody knows", () => {
    expect(asText(saidOfJob(order, lease, COIN))).toBe("The job is over. The work cost 0.014236; 0.011389 came back.");
    expect(asText(saidOfJob(order, lease, COIN, "The job", "", 3))).toContain("failed with exit code 3");
    expect(asText(saidOfJob({ ...order, state: "book" }, undefined, COIN, "The job", "you need 4 together"))).toBe("The job waits. You need 4 together.");
  });
});
