import { describe, expect, it } from "vitest";
import { bondOf, earned, exact, locked, priced, spoken, unitsOf, written } from "./amounts";

describe("amounts", () => {
  it("are exact beyond what a Number holds", () => {
    expect(exact(123456789012345678901234567890n, 6)).toBe("123,456,789,012,345,678,901,234.567890");
  });
  it("tell digits that say something from dust", () => {
    expect(written(17_920_000n, 6)).toEqual({ digits: "17.92", dust: "0000" });
    expect(written(2_847n, 6)).toEqual({ digits: "0.002847", dust: "" });
    expect(written(16_500n, 6)).toEqual({ digits: "0.0165", dust: "00" });
    expect(written(0n, 6)).toEqual({ digits: "", dust: "0.000000" });
  });
  it("are spoken with two decimals from one on, and to their last digit below", () => {
    expect(spoken(1_937_064_999n, 6)).toBe("1,937.06");
    expect(spoken(16_500n, 6)).toBe("0.0165");
    expect(spoken(-345_150n, 6)).toBe("\u22120.34515");
    expect(spoken(0n, 6)).toBe("0.00");
  });
  it("of prices have more than two decimals only below one and where they say something", () => {
    expect(priced(2_240_000n, 6)).toBe("2.24");
    expect(priced(312_500n, 6)).toBe("0.3125");
    expect(priced(310_000n, 6)).toBe("0.31");
  });
  it("that are typed are taken to the unit or not at all", () => {
    expect(unitsOf("2.5", 6)).toBe(2_500_000n);
    expect(unitsOf("1,000", 6)).toBe(1_000_000_000n);
    for (const text of ["", "1e6", "-1", "0.0000001", "2.5.1", "0x10", "NaN"]) expect(unitsOf(text, 6)).toBeUndefined();
  });
  it("follow the contract's rounding: locks up, pay down, bonds down to a floor", () => {
    expect(locked(2_050_000n, 1n, 45n)).toBe(25_625n);
    expect(locked(1n, 1n, 1n)).toBe(1n);
    expect(earned(1n, 1n, 1n)).toBe(0n);
    expect(bondOf(25_625n, 2_000n, 100_000n)).toBe(100_000n);
    expect(bondOf(17_920_000n, 2_000n, 100_000n)).toBe(3_584_000n);
  });
});
