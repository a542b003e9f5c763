import { describe, expect, it } from "vitest";
import { checksummed, keccakOfShort } from "./checksum";
import { logText, oneLine } from "./names";
import { ago, duration, secondsOf, span, until } from "./times";

describe("what others wrote", () => {
  it("is one line of seen letters, whatever it is", () => {
    expect(oneLine("a\u202Egpj.exe\u0000\nb")).toBe("a\ufffdgpj.exe\ufffd b");
    expect([...oneLine("x".repeat(10_000))]).toHaveLength(120);
    expect(oneLine("<img src=x onerror=alert(1)>")).toBe("<img src=x onerror=alert(1)>");
  });
  it("of a terminal loses colours, titles and cursor moves, and keeps its lines", () => {
    expect(logText("\u001b[31mred\u001b[0m\u001b]0;title\u0007 \u001b[2Kand\r\nnext")).toBe("red and\nnext");
    expect(logText("10 %\r50 %\r100 %\n")).toBe("100 %\n");
    expect(logText("a\u0008b\u202ec")).toBe("a\ufffdb\ufffdc");
  });
});

describe("addresses", () => {
  it("carry the checksums of EIP-55", () => {
    for (const address of ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"])
      expect(checksummed(address.toLowerCase())).toBe(address);
    expect(keccakOfShort("")).toBe("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    expect(checksummed("0x12")).toBe("0x12");
  });
});

describe("times", () => {
  it("are said as people say them", () => {
    expect([ago(100, 141), ago(0, 840), ago(50_000, 80_000), ago(0, 900_000)]).toEqual(["41 s ago", "14 min ago", "13:53", "1 Jan 00:00"]);
    expect([span(5), span(227), span(7_260), span(400_000)]).toEqual(["5 s", "3 min 47 s", "2 h 1 min", "4 d"]);
  });
  it("are counted down only in the last two minutes", () => {
    expect([until(1_000, 900), until(47_418, 0)]).toEqual(["in 100 s", "13:10:18"]);
  });
  it("that are typed are read as the command line reads them", () => {
    expect([secondsOf("90s"), secondsOf("10m"), secondsOf("2h30m"), secondsOf("90"), secondsOf("1d")]).toEqual([90, 600, 9_000, 90, 86_400]);
    expect([secondsOf(""), secondsOf("0"), secondsOf("-5m"), secondsOf("five")]).toEqual([undefined, undefined, undefined, undefined]);
    expect(duration(9_000)).toBe("2h30m");
  });
});
