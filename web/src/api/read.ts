// How the page asks its gateway: same origin, a deadline for each question, and problems as values that people can read.
import type { Answer, Paths } from "./kinds";

const DEADLINE_MS = 15_000;
const MOST_BYTES = 8 << 20;

/** A "no" with its reason: the gateway's own (RFC 9457), or ours where it did not answer. */
export class Problem extends Error {
  constructor(readonly status: number, readonly reason: string, readonly detail: string) {
    super(detail || reason);
  }
}

export interface Asked {
  path?: Record<string, string | number>;
  query?: Record<string, string | number | undefined>;
}

/** The path of a question, its parts escaped. */
export function pathOf(template: string, asked: Asked = {}): string {
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(asked.path?.[name] ?? "")));
  const query = Object.entries(asked.query ?? {}).filter(([, value]) => value !== undefined);
  return query.length ? `${path}?${new URLSearchParams(query.map(([name, value]) => [name, String(value)]))}` : path;
}

export async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  const late = AbortSignal.timeout(DEADLINE_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, late]) : late;
  let answer: Response;
  try {
    answer = await fetch(path, { ...options, signal, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, "GatewayUnreachable", late.aborted ? "The gateway did not answer in time." : "The gateway cannot be reached.");
  }
  if (answer.ok) return answer;
  throw await problemOf(answer);
}

async function problemOf(answer: Response): Promise<Problem> {
  const told: unknown = await answer.json().catch(() => undefined);
  const field = (name: string) => (told && typeof told === "object" && name in told ? String((told as Record<string, unknown>)[name] ?? "") : "");
  return new Problem(answer.status, field("reason") || `Status${answer.status}`, field("detail").slice(0, 600));
}

/** JSON from a route of the gateway, at most so much of it. */
export async function json<T>(path: string, options: RequestInit = {}): Promise<T> {
  const answer = await ask(path, { ...options, headers: { Accept: "application/json", ...options.headers } });
  if (Number(answer.headers.get("content-length") ?? 0) > MOST_BYTES) throw new Problem(0, "AnswerTooLarge", "The gateway's answer is too large.");
  return (await answer.json()) as T;
}

/** One question of the gateway's OpenAPI, typed by it. */
export function read<P extends keyof Paths & string>(template: P, asked: Asked = {}, signal?: AbortSignal): Promise<Answer<P>> {
  return json<Answer<P>>(pathOf(template, asked), signal ? { signal } : {});
}
