// Instants are block time in seconds. They are said as people say them, and exactly on hover.

const DAY = 86_400;

function two(value: number): string {
  return value.toString().padStart(2, "0");
}

/** `13:02:16`, UTC. */
export function clock(at: number, withSeconds = true): string {
  const date = new Date(at * 1000);
  const text = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
  return withSeconds ? `${text}:${two(date.getUTCSeconds())}` : text;
}

/** `2026-11-29 13:02:16 UTC`. */
export function exactly(at: number): string {
  return new Date(at * 1000).toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function dated(at: number): string {
  const date = new Date(at * 1000);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${clock(at, false)}`;
}

/** `41 s`, `14 min`, `3 h 5 min`, `2 d`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7_200) return whole < 600 && whole % 60 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 60)} min`;
  if (whole < 2 * DAY) return whole % 3600 >= 60 ? `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min` : `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / DAY)} d`;
}

/** How long ago: below two minutes in seconds, below two hours in minutes, below two days by the clock, else with the date. */
export function ago(at: number, now: number): string {
  const age = Math.max(0, now - at);
  if (age < 120) return `${age} s ago`;
  if (age < 7_200) return `${Math.floor(age / 60)} min ago`;
  return age < 2 * DAY ? clock(at, false) : dated(at);
}

/** A deadline as an instant; counted down only in its last two minutes. */
export function until(at: number, now: number): string {
  const left = at - now;
  if (left >= 0 && left < 120) return `in ${left} s`;
  return Math.abs(left) < DAY ? clock(at) : dated(at);
}

/** `90s`, `10m`, `2h30m` as seconds; undefined where it is no such thing. As the command line reads them. */
export function secondsOf(text: string): number | undefined {
  const found = /^(?:(\d+)\s*d)?\s*(?:(\d+)\s*h)?\s*(?:(\d+)\s*m(?:in)?)?\s*(?:(\d+)\s*s?)?$/.exec(text.trim());
  if (!found || !text.trim()) return undefined;
  const [days, hours, minutes, seconds] = found.slice(1).map((word) => Number(word ?? 0)) as [number, number, number, number];
  const total = days * DAY + hours * 3600 + minutes * 60 + seconds;
  return Number.isSafeInteger(total) && total > 0 ? total : undefined;
}

/** The length of a term: days where it has any, else hours and minutes. */
export function term(seconds: number): string {
  const days = Math.floor(seconds / DAY);
  const hours = Math.floor((seconds % DAY) / 3600);
  return days ? `${days} d${hours ? ` ${hours} h` : ""}` : span(seconds);
}

/** Seconds as the command line writes them. */
export function duration(seconds: number): string {
  const parts: [number, string][] = [[Math.floor(seconds / 3600), "h"], [Math.floor((seconds % 3600) / 60), "m"], [seconds % 60, "s"]];
  return parts.filter(([count]) => count > 0).map(([count, unit]) => `${count}${unit}`).join("") || "0s";
}
