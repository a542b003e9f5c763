import { afterEach, expect, test, vi } from "vitest";
import { canonical } from "../wallet/documents";
import { fetchChecked, found, resultHash, sha256 } from "./outputs";

const bytes = (text: string) => new TextEncoder().encode(text);
const [log, output] = [bytes("said"), bytes("made")];

/** A gateway that has these blobs, and others by the name of `bad`. */
async function served(bad: "log" | "output" | "" = "") {
  const [ofLog, ofOutput] = [await sha256(log), await sha256(output)];
  const blobs = new Map([[ofLog, bad === "log" ? bytes("else") : log], [ofOutput, bad === "output" ? undefined : output]]);
  vi.stubGlobal("fetch", async (path: string) => {
    const blob = blobs.get(path.split("/").at(-1)!.split("?")[0]!);
    return blob ? new Response(blob) : new Response("{}", { status: 404 });
  });
  return { result: { exit_code: 0, log: { sha256: ofLog, bytes: 4 }, outputs: [{ path: "/job/out", bytes: 4, parts: [ofOutput] }] } } as never as Parameters<typeof found>[1];
}

afterEach(() => vi.unstubAllGlobals());

test("what both sides are to see is hashed in full: what is another thing, or cannot be had, stands there as it is", async () => {
  const told = await served();
  const named = await resultHash(told);
  expect(named).toBe(`0x${await sha256(bytes(canonical(told.result)))}`);
  expect((await found("0xl", told, named)).map((one) => [one.what, one.named === one.found])).toEqual([["the result document", true], ["the log", true], ["/job/out, part 1 of 1", true]]);
  expect((await found("0xl", await served("log"), named)).map((one) => one.named === one.found)).toEqual([true, false, true]);
  expect((await found("0xl", await served("output"), "0x00")).map((one) => [one.named === one.found, one.found !== ""])).toEqual([[false, true], [true, true], [false, false]]);
});

test("an output with a part that is not what was signed is not handed on", async () => {
  const told = await served();
  const folder = { path: "/job/out", bytes: 4, parts: [await sha256(output)] };
  expect(await (await fetchChecked("0xl", folder, undefined)).text()).toBe("made");
  await expect(fetchChecked("0xl", { ...folder, parts: [await sha256(log)] }, undefined).then((blob) => blob.text())).resolves.toBe("said");
  await served("log");
  await expect(fetchChecked("0xl", { ...folder, parts: [(told.result as { log: { sha256: string } }).log.sha256] }, undefined)).rejects.toThrow("not the bytes");
});
