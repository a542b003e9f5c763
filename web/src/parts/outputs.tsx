// What a job made, to be saved: part by part as it was signed, or not at all.
import { useSignal } from "@preact/signals";
import type { Outputs as OutputsTold } from "../api/kinds";
import { fetchChecked, foldersOf, type Folder } from "../api/outputs";
import { Problem } from "../api/read";
import { counted } from "../logic/amounts";
import { oneLine } from "../logic/names";
import type { Held } from "../state/answers";
import { Panel, ProblemNote } from "./panel";
import { Command, Hash } from "./words";

export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function Outputs({ lease, told, result, share, isSealed }: { lease: string; told: Held<OutputsTold>; result: string; share: string | undefined; isSealed: boolean }) {
  const said = useSignal<Record<string, string>>({});
  const problem = useSignal<Problem | undefined>(undefined);
  const folders = told.value ? foldersOf(told.value) : [];
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
    <Panel title="Output" note={isSealed ? "sealed" : undefined}>
      {isSealed ? <p class="cap">What it made is sealed to its client’s key, which is in the journal of whoever ordered it, and with each provider that served it. Here are the sealed files, which the page can hash and cannot open: the command opens them.</p> : null}
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
