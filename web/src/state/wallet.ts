// Who one is, as far as one has said so: nothing is asked of a wallet before somebody presses "Connect".
import { signal } from "@preact/signals";

export interface WalletState {
  account: string | undefined;
  chainId: number | undefined;
  free: bigint | undefined;
  /** Until when the gateway lets this browser read as the account, in block time. */
  signedInUntil: number | undefined;
}

export const wallet = signal<WalletState>({ account: undefined, chainId: undefined, free: undefined, signedInUntil: undefined });
