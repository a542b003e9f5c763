import { expect, test } from "vitest";
import type { GpuSample } from "../api/kinds";
import { gpuUseOf, lineOf } from "./gpu_use";

const sample = (uuid: string, at: number, busyPercent: number | null, memoryUsedMib: number | null = null) => ({ uuid, at, busyPercent, memoryUsedMib, powerWatts: null, temperatureCelsius: null }) as GpuSample;

test("each GPU has its own mean, peak and newest sample, in whatever order they are told", () => {
  const [one, two, ...rest] = gpuUseOf([sample("a", 20, 91, 300), sample("b", 10, 0), sample("a", 10, 80, 900)]);
  expect(one).toMatchObject({ uuid: "a", meanBusy: 85, mostMemory: 900, last: { at: 20 } });
  expect(two).toMatchObject({ uuid: "b", meanBusy: 0, mostMemory: undefined });
  expect(rest).toEqual([]);
});

test("an hour of samples is thinned to what can be told apart, peaks of memory kept", () => {
  const [use] = gpuUseOf(Array.from({ length: 720 }, (_, at) => sample("a", at * 5, at % 2 ? 100 : 0, at === 77 ? 9_000 : 1)));
  expect(use!.busy).toHaveLength(90);
  expect(new Set(use!.busy.map((one) => one.value))).toEqual(new Set([50]));
  expect(Math.max(...use!.memory.map((one) => one.value ?? 0))).toBe(9_000);
});

test("a line breaks where nothing was told, and stays within its frame", () => {
  const points = [{ at: 0, value: 0 }, { at: 5, value: 50 }, { at: 10, value: undefined }, { at: 15, value: 900 }];
  expect(lineOf(points, 100, 0, 20, 200, 20)).toBe("M0.0 20.0L50.0 10.0M150.0 0.0");
});
