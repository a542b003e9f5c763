// Wallets in this browser: announced (EIP-6963) or at `window.ethereum` (EIP-1193). Nothing is asked of one before somebody chose it.
import { signal } from "@preact/signals";
import { oneLine } from "../logic/names";
import { wallet } from "../state/wallet";

export interface Eip1193 {
  request(asked: { method: string; params?: unknown[] }): Promise<unknown>;
  on?(event: string, listener: (told: never) => void): void;
}
export interface Announced {
  name: string;
  id: string;
  provider: Eip1193;
}

export const announced = signal<readonly Announced[]>([]);
const MOST = 16;
let chosen: Eip1193 | undefined;

export function discover(): void {
  addEventListener("eip6963:announceProvider", (event) => {
    const told = (event as CustomEvent<{ info?: { uuid?: unknown; name?: unknown }; provider?: Eip1193 }>).detail;
    if (typeof told?.provider?.request !== "function") return;
    add({ name: oneLine(String(told.info?.name ?? "A wallet"), 40), id: String(told.info?.uuid ?? ""), provider: told.provider });
  });
  dispatchEvent(new Event("eip6963:requestProvider"));
  const old = (window as { ethereum?: Eip1193 }).ethereum;
  if (typeof old?.request === "function") add({ name: "This browser’s wallet", id: "window.ethereum", provider: old });
}

function add(one: Announced): void {
  const known = announced.value;
  if (known.length < MOST && !known.some((other) => other.id === one.id || other.provider === one.provider)) announced.value = [...known, one];
}

/** Ask a wallet for its account: the one question that shows who one is. */
export async function connect(one: Announced): Promise<void> {
  const accounts = await one.provider.request({ method: "eth_requestAccounts" });
  chosen = one.provider;
  const chainId = Number(await one.provider.request({ method: "eth_chainId" }));
  wallet.value = { ...wallet.value, account: firstOf(accounts), chainId };
  one.provider.on?.("accountsChanged", ((told: unknown) => (wallet.value = { account: firstOf(told), chainId: wallet.value.chainId, free: undefined, signedInUntil: undefined })) as never);
  one.provider.on?.("chainChanged", ((told: unknown) => (wallet.value = { ...wallet.value, chainId: Number(told) })) as never);
}

function firstOf(accounts: unknown): string | undefined {
  const first = Array.isArray(accounts) ? accounts[0] : undefined;
  return typeof first === "string" && /^0x[0-9a-fA-F]{40}$/.test(first) ? first.toLowerCase() : undefined;
}

export async function ofWallet<T>(method: string, ...params: unknown[]): Promise<T> {
  if (!chosen) throw new WalletRefusal("NoWallet", "No wallet is connected. The same in a terminal: the command beside the button.");
  try {
    return (await chosen.request({ method, params })) as T;
  } catch (error) {
    throw refusalOf(error);
  }
}

export class WalletRefusal extends Error {
  constructor(readonly reason: string, readonly detail: string) {
    super(detail);
  }
}

function refusalOf(error: unknown): WalletRefusal {
  const told = error as { code?: number; message?: string };
  if (told?.code === 4001) return new WalletRefusal("Refused", "Not signed. Nothing was sent.");
  return new WalletRefusal("WalletError", `The wallet says: ${oneLine(String(told?.message ?? error), 200)}`);
}
