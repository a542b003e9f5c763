// An act from the button to the block: what it does is said on the button, what comes next while it goes on, and why where it did not.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { Problem } from "../api/read";
import { isCut } from "../state/head";
import { wallet } from "../state/wallet";
import type { Step } from "../wallet/acts";

type State = { at: "idle" | "going" | "done" | "refused"; said: string };

/** The acts, loaded when somebody first needs one. */
export const acts = () => import("../wallet/acts");

export function Act({ children, run, ghost = false, disabled = false, id, onDone }: { children: ComponentChildren; run: (step: Step) => Promise<unknown>; ghost?: boolean; disabled?: boolean; id?: string; onDone?: () => void }) {
  const state = useSignal<State>({ at: "idle", said: "" });
  const isOff = disabled || isCut.value || !wallet.value.account || state.value.at === "going";
  const why = isCut.value ? "The stream is cut: what is shown may not be so any more." : wallet.value.account ? "" : "Connect a wallet first.";
  const start = async () => {
    state.value = { at: "going", said: "Checking the market on the chain" };
    try {
      await run((said) => (state.value = { at: "going", said }));
      state.value = { at: "done", said: state.value.said.startsWith("In block") ? state.value.said : "Done" };
      onDone?.();
    } catch (error) {
      state.value = { at: "refused", said: wordsOf(error) };
    }
  };
  return (
    <>
      <button type="button" id={id} class={`btn${ghost ? " ghost" : ""}`} disabled={isOff} title={why || undefined} onClick={() => void start()}>{children}</button>
      {state.value.said ? <p class={state.value.at === "refused" ? "problem" : "cap"} role="status">{{ idle: "", going: "… ", done: "✓ ", refused: "✗ " }[state.value.at]}{state.value.said}</p> : null}
    </>
  );
}

function wordsOf(error: unknown): string {
  if (error instanceof Problem) return `${error.detail || error.reason} (${error.reason})`;
  const told = error as { detail?: unknown; message?: unknown };
  return String(told.detail ?? told.message ?? error).slice(0, 400);
}
