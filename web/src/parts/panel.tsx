// What surrounds a piece of a view: a heading, an empty state in words, and a boundary, so that what breaks in one hides nothing of the others.
import { Component, type ComponentChildren } from "preact";
import type { Problem } from "../api/read";

export class Boundary extends Component<{ what: string; children: ComponentChildren }, { error: Error | undefined }> {
  override state = { error: undefined as Error | undefined };
  static override getDerivedStateFromError(error: Error) {
    return { error };
  }
  override render() {
    if (!this.state.error) return this.props.children;
    return <p class="problem">✗ {this.props.what} cannot be shown: {this.state.error.message.slice(0, 200)}. The rest of the page is as it was.</p>;
  }
}

export function Panel({ title, note, children, kind = "" }: { title: string; note?: ComponentChildren; children: ComponentChildren; kind?: string }) {
  return (
    <section class={kind} aria-label={title}>
      <div class="hd"><h2>{title}</h2>{note ? <span class="cap">{note}</span> : null}</div>
      <Boundary what={title}>{children}</Boundary>
    </section>
  );
}

export const Empty = ({ children }: { children: ComponentChildren }) => <p class="empty">{children}</p>;

const NEXT: Record<string, string> = {
  ChainUnavailable: "The gateway cannot see the chain. What is shown stays as it was; orders are still taken.",
  StoreUnavailable: "The gateway's copy of the market is away. Orders and receipts are still taken.",
  NotReady: "The gateway is not ready yet. It is asked again with the next block.",
  NotFound: "There is no such thing here. The address may be of another market.",
  Unauthorized: "Only its parties may read this. Sign in with the client’s or the provider’s wallet.",
  TooManyRequests: "The gateway was asked too often. It is asked again with a later block.",
};

export function ProblemNote({ problem }: { problem: Problem | undefined }) {
  if (!problem) return null;
  if (problem.reason === "Unauthorized") return <p class="empty">{NEXT["Unauthorized"]}</p>;
  return <p class="problem" role="status">✗ {NEXT[problem.reason] ?? (problem.detail || problem.reason)} <span class="cap">{problem.reason}</span></p>;
}
