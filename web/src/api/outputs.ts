// What a job made, as the gateway hands it over: hashed here before anybody saves or countersigns it.
import type { Outputs as OutputsTold } from "./kinds";
import { ask, pathOf, Problem } from "./read";
import type { Checked } from "../logic/dispute";
import { oneLine } from "../logic/names";
import { canonical } from "../wallet/documents";

export interface Folder {
  path: string;
  bytes: number;
  parts: string[];
}

function resultOf(told: OutputsTold | undefined): { exit_code?: number; outputs?: Folder[] } | undefined {
  return told?.result as { exit_code?: number; outputs?: Folder[] } | undefined;
}

export const foldersOf = (told: OutputsTold): Folder[] => resultOf(told)?.outputs ?? [];

/** The sha256 of the result document in its canonical form, as receipts name it. */
export async function resultHash(told: OutputsTold): Promise<string> {
  return `0x${await sha256(new TextEncoder().encode(canonical(told.result)))}`;
}

export function exitCodeOf(told: OutputsTold | undefined): number | undefined {
  return resultOf(told)?.exit_code;
}

const MOST_BYTES = 256 << 20;
const MOST_PARTS = 256;

export async function sha256(bytes: BufferSource): Promise<string> {
  return Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** All parts of one output, each held against its name. Throws a Problem where one is not what was signed. */
export async function fetchChecked(lease: string, folder: Folder, share: string | undefined): Promise<Blob> {
  if (folder.bytes > MOST_BYTES) throw new Problem(0, "TooLargeHere", "This output is too large for a page: take the command.");
  const pieces: ArrayBuffer[] = [];
  for (const name of folder.parts) {
    const answer = await ask(pathOf("/v1/leases/{lease}/blobs/{name}", { path: { lease, name }, query: { share } }), { headers: { Accept: "application/octet-stream" } });
    const bytes = await answer.arrayBuffer();
    if ((await sha256(bytes)) !== name) throw new Problem(0, "HashMismatch", "These are not the bytes that the provider signed. Nothing was saved or countersigned.");
    pieces.push(bytes);
  }
  return new Blob(pieces, { type: "application/x-tar" });
}

interface Part {
  what: string;
  name: string;
  bytes: number;
}

/** What a result document names by hash: the log, and each part of each output. */
function partsOf(told: OutputsTold): Part[] {
  const log = (told.result as { log?: { sha256?: unknown; bytes?: unknown } } | null)?.log;
  const ofLog = typeof log?.sha256 === "string" ? [{ what: "the log", name: log.sha256, bytes: Number(log.bytes) || 0 }] : [];
  return [...ofLog, ...foldersOf(told).flatMap((one) => one.parts.map((name, at) => ({ what: `${oneLine(one.path, 100)}, part ${at + 1} of ${one.parts.length}`, name, bytes: one.bytes })))].slice(0, MOST_PARTS);
}

/** Hash all that the result names, and say of each what was found: for whoever is to rule, so that nothing is left out because it is not as it should be. */
export async function found(lease: string, told: OutputsTold, named: string): Promise<Checked[]> {
  const rows: Checked[] = [{ what: "the result document", named, found: await resultHash(told) }];
  for (const one of partsOf(told)) {
    const path = pathOf("/v1/leases/{lease}/blobs/{name}", { path: { lease, name: one.name } });
    const bytes = one.bytes > MOST_BYTES ? undefined : await ask(path, { headers: { Accept: "application/octet-stream" } }).then((answer) => answer.arrayBuffer(), () => undefined);
    rows.push({ what: one.what, named: one.name, found: bytes ? await sha256(bytes) : "" });
  }
  return rows;
}
