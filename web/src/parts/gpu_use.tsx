// How busy a job and its GPUs are, in their provider's words: one row for each, drawn over one axis of time and said in numbers beside it.
import type { GpuSample, JobSample } from "../api/kinds";
import { gpuUseOf, lineOf, type Drawn } from "../logic/gpu_use";
import { jobUseOf, ofProcessors } from "../logic/job_use";
import { counted } from "../logic/amounts";
import { oneLine } from "../logic/names";
import { clock } from "../logic/times";
import { Empty, Panel } from "./panel";
import { Ago, Command } from "./words";

const [WIDTH, HEIGHT] = [150, 22];

function Graph({ points, top, from, to }: { points: readonly Drawn[]; top: number; from: number; to: number }) {
  return (
    <svg class="use-graph" width={WIDTH} height={HEIGHT + 2} viewBox={`0 -1 ${WIDTH} ${HEIGHT + 2}`} aria-hidden="true">
      <path d={`M0 ${HEIGHT}H${WIDTH}`} stroke="var(--rule)" /><path d={lineOf(points, top, from, to, WIDTH, HEIGHT)} fill="none" stroke="var(--provider)" stroke-width="1.5" />
    </svg>
  );
}

/** Its processors and its memory, each against what it may have at most. */
export function JobUse({ job, samples }: { job: string; samples: readonly JobSample[] }) {
  const use = jobUseOf(samples);
  return (
    <Panel title="Processors and memory" note={use ? `${clock(use.from)} to ${clock(use.to)}, its provider’s word` : undefined}>
      {use ? (
        <div class="scroll" role="region" aria-label="Processors and memory, a table" tabIndex={0}><table>
          <thead><tr><th scope="col" /><th scope="col">over time</th><th scope="col" class="r">now</th><th scope="col" class="r">mean</th><th scope="col" class="r">most</th><th scope="col" class="r">at most</th><th scope="col" class="r">last</th></tr></thead>
          <tbody>
            <tr><th scope="row">processors</th><td><Graph points={use.busy} top={use.last.cpus * 100} {...use} /></td><td class="num r">{ofProcessors(use.busyNow)}</td><td class="num r">{ofProcessors(use.busyMean)}</td><td class="num r">{ofProcessors(most(use.busy))}</td><td class="num r">{counted(use.last.cpus)}</td><td class="num r"><Ago at={use.last.at} /></td></tr>
            <tr><th scope="row">memory, MiB</th><td><Graph points={use.memory} top={use.last.memoryMib} {...use} /></td><td class="num r">{counted(use.last.memoryUsedMib)}</td><td class="num r">–</td><td class="num r">{counted(use.mostMemory)}</td><td class="num r">{counted(use.last.memoryMib)}</td><td /></tr>
          </tbody>
        </table></div>
      ) : <Empty>Its provider tells nothing of its processors and memory: the job does not run yet, or was over before anybody looked.</Empty>}
      <Command words={`bourse top ${job}`} />
    </Panel>
  );
}

const most = (points: readonly Drawn[]) => points.reduce<number | undefined>((top, { value }) => (value !== undefined && (top === undefined || value > top) ? value : top), undefined);

export function GpuUse({ samples }: { samples: readonly GpuSample[] }) {
  const rows = gpuUseOf(samples);
  const instants = samples.map((one) => one.at);
  const [from, to] = [Math.min(...instants), Math.max(...instants)];
  const said = (value: number | null | undefined, unit: string) => (value === null || value === undefined ? "–" : `${counted(value)} ${unit}`);
  return (
    <Panel title="GPUs at work" note={rows.length ? `${clock(from)} to ${clock(to)}, its provider’s word` : undefined}>
      {rows.length ? (
        <div class="scroll" role="region" aria-label="GPUs at work, a table" tabIndex={0}><table>
          <thead><tr><th scope="col">GPU</th><th scope="col">busy</th><th scope="col" class="r">mean</th><th scope="col" class="gap">memory</th><th scope="col" class="r">most</th><th scope="col" class="r">power</th><th scope="col" class="r">heat</th><th scope="col" class="r">last</th></tr></thead>
          <tbody>{rows.map((one) => (
            <tr key={one.uuid}>
              <td class="mono" title={oneLine(one.uuid, 80)}>{oneLine(one.uuid, 14)}</td><td><Graph points={one.busy} top={100} from={from} to={to} /></td><td class="num r">{said(one.meanBusy, "%")}</td><td class="gap"><Graph points={one.memory} top={one.mostMemory ?? 1} from={from} to={to} /></td>
              <td class="num r">{said(one.mostMemory, "MiB")}</td><td class="num r">{said(one.last.powerWatts, "W")}</td><td class="num r">{said(one.last.temperatureCelsius, "°C")}</td><td class="num r"><Ago at={one.last.at} /></td>
            </tr>
          ))}</tbody>
        </table></div>
      ) : <Empty>Its provider tells nothing of its GPUs: they are declared, or the job does not run yet.</Empty>}
    </Panel>
  );
}
