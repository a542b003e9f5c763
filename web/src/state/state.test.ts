import { describe, expect, it, vi } from "vitest";
import { saidOfReplaced } from "../logic/say";
import { heldOf, isNewer, show, startOver } from "./answers";
import { forgetHead, head, heard, isCut, replaced, tick } from "./head";
import { grown } from "./log";
import { placeOf } from "./route";

const at = (number: number, hash = `0x${number}`) => ({ block: { number, hash, timestamp: 1_000 + number, time: "" } });

describe("answers", () => {
  it("of an older block never replace a newer one", () => {
    expect(isNewer(at(5), at(4))).toBe(false);
    expect(isNewer(at(5), at(5))).toBe(true);
    expect(isNewer(undefined, at(1))).toBe(true);
    expect(isNewer(at(5), { items: [] })).toBe(true);
  });
  it("of blocks that left the chain are replaced by those of lower ones, and what was asked before the turn does not count", async () => {
    vi.stubGlobal("document", { hidden: false });
    const asked: ((answer: unknown) => Promise<void>)[] = [];
    const question = () => new Promise((resolve) => asked.push(async (answer) => (resolve(answer), await new Promise((turn) => setTimeout(turn)))));
    const stop = show("prices", "each block", question);
    await asked[0]!(at(9));
    startOver();
    startOver();
    await asked[1]!(at(9, "0xgone"));
    expect(heldOf("prices")).toEqual(at(9));
    await asked[2]!(at(7));
    expect(heldOf("prices")).toEqual(at(7));
    stop();
    vi.unstubAllGlobals();
  });
});

describe("the head", () => {
  it("goes forward only, and knows a replaced block by its hash", () => {
    forgetHead();
    heard(at(7).block);
    heard(at(6).block);
    expect(head.value?.block.number).toBe(7);
    heard(at(7, "0xother").block);
    expect(head.value?.block.hash).toBe("0xother");
    expect([saidOfReplaced({ first: 7, last: 7 }), saidOfReplaced({ first: 7, last: 9 })]).toEqual(["Block 7 was replaced.", "Blocks 7 to 9 were replaced."]);
    expect(replaced.value.at(-1)).toEqual({ first: 7, last: 7 });
  });
});

describe("what is shown", () => {
  const block = (number: number, timestamp: number) => ({ number, hash: `0x${number}`, timestamp, time: "" });
  const isCutAfter = (seconds: number) => ((tick.value = head.value!.heardAt + seconds * 1000), isCut.value);
  it("counts as stale after three blocks of its chain, and never before ten seconds", () => {
    forgetHead();
    heard(block(1, 100));
    heard(block(2, 101));
    expect([isCutAfter(10), isCutAfter(11)]).toEqual([false, true]);
    heard(block(4, 125));
    expect([isCutAfter(36), isCutAfter(37)]).toEqual([false, true]);
    heard(block(5, 9_000));
    expect(isCutAfter(121)).toBe(true);
  });
});

describe("places", () => {
  it("are read from any address, hostile ones too", () => {
    expect(placeOf("#/job/0xab?share=log.1")).toMatchObject({ view: "job", of: "0xab" });
    expect(placeOf("#/market/%E0%A4%A")).toMatchObject({ view: "market", of: "%E0%A4%A" });
    expect(placeOf("")).toMatchObject({ view: "market", of: "" });
  });
});

describe("a log", () => {
  it("stays short, and its line numbers stay true", () => {
    let kept = { text: "", dropped: 0, state: "following" as const, problem: undefined };
    for (let turn = 0; turn < 60; turn++) kept = { ...grown(kept, "0123456789abcdef\n".repeat(1_000)), state: "following", problem: undefined };
    expect(kept.text.length).toBeLessThanOrEqual(400_000);
    expect(kept.dropped + kept.text.split("\n").length - 1).toBe(60_000);
  });
});
