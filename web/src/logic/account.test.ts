import { expect, test } from "vitest";
import type { Lease } from "../api/kinds";
import { saidOfSilence, stakeOf, worstOf } from "./account";

const order = { gpus: "2", startsAt: "0", minSeconds: "0", maxSeconds: "600", maxPrice: "3600" };
const lease = { id: "0xo", status: "Open", price: "3600", openedAt: 1_000, paidSeconds: 0, paid: "0", deadline: null, lastHeartbeat: 1_100, order } as unknown as Lease;
const said = (amount: bigint) => `${amount}u`;
const at = (instant: number) => `@${instant}`;

test("what a silent provider's client does is nothing, and the sentence says when the money is back, and how much", () => {
  const stake = stakeOf(lease, 2_000, 0n, 1_150, 60)!;
  expect(stake).toMatchObject({ all: 1_200n, locked: 1_200n, run: 300n, bond: 240n, endsBy: 1_660 });
  expect(saidOfSilence(stake, 1_150, 60, said, at)).toBe("");
  expect(saidOfSilence(stake, 1_161, 60, said, at)).toContain("unless it comes back, the lease can be expired from @1660 on, and all 1200u that is locked comes back, with up to 240u of its bond");
  expect(saidOfSilence({ ...stake, lastHeartbeat: null }, 1_001, 60, said, at)).toContain("is silent");
  expect(saidOfSilence({ ...stake, bond: 5_000n }, 1_161, 60, said, at)).toContain("up to 1200u of its bond");
  expect(saidOfSilence(stake, 1_660, 60, said, at)).toContain("anybody may expire it now");
  expect(saidOfSilence({ ...stake, status: "Claimed" }, 9_000, 60, said, at)).toBe("");
});

test("what waits is counted and summed at its worst", () => {
  expect(worstOf([{ state: "book", worstCost: "5" }, { state: "open", worstCost: "9" }, { state: "book", worstCost: "2" }] as never)).toEqual({ count: 2, amount: 7n });
});
