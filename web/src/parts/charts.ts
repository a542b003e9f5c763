// uPlot, loaded after the first view: the clearing price as steps with its range and each fill, and how many GPUs were let, on one axis of time.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { History } from "../logic/history";
import { clock } from "../logic/times";

export interface Drawn {
  draw(history: History, all: number): void;
  end(): void;
}

const RIGHT = 44;
const FONT = '12px "Source Sans 3", system-ui, sans-serif';

function inks(): Record<string, string> {
  const style = getComputedStyle(document.querySelector("main") ?? document.documentElement);
  return Object.fromEntries(["ink", "ink3", "rule", "sel", "provider", "paper"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function ink(name: string): string {
  const found = inks()[name] ?? "";
  return found.startsWith("var(") ? (inks()["ink3"] ?? "#888") : found || "#888";
}

function engraving(context: CanvasRenderingContext2D): CanvasPattern | string {
  const cell = document.createElement("canvas");
  cell.width = cell.height = 6 * devicePixelRatio;
  const lines = cell.getContext("2d");
  if (!lines) return ink("provider");
  lines.scale(devicePixelRatio, devicePixelRatio);
  lines.strokeStyle = ink("provider");
  lines.lineWidth = 1;
  lines.beginPath();
  for (const at of [-6, 0, 6]) lines.moveTo(at - 1, -1), lines.lineTo(at + 7, 7);
  lines.stroke();
  return context.createPattern(cell, "repeat") ?? ink("provider");
}

const axis = (): uPlot.Axis => ({ stroke: () => ink("ink3"), font: FONT, grid: { stroke: () => ink("rule"), width: 1 }, ticks: { show: false } });

/** With how many decimals prices on an axis are all different: two where that is enough. */
const told = (at: readonly number[]): number => [2, 3, 4].find((one) => new Set(at.map((price) => price.toFixed(one))).size === at.length) ?? 6;

/** Whether the newest price, which is written in ink over the axis, would cover this one. */
function isUnderTag(chart: uPlot, price: number, history: History | undefined, shown: (price: bigint) => number): boolean {
  const last = history?.buckets.at(-1);
  return last !== undefined && Math.abs(chart.valToPos(price, "y") - chart.valToPos(shown(last.mean), "y")) < 16;
}

const times = (isShown: boolean): uPlot.Axis => ({
  ...axis(), show: isShown, size: 26, grid: { show: false }, space: 78,
  values: (chart, at) => at.map((one) => (chart.valToPos(one, "x") < 24 ? "" : clock(one, (chart.scales["x"]?.max ?? 0) - (chart.scales["x"]?.min ?? 0) < 900))),
});

function common(into: HTMLElement, height: number): Pick<uPlot.Options, "width" | "height" | "legend" | "cursor" | "padding"> {
  return {
    width: Math.max(200, into.clientWidth), height, legend: { show: false }, padding: [8, 0, 4, 4],
    cursor: { sync: { key: "class" }, drag: { x: false, y: false }, points: { show: false }, y: false },
  };
}

/** Two charts below one another. `reading` hears what stands under the pointer or the arrow keys, as text. */
export function charts(prices: HTMLElement, use: HTMLElement, decimals: number, reading: (text: string) => void): Drawn {
  let history: History | undefined;
  let all = 0;
  const shown = (price: bigint) => Number(price) / 10 ** decimals;
  const say = (chart: uPlot) => {
    const at = chart.cursor.idx;
    const row = at === null || at === undefined ? undefined : history?.buckets[at];
    reading(row ? `${clock(row.from)}: ${shown(row.mean).toFixed(2)}, between ${shown(row.low).toFixed(2)} and ${shown(row.high).toFixed(2)}, ${row.gpus} GPUs` : "");
  };
  const price = new uPlot(
    {
      ...common(prices, 190),
      scales: { x: { time: false }, y: { range: (_, low, high) => padded(low, high) } },
      axes: [times(false), { ...axis(), side: 1, size: RIGHT, space: 34, values: (chart, at) => at.map((one) => (isUnderTag(chart, one, history, shown) ? "" : one.toFixed(told(at)))) }],
      series: [{}, { stroke: () => ink("ink"), width: 1.75, paths: uPlot.paths.stepped!({ align: 1 }), points: { show: false } }, { show: true, stroke: "transparent", points: { show: false } }, { show: true, stroke: "transparent", points: { show: false } }],
      hooks: { drawAxes: [(chart) => history && bands(chart, history, shown)], draw: [(chart) => history && fills(chart, history, shown)], setCursor: [say] },
    },
    [[], [], [], []], prices,
  );
  const lets = new uPlot(
    {
      ...common(use, 96),
      scales: { x: { time: false }, y: { range: () => [0, Math.max(1, all)] } },
      axes: [times(true), { ...axis(), side: 1, size: RIGHT, space: 30, values: (_, at) => at.map((one) => (Number.isInteger(one) ? String(one) : "")) }],
      series: [{}, { stroke: () => ink("provider"), width: 1.25, fill: (chart) => engraving(chart.ctx) as string, paths: uPlot.paths.stepped!({ align: 1 }), points: { show: false } }],
    },
    [[], []], use,
  );
  const fit = new ResizeObserver(() => {
    price.setSize({ width: Math.max(200, prices.clientWidth), height: 190 });
    lets.setSize({ width: Math.max(200, use.clientWidth), height: 96 });
  });
  fit.observe(prices);
  return {
    draw(told, gpus) {
      history = told;
      all = gpus;
      const x = { min: told.from, max: Math.max(told.to, told.from + told.step) };
      const rows = told.buckets;
      const last = rows.at(-1);
      const tail = last && told.to > last.from ? [told.to] : [];
      price.setData([[...rows.map((one) => one.from), ...tail], ...[(one: typeof last) => one!.mean, (one: typeof last) => one!.low, (one: typeof last) => one!.high].map((of) => [...rows.map((one) => shown(of(one))), ...tail.map(() => shown(of(last)))])] as uPlot.AlignedData, false);
      price.setScale("x", x);
      const ends = told.use.at(-1);
      lets.setData([[...told.use.map((one) => one.at), ...(ends ? [told.to] : [])], [...told.use.map((one) => one.gpus), ...(ends ? [ends.gpus] : [])]], false);
      lets.setScale("x", x);
    },
    end() {
      fit.disconnect();
      price.destroy();
      lets.destroy();
    },
  };
}

function padded(low: number, high: number): [number, number] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const room = Math.max((high - low) * 0.2, high * 0.02, 0.01);
  return [Math.max(0, low - room), high + room];
}

/** The range of each bucket, behind everything else. */
function bands(chart: uPlot, history: History, shown: (price: bigint) => number): void {
  const { ctx } = chart;
  ctx.save();
  ctx.fillStyle = ink("sel");
  for (const one of history.buckets) {
    const left = chart.valToPos(one.from, "x", true);
    const right = Math.min(chart.valToPos(one.from + history.step, "x", true), chart.bbox.left + chart.bbox.width);
    const top = chart.valToPos(shown(one.high), "y", true);
    ctx.fillRect(left, top, Math.max(1, right - left), Math.max(1, chart.valToPos(shown(one.low), "y", true) - top));
  }
  ctx.restore();
}

/** Each opening as a ring by its GPUs, and what it cleared at last. */
function fills(chart: uPlot, history: History, shown: (price: bigint) => number): void {
  const { ctx } = chart;
  ctx.save();
  ctx.lineWidth = 1.25 * devicePixelRatio;
  ctx.strokeStyle = ink("provider");
  ctx.fillStyle = ink("paper");
  for (const one of history.fills.slice(-400)) {
    ctx.beginPath();
    ctx.arc(chart.valToPos(one.at, "x", true), chart.valToPos(shown(one.price), "y", true), (1 + Math.sqrt(one.gpus)) * devicePixelRatio, 0, 7);
    ctx.fill();
    ctx.stroke();
  }
  const last = history.buckets.at(-1);
  if (last) {
    const y = chart.valToPos(shown(last.mean), "y", true);
    const x = chart.bbox.left + chart.bbox.width;
    ctx.fillStyle = ink("ink");
    ctx.beginPath();
    ctx.arc(x, y, 3 * devicePixelRatio, 0, 7);
    ctx.fill();
    ctx.fillRect(x + 6 * devicePixelRatio, y - 9 * devicePixelRatio, 38 * devicePixelRatio, 18 * devicePixelRatio);
    ctx.fillStyle = ink("paper");
    ctx.font = `600 ${12 * devicePixelRatio}px "Source Sans 3", sans-serif`;
    ctx.textBaseline = "middle";
    ctx.fillText(shown(last.mean).toFixed(2), x + 10 * devicePixelRatio, y);
  }
  ctx.restore();
}
