// What a job made: hashed here before anybody saves or countersigns it.
import { useSignal } from "@preact/signals";
import type { Outputs as OutputsTold } from "../api/kinds";
import { ask, pathOf, Problem } from "../api/read";
import { counted } from "../logic/amounts";
import { oneLine } from "../logic/names";
import type { Held } from "../state/answers";
import { canonical } from "../wallet/documents";
import { Panel, ProblemNote } from "./panel";
import { Command, Hash } from "./words";

interface Folder {
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

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function Outputs({ lease, told, result, share }: { lease: string; told: Held<OutputsTold>; result: string; share: string | undefined }) {
  const said = useSignal<Record<string, string>>({});
  const problem = useSignal<Problem | undefined>(undefined);
  const folders = resultOf(told.value)?.outputs ?? [];
  const take = async (folder: Folder) => {
    problem.value = undefined;
    said.value = { ...said.value, [folder.path]: "hashing …" };
    try {
      const blob = await fetchChecked(lease, folder, share);
      said.value = { ...said.value, [folder.path]: "✓ hashed here" };
      save(blob, `${lease.slice(2, 10)}-${folder.path.replace(/\W+/g, "-")}.tar`);
    } catch (error) {
      said.value = { ...said.value, [folder.path]: "✗ not saved" };
      problem.value = error instanceof Problem ? error : new Problem(0, "NotSaved", "It could not be saved.");
    }
  };
  return (
    <Panel title="Output">
      {folders.map((one) => (
        <div class="io">
          <span>{oneLine(one.path, 200)}</span><span class="num r">{counted(one.bytes)} bytes</span>
          <span class="cap">{said.value[one.path] ?? `${one.parts.length} parts, not fetched yet`}</span><button type="button" class="u r" onClick={() => void take(one)}>Save</button>
        </div>
      ))}
      {told.problem ? <ProblemNote problem={told.problem} /> : folders.length || !told.value ? null : <p class="empty">It left nothing behind.</p>}
      <ProblemNote problem={problem.value} />
      <p class="cap">result <Hash of={result} longer /></p>
      <Command words={`bourse get ${lease} --output out`} />
    </Panel>
  );
}
