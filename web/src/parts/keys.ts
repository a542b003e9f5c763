// Keys: never one that sends or signs; off in fields, and off for good where somebody turns them off (WCAG 2.1.4).
import { closeDialog, dialog, openDialog } from "../state/dialog";
import { go } from "../state/route";
import { turnTheme } from "../state/theme";
import { wallet } from "../state/wallet";
import { copy } from "./words";

const OFF = "bourse.keys";
let isGoing = false;

export function areKeysOff(): boolean {
  try {
    return localStorage.getItem(OFF) === "off";
  } catch {
    return false;
  }
}

export function turnKeys(isOff: boolean): void {
  try {
    localStorage.setItem(OFF, isOff ? "off" : "on");
  } catch {
    return; // a browser that keeps nothing: they stay as they are
  }
}

const VIEWS: Record<string, string> = { m: "market", j: "jobs", a: "account", p: "providers", n: "network", r: "rounds" };

const press = (selector: string) => document.querySelector<HTMLElement>(selector)?.click();
const focusOn = (selector: string) => document.querySelector<HTMLElement>(selector)?.focus();

function row(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")].filter((one) => one.offsetParent !== null);
  const at = rows.findIndex((one) => one === document.activeElement || one.contains(document.activeElement));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
  (next?.matches("a") ? next : next?.querySelector<HTMLElement>("a"))?.focus();
}

const ACTS: Record<string, () => void> = {
  "/": () => focusOn("#find"), "?": () => openDialog({ kind: "keys" }), j: () => row(1), k: () => row(-1), o: () => focusOn("#order-gpus"),
  t: turnTheme, c: () => void copy(document.querySelector<HTMLElement>("[data-command]")?.dataset["command"] ?? ""), y: () => void copy(location.hash.split("/")[2] ?? ""),
  l: () => focusOn("#log"), f: () => press("[data-key=f]"), v: () => press("[data-key=v]"), d: () => focusOn("#deposit"), w: () => focusOn("#withdraw"),
  e: () => focusOn("[data-key=e]"),
};

function isWriting(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.matches("input, textarea, select") || target.isContentEditable);
}

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (isWriting(event.target)) (event.target as HTMLElement).blur();
    else if (dialog.value) closeDialog();
    return;
  }
  if (isWriting(event.target) || areKeysOff() || dialog.value) return;
  if (isGoing) {
    isGoing = false;
    const view = VIEWS[event.key];
    if (view) go(view, view === "account" ? wallet.value.account ?? "" : "");
    return;
  }
  if (event.key === "g") {
    isGoing = true;
    window.setTimeout(() => (isGoing = false), 1500);
    return;
  }
  const act = ACTS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

export function listenToKeys(): void {
  addEventListener("keydown", onKey);
}
