// What the gateway answered, kept by question while somebody shows it. An answer of an older block never replaces a newer one.
import { effect, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { pathOf, Problem, read, type Asked } from "../api/read";
import type { Answer, Block, Paths } from "../api/kinds";
import { heard, turn } from "./head";

export interface Held<T> {
  value: T | undefined;
  problem: Problem | undefined;
}
export type Often = "once" | "each block" | "seldom";

interface Kept {
  held: Signal<Held<unknown>>;
  /** What is held is of blocks that are on the chain no more. */
  isGone: boolean;
  /** How often each of those who show it wants it anew, in milliseconds: the most eager one is followed. */
  paces: number[];
  asking: AbortController | undefined;
  askedAt: number;
  stop: (() => void) | undefined;
}

const LEAST_MS: Record<Often, number> = { once: Infinity, "each block": 900, seldom: 10_000 };
const kept = new Map<string, Kept>();

/** Whether an answer may be shown in place of another: unless it is of an older block of the same chain. */
export function isNewer(held: unknown, come: unknown): boolean {
  const [before, after] = [blockOf(held), blockOf(come)];
  return !before || !after || after.number >= before.number;
}

export function blockOf(answer: unknown): Block | undefined {
  const block = answer && typeof answer === "object" && "block" in answer ? answer.block : undefined;
  return block && typeof block === "object" && "hash" in block ? (block as Block) : undefined;
}

function entry(key: string): Kept {
  let found = kept.get(key);
  if (!found) {
    found = { held: signal<Held<unknown>>({ value: undefined, problem: undefined }), isGone: false, paces: [], asking: undefined, askedAt: -Infinity, stop: undefined };
    kept.set(key, found);
  }
  return found;
}

async function refresh(one: Kept, question: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  if (one.asking) return;
  const asking = (one.asking = new AbortController());
  one.askedAt = performance.now();
  try {
    const value = await question(asking.signal);
    if (asking.signal.aborted) return;
    const block = blockOf(value);
    if (block) heard(block);
    if (!one.isGone && !isNewer(one.held.value.value, value)) return;
    one.isGone = false;
    one.held.value = { value, problem: undefined };
  } catch (error) {
    if (!asking.signal.aborted) one.held.value = { value: one.held.value.value, problem: asProblem(error) };
  } finally {
    if (one.asking === asking) one.asking = undefined;
  }
}

function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(0, "UnreadableAnswer", "The gateway's answer cannot be read.");
}

/** Ask while somebody shows it, as often as that; the function that is returned ends it. */
export function show(key: string, often: Often, question: (signal: AbortSignal) => Promise<unknown>): () => void {
  const one = entry(key);
  const pace = LEAST_MS[often];
  one.paces.push(pace);
  if (one.paces.length === 1) {
    one.stop = effect(() => {
      void turn.value;
      if (!document.hidden && performance.now() - one.askedAt >= Math.min(...one.paces)) void refresh(one, question);
    });
  }
  return () => {
    one.paces.splice(one.paces.indexOf(pace), 1);
    if (one.paces.length) return;
    one.stop?.();
    one.asking?.abort();
    one.asking = undefined;
    one.askedAt = -Infinity;
    if (kept.size > 200) kept.delete(key);
  };
}

/** The answer to a question of the gateway, asked again as the chain goes on; nothing where the template is undefined. */
export function useAnswer<P extends keyof Paths & string>(template: P | undefined, asked: Asked = {}, often: Often = "each block"): ReadonlySignal<Held<Answer<P>>> {
  const key = template ? pathOf(template, asked) : "";
  return useQuestion(key, often, (signal) => read(template as P, asked, signal)) as ReadonlySignal<Held<Answer<P>>>;
}

/** The same for a question of several requests; `key` names it. */
export function useQuestion<T>(key: string, often: Often, question: (signal: AbortSignal) => Promise<T>): ReadonlySignal<Held<T>> {
  const one = useMemo(() => entry(key), [key]);
  useEffect(() => (key ? show(key, often, question) : undefined), [key, often]);
  return one.held as unknown as ReadonlySignal<Held<T>>;
}

/** Ask anew for everything that is shown: after one's own act. */
export function askAgain(): void {
  for (const one of kept.values()) one.askedAt = -Infinity;
  turn.value += 1;
}

/** The chain went another way: what is held is replaced by whatever comes next, be it of a lower block, and what is under way does not count. */
export function startOver(): void {
  for (const one of kept.values()) {
    one.asking?.abort();
    one.asking = undefined;
    one.isGone = true;
  }
  askAgain();
}

/** What is held of a question that somebody shows. */
export const heldOf = (key: string): unknown => kept.get(key)?.held.value.value;
