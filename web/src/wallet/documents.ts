// What an order names and is made of: spec and work as canonical JSON, the order as EIP-712 has it. Pure.
import type { Market, OrderDocument } from "../api/kinds";

export const ORDER_TYPES = {
  Order: [
    ["client", "address"], ["classes", "uint256"], ["offer", "uint40"], ["gpus", "uint16"], ["maxSeconds", "uint32"], ["minSeconds", "uint32"], ["maxPrice", "uint80"], ["minBondBps", "uint16"],
    ["startsAt", "uint40"], ["expiresAt", "uint40"], ["tip", "uint96"], ["opener", "address"], ["acceptor", "address"], ["arbiter", "address"], ["spec", "bytes32"], ["salt", "uint256"],
  ].map(([name, type]) => ({ name: name!, type: type! })),
};
export const RECEIPT_TYPES = {
  Receipt: [["lease", "bytes32"], ["offer", "uint40"], ["openedAt", "uint40"], ["usedSeconds", "uint32"], ["result", "bytes32"], ["last", "bool"]].map(([name, type]) => ({ name: name!, type: type! })),
};
const ZERO = `0x${"0".repeat(40)}`;

export function domainOf(market: Market) {
  return { name: "ComputeMarket", version: "1", chainId: market.chainId, verifyingContract: market.market as `0x${string}` };
}

/** RFC 8785, of what has integers and ASCII names only. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, held]) => `${JSON.stringify(name)}:${canonical(held)}`).join(",")}}`;
}

/** A command line as words: quotes hold words together, a backslash takes the next letter as it is. Undefined where a quote does not end. */
export function wordsOf(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < line.length; at++) {
    const letter = line[at]!;
    if (quote) {
      if (letter === quote) quote = "";
      else if (letter === "\\" && quote === '"' && at + 1 < line.length) word += line[++at]!;
      else word += letter;
    } else if (letter === '"' || letter === "'") {
      quote = letter;
      word ??= "";
    } else if (letter === "\\" && at + 1 < line.length) word = (word ?? "") + line[++at]!;
    else if (/\s/.test(letter)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + letter;
  }
  if (quote) return undefined;
  return word === undefined ? words : [...words, word];
}

export interface Draft {
  client: string;
  gpuClass: number;
  gpus: number;
  maxSeconds: number;
  maxPrice: bigint;
  expiresAt: number;
  /** Empty where the image's own words are to be started. */
  command: readonly string[];
  /** `host`, or a container image by its digest. */
  image: string;
  /** What its client calls it; "" for nothing. */
  name: string;
}

/** What a job finds in `/job/in`: a bundle of one part. */
export interface Brought {
  sha256: string;
  bytes: number;
}

export const HOST_IMAGE = "host";
const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const PLACE = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const IMAGE = new RegExp(`^(?:blob|(?:${LABEL}(?:\\.${LABEL})+(?::[1-9][0-9]{0,4})?|${LABEL}:[1-9][0-9]{0,4})/${PLACE}(?:/${PLACE})*)@sha256:[0-9a-f]{64}$`);

/** Whether jobs can run in it: an image by its bytes. A tag somebody could move after it was signed. */
export const isImage = (text: string): boolean => text === HOST_IMAGE || (text.length <= 500 && IMAGE.test(text));

export function workOf(draft: Draft, salt: string, brought?: Brought): string {
  const input = brought && { inputs: [{ path: "/job/in", bytes: brought.bytes, parts: [brought.sha256] }] };
  return canonical({ version: 1, salt, command: draft.command, ...(draft.command.length ? {} : { entrypoint: "image" }), ...(draft.name ? { name: draft.name } : {}), ...input });
}

export function specOf(draft: Draft, work: { sha256: string; bytes: number }): string {
  return canonical({ version: 2, image: draft.image, resources: { gpus: draft.gpus }, work });
}

/** A word as a shell takes it for one, whatever is in it. */
export const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`);

export function orderOf(draft: Draft, market: Market, spec: string, salt: bigint): OrderDocument {
  return {
    client: draft.client, classes: (1n << BigInt(draft.gpuClass)).toString(), offer: "0", gpus: String(draft.gpus), maxSeconds: String(draft.maxSeconds), minSeconds: "0",
    maxPrice: draft.maxPrice.toString(), minBondBps: "0", startsAt: "0", expiresAt: String(draft.expiresAt), tip: "0", opener: market.opener, acceptor: ZERO, arbiter: market.arbiter,
    spec: `0x${spec}`, salt: salt.toString(),
  };
}

/** What is signed for one request to the gateway. */
export function requestText(method: string, path: string, bodySha256: string, blockTime: number, market: Market): string {
  return `Compute Bourse request\n\n${method} ${path}\nBody sha256: ${bodySha256}\nBlock time: ${blockTime}\nChain id: ${market.chainId}\nMarket: ${market.market}`;
}

/** What is signed so that whoever has it may read the log, or the outputs, of one lease until then. */
export function shareText(lease: string, part: "log" | "outputs", until: number, market: Market): string {
  return `Compute Bourse share\n\nLease: ${lease}\nRead: ${part}\nUntil block time: ${until}\nChain id: ${market.chainId}\nMarket: ${market.market}`;
}
