// How busy a job's GPUs were, as its provider sampled them: thinned to what can be drawn, and summed for reading. Pure.
import type { GpuSample } from "../api/kinds";

/** One value over a stretch of samples; undefined where the driver told none. */
export interface Drawn {
  at: number;
  value: number | undefined;
}

export interface GpuUse {
  uuid: string;
  busy: readonly Drawn[];
  memory: readonly Drawn[];
  /** Over all samples that there are, rounded down; undefined where none was told. */
  meanBusy: number | undefined;
  mostMemory: number | undefined;
  last: GpuSample;
}

const MOST_POINTS = 90;

/** Each GPU by itself, in the order in which it was first told of. */
export function gpuUseOf(samples: readonly GpuSample[]): GpuUse[] {
  const rows = new Map<string, [GpuSample, ...GpuSample[]]>();
  for (const one of samples) {
    const own = rows.get(one.uuid);
    if (own) own.push(one);
    else rows.set(one.uuid, [one]);
  }
  return [...rows].map(([uuid, of]) => {
    const own = [...of].sort((one, other) => one.at - other.at) as typeof of;
    return {
      uuid, busy: thinned(own, (one) => one.busyPercent, mean), memory: thinned(own, (one) => one.memoryUsedMib, most),
      meanBusy: mean(told(own, (one) => one.busyPercent)), mostMemory: most(told(own, (one) => one.memoryUsedMib)), last: own.at(-1) ?? own[0],
    };
  });
}

type Of = (sample: GpuSample) => number | null;
const told = (samples: readonly GpuSample[], of: Of) => samples.map(of).filter((one): one is number => one !== null);
const mean = (values: readonly number[]) => (values.length ? Math.floor(values.reduce((sum, one) => sum + one, 0) / values.length) : undefined);
const most = (values: readonly number[]) => (values.length ? Math.max(...values) : undefined);

type Sum = (values: readonly number[]) => number | undefined;
const thinned = (samples: readonly GpuSample[], of: Of, sum: Sum) => stretches(samples.map((one): Drawn => ({ at: one.at, value: of(one) ?? undefined })), sum);

/** As many stretches of equal length as can be told apart; each is the mean, or the peak, of what was told in it. */
export function stretches(points: readonly Drawn[], sum: Sum): Drawn[] {
  const size = Math.max(1, Math.ceil(points.length / MOST_POINTS));
  return Array.from({ length: Math.ceil(points.length / size) }, (_, at) => {
    const stretch = points.slice(at * size, (at + 1) * size);
    const values = stretch.map((one) => one.value).filter((one): one is number => one !== undefined);
    return { at: stretch[0]?.at ?? 0, value: values.length ? sum(values) : undefined };
  });
}

/** The line of a graph, `width` by `height`, time to the right and `top` at its upper edge; it breaks where nothing was told. */
export function lineOf(points: readonly Drawn[], top: number, from: number, to: number, width: number, height: number): string {
  let isDown = false;
  return points.map(({ at, value }) => {
    if (value === undefined) {
      isDown = false;
      return "";
    }
    const x = (((at - from) / Math.max(1, to - from)) * width).toFixed(1);
    const y = (height - (Math.min(value, top) / Math.max(1, top)) * height).toFixed(1);
    const step = `${isDown ? "L" : "M"}${x} ${y}`;
    isDown = true;
    return step;
  }).join("");
}
