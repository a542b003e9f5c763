// What a job used of processors and memory, as its provider sampled it: the time of its processors made into how many were busy. Pure.
import type { JobSample } from "../api/kinds";
import { stretches, type Drawn } from "./gpu_use";

export interface JobUse {
  from: number;
  to: number;
  /** Processors that were busy, in hundredths, between one sample and the one before it. */
  busy: readonly Drawn[];
  memory: readonly Drawn[];
  /** Over the last two samples, and over all; undefined where there is only one. */
  busyNow: number | undefined;
  busyMean: number | undefined;
  mostMemory: number;
  last: JobSample;
}

/** Nothing where nothing was told. */
export function jobUseOf(samples: readonly JobSample[]): JobUse | undefined {
  const sorted = [...samples].sort((one, other) => one.at - other.at);
  const [first, last] = [sorted[0], sorted.at(-1)];
  if (!first || !last) return undefined;
  const busy = sorted.slice(1).map((one, at): Drawn => ({ at: one.at, value: between(sorted[at]!, one) }));
  return {
    from: first.at, to: last.at, busyNow: busy.at(-1)?.value, busyMean: between(first, last), mostMemory: Math.max(...sorted.map((one) => one.memoryUsedMib)), last,
    busy: stretches(busy, (of) => Math.max(...of)), memory: stretches(sorted.map((one): Drawn => ({ at: one.at, value: one.memoryUsedMib })), (of) => Math.max(...of)),
  };
}

/** Hundredths of a processor; a count that went back, after what was entered from outside had ended, is nothing. */
function between(one: JobSample, other: JobSample): number | undefined {
  const seconds = other.at - one.at;
  return seconds > 0 ? Math.floor(Math.max(0, other.cpuMilliseconds - one.cpuMilliseconds) / (10 * seconds)) : undefined;
}

/** Hundredths as people read them. */
export const ofProcessors = (hundredths: number | undefined): string => (hundredths === undefined ? "–" : (hundredths / 100).toFixed(2));
