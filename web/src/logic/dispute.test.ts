import { expect, test } from "vitest";
import { evidenceOf, groundsOf, saidOfChecks, shareOf, waysOf } from "./dispute";

const order = { gpus: "2", startsAt: "0", minSeconds: "0", maxSeconds: "600" };
const windows = { startGrace: 30, claimGrace: 60, challengeWindow: 120, rulingWindow: 240, bondFloor: "50" };
const open = { status: "Open" as const, price: "3600", openedAt: 1_000, paidSeconds: 10, claimedSeconds: 0, changedAt: 0 };
const claimed = { ...open, status: "Claimed" as const, claimedSeconds: 100, changedAt: 1_200 };
const disputed = { ...open, status: "Disputed" as const, claimedSeconds: 100, changedAt: 1_100 };

test("a lease that runs may be disputed from its start grace to its deadline, over what is on its meter", () => {
  expect(groundsOf(order, open, windows, 2_000, 1_029)).toMatchObject({ from: 1_030, until: 1_660, isOpen: false });
  expect(groundsOf(order, open, windows, 2_000, 1_050)).toMatchObject({ isOpen: true, seconds: 50, amount: 80n, stake: 240n });
  expect(groundsOf(order, open, windows, 2_000, 1_660)).toMatchObject({ isOpen: false, seconds: 600 });
  expect(groundsOf(order, open, windows, 0, 1_050)?.stake).toBe(50n);
  expect(groundsOf({ ...order, startsAt: "2000" }, open, windows, 0, 1_900)).toMatchObject({ from: 2_030, seconds: 0, amount: 0n, isOpen: false });
});

test("a claim may be disputed until its window is over, over what is claimed; what is over may not", () => {
  expect(groundsOf(order, claimed, windows, 2_000, 1_319)).toMatchObject({ until: 1_320, isOpen: true, seconds: 100, amount: 180n });
  expect(groundsOf(order, claimed, windows, 2_000, 1_320)?.isOpen).toBe(false);
  expect(groundsOf(order, disputed, windows, 2_000, 1_320)).toBeUndefined();
});

test("who rules pays at most what is in question, or was guaranteed; where nobody does, half of it; the loser's stake is split", () => {
  expect(waysOf(order, disputed, windows, 2_000)).toEqual({ ruledUntil: 1_340, mostSeconds: 100, most: 180n, lapsed: 90n, stake: 240n, won: 120n });
  expect(waysOf({ ...order, minSeconds: "300" }, disputed, windows, 2_000)).toMatchObject({ mostSeconds: 300, most: 580n, lapsed: 290n });
  expect(waysOf({ ...order, minSeconds: "100" }, { ...disputed, claimedSeconds: 5 }, windows, 2_000)).toMatchObject({ mostSeconds: 10, most: 0n, lapsed: 0n });
  expect(waysOf(order, disputed, { ...windows, bondFloor: "241" }, 2_000)).toMatchObject({ stake: 241n, won: 121n });
  expect(waysOf(order, claimed, windows, 2_000)).toBeUndefined();
});

test("what was found is said as it is, and stands in the document as text", () => {
  const checked = [{ what: "result", named: "aa", found: "aa" }, { what: "log", named: "bb", found: "cc" }, { what: "/job/out, part 1", named: "dd", found: "" }];
  expect(saidOfChecks([])).toContain("No result was delivered");
  expect(saidOfChecks(checked.slice(0, 1))).toBe("The one hash that the provider signed matches what is there.");
  expect(saidOfChecks(checked)).toBe("1 of 3 is not what was signed; 1 of 3 cannot be had.");
  const told = evidenceOf({ chainId: 1, market: "0xm" } as never, { id: "0xo", order } as never, claimed as never, [], { exit_code: 0 }, checked);
  expect(JSON.parse(told)).toMatchObject({ chainId: 1, id: "0xo", lease: { claimedSeconds: 100 }, result: { exit_code: 0 }, checked });
});

test("an address may bring leave to read the log and the outputs, each by itself", () => {
  expect(shareOf(["log.1.0xa.0xb", "outputs.1.0xa.0xc"], "outputs")).toBe("outputs.1.0xa.0xc");
  expect(shareOf(["outputs.1.0xa.0xc"], "log")).toBeUndefined();
  expect(shareOf(["odd"], "log")).toBe("odd");
});
