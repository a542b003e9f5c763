import { expect, test } from "vitest";
import { jobUseOf, ofProcessors } from "./job_use";

const sample = (at: number, cpuMilliseconds: number, memoryUsedMib = 100) => ({ at, cpuMilliseconds, memoryUsedMib, cpus: 4, memoryMib: 4_096 });

test("how many processors were busy is the time they took over the time that went by, whatever order it was told in", () => {
  const use = jobUseOf([sample(1_010, 15_000, 900), sample(1_000, 0), sample(1_020, 20_000, 300)]);
  expect(use).toMatchObject({ from: 1_000, to: 1_020, busyNow: 50, busyMean: 100, mostMemory: 900, last: { memoryUsedMib: 300 } });
  expect(use?.busy.map((one) => one.value)).toEqual([150, 50]);
  expect(ofProcessors(use?.busyNow)).toBe("0.50");
});

test("one sample says nothing of processors, none nothing at all, and a count that went back is no use", () => {
  expect(jobUseOf([])).toBeUndefined();
  expect(jobUseOf([sample(1_000, 5)])).toMatchObject({ busyNow: undefined, busyMean: undefined, mostMemory: 100 });
  expect(ofProcessors(undefined)).toBe("–");
  expect(jobUseOf([sample(1_000, 5_000), sample(1_010, 1_000)])?.busyNow).toBe(0);
  expect(jobUseOf([sample(1_000, 5), sample(1_000, 6)])?.busyNow).toBeUndefined();
});

test("an hour of samples is thinned to what can be drawn", () => {
  expect(jobUseOf(Array.from({ length: 360 }, (_, at) => sample(at * 10, at * 1_000)))?.memory).toHaveLength(90);
});
