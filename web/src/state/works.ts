// What the works of orders say of their jobs, as far as who looks may read them: asked for once each, and held against the hashes that were signed.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { OrderTold } from "../api/kinds";
import { sha256 } from "../api/outputs";
import { ask, pathOf, Problem } from "../api/read";
import { workSaid, type WorkSaid } from "../logic/attempts";
import { wallet } from "./wallet";

const MOST_SPEC_BYTES = 64 << 10;
const MOST_WORK_BYTES = 1 << 20;
const MOST_AT_ONCE = 6;

export const works = signal<ReadonlyMap<string, WorkSaid>>(new Map());
/** Who looked at which order in vain: somebody else, or the same one signed in, may look again. */
const asked = new Map<string, string>();
let waiting: OrderTold[] = [];
let running = 0;

/** Read what the works of these orders say; `works` has it as it comes. */
export function useWorks(orders: readonly OrderTold[]): ReadonlyMap<string, WorkSaid> {
  const { account, signedInUntil } = wallet.value;
  const reader = signedInUntil ? account ?? "" : "";
  const ids = orders.map((one) => one.id).join();
  useEffect(() => {
    const fresh = orders.filter((one) => !works.value.has(one.id) && asked.get(one.id) !== reader);
    for (const one of fresh) asked.set(one.id, reader);
    waiting = [...waiting, ...fresh];
    while (running < MOST_AT_ONCE && waiting.length) void readOn(reader);
  }, [ids, reader]);
  return works.value;
}

async function readOn(reader: string): Promise<void> {
  running += 1;
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { id } = next;
    const said = await workOf(next, reader).catch((error: unknown) => {
      if (error instanceof Problem && (error.status === 0 || error.status >= 429)) asked.delete(id); // not for good: whoever shows it next asks again
      return undefined;
    });
    if (said) works.value = new Map(works.value).set(id, said);
  }
  running -= 1;
}

/** Nothing where it is not for who looks. Throws a Problem where it cannot be had, or is not what was signed. */
async function workOf(order: OrderTold, reader: string): Promise<WorkSaid | undefined> {
  const spec = (await checked(pathOf("/v1/blobs/{name}", { path: { name: order.spec } }), order.order.spec.slice(2), MOST_SPEC_BYTES)) as { public?: unknown; work?: { sha256?: unknown } } | null;
  const name = spec?.work?.sha256;
  if (typeof name !== "string" || (spec?.public !== true && reader !== order.order.client)) return undefined;
  return workSaid(await checked(pathOf("/v1/leases/{lease}/blobs/{name}", { path: { lease: order.id, name } }), name, MOST_WORK_BYTES));
}

async function checked(path: string, name: string, most: number): Promise<unknown> {
  const answer = await ask(path, { headers: { Accept: "application/octet-stream" } });
  const bytes = Number(answer.headers.get("content-length") ?? 0) > most ? new ArrayBuffer() : await answer.arrayBuffer();
  if (bytes.byteLength > most || (await sha256(bytes)) !== name) throw new Problem(409, "HashMismatch", "These are not the bytes that were signed.");
  return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
}
