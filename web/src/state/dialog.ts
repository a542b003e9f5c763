// The one thing at a time that one is about to do.
import { signal } from "@preact/signals";

export type Dialog =
  | { kind: "order"; name: string; gpuClass: number; gpus: number; maxSeconds: number; maxPrice: bigint; worst: bigint }
  | { kind: "keys" };

export const dialog = signal<Dialog | undefined>(undefined);
export const openDialog = (next: Dialog) => (dialog.value = next);
export const closeDialog = () => (dialog.value = undefined);
