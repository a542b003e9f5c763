// Money is base units as bigint to the last step; here they become words. No `Number` on the way.

export interface Written {
  /** What is read. */
  digits: string;
  /** The zeros behind, which say nothing and are written faintly. */
  dust: string;
}

const MINUS = "\u2212";

export function units(text: string | number | bigint | null | undefined): bigint {
  return text === null || text === undefined ? 0n : BigInt(text);
}

/** All of the token's decimals, with thousands apart: `1,937.060000`. */
export function exact(amount: bigint, decimals: number): string {
  const sign = amount < 0n ? MINUS : "";
  const text = (amount < 0n ? -amount : amount).toString().padStart(decimals + 1, "0");
  const whole = text.slice(0, text.length - decimals).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return decimals ? `${sign}${whole}.${text.slice(-decimals)}` : sign + whole;
}

/** The exact amount, split where the digits end that say something; two decimals always say something, nothing of a zero does. */
export function written(amount: bigint, decimals: number): Written {
  const text = exact(amount, decimals);
  if (amount === 0n) return { digits: "", dust: text };
  const least = text.length - Math.max(0, decimals - 2);
  const end = Math.max(least, text.replace(/0+$/, "").length);
  return { digits: text.slice(0, end), dust: text.slice(end) };
}

/** In a sentence: two decimals from one on, below one all to the last digit that is not zero. */
export function spoken(amount: bigint, decimals: number): string {
  const one = 10n ** BigInt(decimals);
  const size = amount < 0n ? -amount : amount;
  if (size >= one && decimals > 2) {
    const cut = 10n ** BigInt(decimals - 2);
    return exact(((size + cut / 2n) / cut) * (amount < 0n ? -1n : 1n), 2);
  }
  return amount === 0n ? exact(0n, Math.min(2, decimals)) : written(amount, decimals).digits;
}

/** A price per GPU-hour: two decimals, more only below one and where they say something. */
export function priced(price: bigint, decimals: number): string {
  const one = 10n ** BigInt(decimals);
  if (price >= one || decimals <= 2) return spoken(price, decimals);
  return written(price, decimals).digits || exact(0n, 2);
}

/** What somebody typed, as base units; undefined where it is no amount of this token. */
export function unitsOf(text: string, decimals: number): bigint | undefined {
  const found = /^(\d{1,24})(?:\.(\d*))?$/.exec(text.trim().replace(/,/g, ""));
  if (!found) return undefined;
  const [, whole = "0", part = ""] = found;
  return part.length > decimals ? undefined : BigInt(whole + part.padEnd(decimals, "0"));
}

/** For the clipboard: the exact decimal without marks between thousands. */
export function plain(amount: bigint, decimals: number): string {
  return exact(amount, decimals).replace(/,/g, "").replace(MINUS, "-");
}

/** E(s): what so many seconds earn, rounded down, as the contract does. */
export function earned(price: bigint, gpus: bigint, seconds: bigint): bigint {
  return (price * gpus * seconds) / 3600n;
}

/** T: what opening locks of the client's money, rounded up, as the contract does. */
export function locked(price: bigint, gpus: bigint, seconds: bigint): bigint {
  return (price * gpus * seconds + 3599n) / 3600n;
}

/** B: what opening locks of the provider's money. */
export function bondOf(lock: bigint, bondBps: bigint, floor: bigint): bigint {
  const share = (lock * bondBps) / 10_000n;
  return share > floor ? share : floor;
}

/** A share of a whole in per cent for drawing only; no money is worked out from it. */
export function part(of: bigint, whole: bigint): number {
  return whole <= 0n ? 0 : Number((of * 10_000n) / whole) / 100;
}

export function percent(bps: number, decimals: number): string {
  return `${(bps / 100).toFixed(decimals)} %`;
}

export function counted(value: number | bigint): string {
  return value.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}
