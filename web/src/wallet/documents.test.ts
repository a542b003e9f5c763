import { expect, test } from "vitest";
import { isImage, quoted, shareText, specOf, wordsOf, workOf, type Draft } from "./documents";

const digest = "ab".repeat(32);
const draft: Draft = { client: "0xc", gpuClass: 1, gpus: 2, maxSeconds: 60, maxPrice: 1n, expiresAt: 9, command: ["cat", "a"], image: "host", name: "" };

test("an image is named by its bytes, at a host of its own or among the market's files", () => {
  for (const image of ["host", `blob@sha256:${digest}`, `registry.example/team/app@sha256:${digest}`, `localhost:5000/a@sha256:${digest}`]) expect(isImage(image), image).toBe(true);
  for (const image of ["", "app:1", "registry.example/app:1", `app@sha256:${digest}`, `registry.example/app@sha256:${digest.toUpperCase()}`, `Registry.example/app@sha256:${digest}`, `blob@sha256:${digest} `, `registry.example/../app@sha256:${digest}`])
    expect(isImage(image), image).toBe(false);
});

test("the documents name what is said and nothing else, in the order that their hash wants", () => {
  expect(workOf(draft, "5a")).toBe('{"command":["cat","a"],"salt":"5a","version":1}');
  expect(workOf({ ...draft, name: "größe" }, "5a", { sha256: digest, bytes: 2_048 })).toBe(`{"command":["cat","a"],"inputs":[{"bytes":2048,"parts":["${digest}"],"path":"/job/in"}],"name":"größe","salt":"5a","version":1}`);
  expect(workOf({ ...draft, command: [], image: `blob@sha256:${digest}` }, "5a")).toBe('{"command":[],"entrypoint":"image","salt":"5a","version":1}');
  expect(specOf({ ...draft, image: `blob@sha256:${digest}` }, { sha256: digest, bytes: 7 })).toBe(`{"image":"blob@sha256:${digest}","resources":{"gpus":2},"version":2,"work":{"bytes":7,"sha256":"${digest}"}}`);
});

test("a word in a command to copy is one word to a shell", () => {
  expect(["host", "two words", "it's", "$(rm)"].map(quoted)).toEqual(["host", "'two words'", "'it'\\''s'", "'$(rm)'"]);
  for (const word of ["it's", "a b"]) expect(wordsOf(`x ${quoted(word)}`)).toEqual(["x", word]);
});

test("a share is signed over the text that gateways look for", () => {
  const market = { chainId: 31337, market: `0x${"ab".repeat(20)}` } as never;
  expect(shareText("0xlease", "log", 1_796_000_000, market)).toBe(`Compute Bourse share\n\nLease: 0xlease\nRead: log\nUntil block time: 1796000000\nChain id: 31337\nMarket: 0x${"ab".repeat(20)}`);
});
