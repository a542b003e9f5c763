import { describe, expect, it } from "vitest";
import type { Bid, LeaseRow, Offer, Span } from "../api/kinds";
import { clearedAt, freeBy, historyOf } from "./history";
import { inShort, ladderOf, puzzling, sizesOf } from "./ladder";
import { asText, saidOfClass, saidOfNetwork } from "./say";
import { NOTHING, taken, type Told } from "./ledger";

const COIN = { symbol: "tUSD", decimals: 6 };
const offer = (id: number, gpus: number, free: number, price: string, silent = false) => ({ id, gpus, free, price, silent, listed: true, className: "H100-SXM-80GB" }) as unknown as Offer;
const bid = (id: string, gpus: number, maxPrice: string) => ({ id, gpus, maxPrice }) as unknown as Bid;
const isSilent = (one: Offer) => one.silent;
const OFFERS = [offer(3, 1, 1, "1980000", true), offer(2, 4, 0, "2050000"), offer(1, 8, 1, "2240000"), offer(5, 2, 0, "2400000")];

describe("the sentence of a class", () => {
  it("names the cheapest that can be had, not one that is silent or full", () => {
    expect(asText(saidOfClass("H100-SXM-80GB", OFFERS, isSilent, COIN))).toBe("One H100 is to be had for 2.24 tUSD an hour. No two are free together.");
  });
  it("says so where nothing can be had, and where nobody offers one", () => {
    expect(asText(saidOfClass("H100-SXM-80GB", OFFERS.slice(0, 2), isSilent, COIN))).toContain("let or silent");
    expect(asText(saidOfClass("A100-PCIE", [], isSilent, COIN))).toBe("Nobody offers an A100 now. An order waits for one.");
  });
  it("of the network never says solvent of what was not read", () => {
    expect(asText(saidOfNetwork(undefined, 9, COIN))).not.toContain("olvent");
    expect(asText(saidOfNetwork(-1n, 9, COIN))).toContain("lacks");
    expect(asText(saidOfNetwork(0n, 9, COIN))).toBe("Solvent to the unit at block 9.");
  });
});

describe("the ladder", () => {
  it("puts orders and machines of one price on one line, highest first, and marks what can be had", () => {
    const { levels, mark, wanted, live } = ladderOf([bid("a", 2, "2240000"), bid("b", 1, "2000000")], OFFERS, isSilent);
    expect(levels.map((one) => one.price)).toEqual([2_400_000n, 2_240_000n, 2_050_000n, 2_000_000n, 1_980_000n]);
    expect(mark).toBe(2_240_000n);
    expect(levels[1]).toMatchObject({ isMark: true, why: "2 together, 1 free" });
    expect(levels[3]?.why).toBe("limits below");
    expect(wanted).toEqual({ orders: 2, gpus: 3 });
    expect(live).toEqual({ gpus: 14, free: 1, silent: 1, let: 13 });
  });
  it("leaves it to a round to say why an order waits for which something is free", () => {
    const bids = [bid("a", 2, "2240000"), bid("b", 1, "2300000"), bid("c", 1, "2000000")];
    expect(puzzling(ladderOf(bids, OFFERS, isSilent))).toEqual(["b"]);
    expect(ladderOf(bids, OFFERS, isSilent, 25, new Map([["b", "declined by 2"]])).levels.find((one) => one.price === 2_300_000n)?.why).toBe("declined by 2");
    expect(inShort({ reasons: { PriceOutOfBounds: 9, DeclinedBefore: 2 } })).toBe("declined by 2");
    expect(inShort({ reasons: { NotEnoughGpus: 9, BondTooSmall: 3 } })).toBe("3 with too small a bond");
    expect(inShort({ reasons: { ClassNotAccepted: 9 } })).toBe("");
  });
  it("shows no more lines than fit, those around the mark, and counts the others", () => {
    const many = Array.from({ length: 100 }, (_, at) => bid(`o${at}`, 1, String(1_000_000 + at * 20_000)));
    const { levels, above, below } = ladderOf(many, OFFERS, isSilent);
    expect(levels).toHaveLength(25);
    expect(levels.some((one) => one.isMark)).toBe(true);
    expect(above + below + 25).toBe(new Set([...many.map((one) => one.maxPrice), ...OFFERS.map((one) => one.price)]).size);
  });
  it("says of several together when they are to be had at the latest", () => {
    const sizes = sizesOf(OFFERS, isSilent, (id) => (id === 2 ? 50_520 : undefined), () => "14:02");
    expect(sizes.map((one) => one.soonest)).toEqual(["now, offer 1", "14:02 at the latest", "14:02 at the latest", "when it comes free"]);
  });
});

const block = (number: number) => ({ number, hash: `0x${number}`, timestamp: 1_000 + number, time: "" });
const event = (name: string, number: number, fields: Record<string, unknown>): Told => ({ name, fields, block: block(number), tx: `0xt${number}`, logIndex: 0 });
const STORY = [
  event("OfferListed", 1, { offer: 1, provider: "0xp", value: { class: 23, gpus: 8 } }),
  event("LeaseOpened", 2, { lease: "0xl", offer: 1, client: "0xc", price: "2240000", order: { gpus: "2", maxSeconds: "60" } }),
  event("LeaseSettled", 5, { lease: "0xl", last: false, paid: "1", refund: "0" }),
  event("LeaseSettled", 9, { lease: "0xl", last: true, paid: "2", refund: "3" }),
];

describe("the ledger", () => {
  it("counts an event once, however often it is told", () => {
    const once = taken(NOTHING, STORY);
    expect(taken(once, STORY).servings).toEqual(once.servings);
    expect(once.servings).toHaveLength(1);
  });
  it("does not end a lease with a receipt on the way", () => {
    expect(taken(NOTHING, STORY.slice(0, 3)).servings[0]?.ended).toBeUndefined();
    expect(taken(NOTHING, STORY).servings[0]?.ended?.block.number).toBe(9);
  });
});

const span = (start: number, opened: number, gpus: number, held: number) => ({ start, opened, gpusOpened: gpus, let: held, listed: 8, mean: opened ? "2100000" : null, lowest: opened ? "2000000" : null, highest: opened ? "2240000" : null }) as unknown as Span;
const row = (offer: number, openedAt: number, gpus: string, price: string, endsBy: number | null) => ({ offer, openedAt, price, endsBy, order: { gpus } }) as unknown as LeaseRow;

describe("history", () => {
  it("is finer than a minute while every opening is known, and as the gateway sums it when not", () => {
    const leases = [row(1, 65, "1", "2000000", null), row(1, 95, "1", "2240000", null)];
    const spans = [{ ...span(0, 0, 0, 0), listed: 0 } as Span, span(60, 2, 2, 2), span(120, 0, 0, 1)];
    const fine = historyOf(spans, 60, leases, 150);
    expect(fine).toMatchObject({ step: 10, from: 60, buckets: [{ mean: 2_000_000n, from: 60 }, { mean: 2_240_000n, from: 90 }], use: [{ at: 120, gpus: 2 }, { at: 150, gpus: 1 }] });
    expect(historyOf(spans, 60, leases.slice(1), 150)).toMatchObject({ step: 60, buckets: [{ mean: 2_100_000n, low: 2_000_000n, high: 2_240_000n, gpus: 2 }] });
    expect(clearedAt(fine, 70)).toMatchObject({ last: { price: 2_240_000n }, earlier: { price: 2_000_000n }, isThatOld: true });
  });
  it("knows by when GPUs must be free, only of leases that still run", () => {
    const leases = [row(1, 0, "1", "1", 90), row(1, 0, "1", "1", 70), row(1, 0, "8", "1", null), row(2, 0, "8", "1", 10)];
    expect([freeBy(leases, 1, 1), freeBy(leases, 1, 2), freeBy(leases, 1, 3)]).toEqual([70, 90, undefined]);
  });
});
