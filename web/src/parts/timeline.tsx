// The job's timeline is its glass: length is time, and because pay is linear in time, money as well. The bond is the thin pane below.
import { spoken } from "../logic/amounts";
import type { Attempt } from "../logic/job";
import { clock } from "../logic/times";
import { token } from "../state/market";

const LANE = 96;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 86_400, 604_800];

export function JobTimeline({ attempts, from, now, grace, width = 924 }: { attempts: readonly Attempt[]; from: number; now: number; grace: number; width?: number }) {
  const isNarrow = width < 500;
  const left = isNarrow ? 4 : 140;
  const right = width - 20;
  const ends = attempts.map((one) => Math.max(one.startsAt + one.maxSeconds, one.endedAt ?? 0));
  const to = Math.max(from + 10, ...ends);
  const x = (at: number) => left + ((Math.min(Math.max(at, from), to) - from) / (to - from)) * (right - left);
  const step = STEPS.find((one) => (to - from) / one <= (isNarrow ? 3 : 6)) ?? 604_800;
  const marks = Array.from({ length: Math.floor((to - Math.ceil(from / step) * step) / step) + 1 }, (_, at) => Math.ceil(from / step) * step + at * step);
  const height = 34 + attempts.length * LANE + (isNarrow ? 12 * attempts.length : 0);
  return (
    <svg viewBox={`0 0 ${width} ${height}`} width="100%" role="img" aria-label={`Timeline from ${clock(from)} to ${clock(to)}; the list below says the same`}>
      {marks.map((at) => <><path d={`M${x(at)} 22V${height - 6}`} stroke="var(--rule)" /><text x={x(at)} y="12" font-size="12" text-anchor={at === marks.at(-1) && x(at) > right - 30 ? "end" : "middle"} fill="var(--ink3)">{clock(at, to - from < 7_200)}</text></>)}
      {attempts.map((one, at) => <Lane attempt={one} top={isNarrow ? 50 + at * (LANE + 12) : 40 + at * LANE} x={x} now={now} grace={grace} isNarrow={isNarrow} />)}
    </svg>
  );
}

function Lane({ attempt, top, x, now, grace, isNarrow }: { attempt: Attempt; top: number; x: (at: number) => number; now: number; grace: number; isNarrow: boolean }) {
  const { openedAt, startsAt, maxSeconds, endedAt, paidSeconds, exit } = attempt;
  const end = startsAt + maxSeconds;
  const isOver = endedAt !== undefined || exit !== "";
  const stakeEnd = isOver ? Math.min(end, endedAt ?? end) : end;
  const paidEnd = startsAt + paidSeconds;
  const ranEnd = isOver ? paidEnd : Math.min(end, Math.max(startsAt, now));
  const bondEnd = endedAt ?? end + grace;
  const said = (value: bigint) => spoken(value, token.value.decimals);
  const box = (from: number, to: number, fill: string, y = top, height = 30, stroke = "var(--client)") => to > from ? <rect x={x(from)} y={y} width={Math.max(0, x(to) - x(from))} height={height} fill={fill} stroke={stroke} /> : null;
  return (
    <>
      <text x="0" y={isNarrow ? top - 8 : top + 13} font-size="12" font-weight="600" fill="var(--ink)" class="halo">Attempt {attempt.number}{isNarrow ? ` · offer ${attempt.offer} at ${said(attempt.price)}` : ""}</text>
      {isNarrow ? null : <text x="0" y={top + 29} font-size="12" fill="var(--ink2)" class="halo">offer {attempt.offer} at {said(attempt.price)}</text>}
      {box(openedAt, end, "var(--sheet)")}
      {box(isOver ? paidEnd : ranEnd, stakeEnd, "url(#hc)")}
      {box(startsAt, paidEnd, "var(--client)")}
      {isOver ? null : box(paidEnd, ranEnd, "url(#hx)")}
      {box(openedAt, bondEnd, "url(#hp)", top + 30, 9, "var(--provider)")}
      {exit === "LeaseExpired" && endedAt ? <path d={`M${x(endedAt)} ${top - 4}V${top + 45}`} stroke="var(--bad)" stroke-width="1.5" /> : null}
      {exit === "" && now < end ? <path d={`M${x(now)} ${top - 8}V${top + 44}`} stroke="var(--ink)" stroke-dasharray="2 2" /> : null}
      <text x={x(openedAt)} y={top + 56} font-size="12" fill={exit === "LeaseExpired" ? "var(--bad)" : "var(--ink)"} font-weight="600" class="halo">{endOf(attempt, said, now)}</text>
      {isOver && attempt.refund > 0n && !isNarrow && x(end) - x(stakeEnd) > 130 ? <text x={x(end) - 6} y={top + 19} font-size="12" text-anchor="end" fill="var(--client)">never used: {said(attempt.refund)}</text> : null}
    </>
  );
}

function endOf(attempt: Attempt, said: (value: bigint) => string, now: number): string {
  if (attempt.exit === "LeaseExpired") return `expired: ${said(attempt.compensation)} of the bond is the client’s`;
  if (attempt.exit === "LeaseDeclined") return "declined: everything came back";
  if (attempt.exit) return `${attempt.paidSeconds} s paid, ${said(attempt.refund)} came back`;
  return `${Math.max(0, Math.min(attempt.maxSeconds, now - attempt.startsAt))} s on the meter of ${attempt.maxSeconds}`;
}
