// EIP-55 by Keccak-256. viem has both; the first load does without viem, so the permutation stands here, in bigints.

const RATE = 136;
const MASK = (1n << 64n) - 1n;
const [SHIFTS, ROUNDS] = tables();

function tables(): [bigint[], bigint[]] {
  const shifts = Array<bigint>(25).fill(0n);
  let [x, y] = [1, 0];
  for (let turn = 0; turn < 24; turn++) {
    shifts[x + 5 * y] = BigInt((((turn + 1) * (turn + 2)) / 2) % 64);
    [x, y] = [y, (2 * x + 3 * y) % 5];
  }
  const rounds: bigint[] = [];
  let register = 1;
  for (let round = 0; round < 24; round++) {
    let constant = 0n;
    for (let bit = 0; bit < 7; bit++) {
      if (register & 1) constant |= 1n << ((1n << BigInt(bit)) - 1n);
      register = (register << 1) ^ (register & 0x80 ? 0x171 : 0);
    }
    rounds.push(constant);
  }
  return [shifts, rounds];
}

const turned = (word: bigint, by: bigint) => ((word << by) | (word >> (64n - by))) & MASK;

function permute(state: bigint[]): void {
  for (const constant of ROUNDS) {
    const column = [0, 1, 2, 3, 4].map((x) => [0, 5, 10, 15, 20].reduce((sum, y) => sum ^ (state[x + y] ?? 0n), 0n));
    const mixed = column.map((_, x) => (column[(x + 4) % 5] ?? 0n) ^ turned(column[(x + 1) % 5] ?? 0n, 1n));
    const moved = Array<bigint>(25).fill(0n);
    for (let x = 0; x < 5; x++) {
      for (let y = 0; y < 5; y++) {
        const at = x + 5 * y;
        moved[y + 5 * ((2 * x + 3 * y) % 5)] = turned((state[at] ?? 0n) ^ (mixed[x] ?? 0n), SHIFTS[at] ?? 0n);
      }
    }
    for (let at = 0; at < 25; at++) {
      const row = at - (at % 5);
      state[at] = (moved[at] ?? 0n) ^ (~(moved[row + ((at + 1) % 5)] ?? 0n) & MASK & (moved[row + ((at + 2) % 5)] ?? 0n));
    }
    state[0] = (state[0] ?? 0n) ^ constant;
  }
}

/** Keccak-256 of what fits into one block, as hex without 0x. */
export function keccakOfShort(text: string): string {
  const block = new Uint8Array(RATE);
  block.set(new TextEncoder().encode(text).slice(0, RATE - 1));
  block[text.length] = 1;
  block[RATE - 1] = (block[RATE - 1] ?? 0) | 0x80;
  const view = new DataView(block.buffer);
  const state = Array<bigint>(25).fill(0n);
  for (let at = 0; at < RATE / 8; at++) state[at] = view.getBigUint64(at * 8, true);
  permute(state);
  const out = new DataView(new ArrayBuffer(32));
  for (let at = 0; at < 4; at++) out.setBigUint64(at * 8, state[at] ?? 0n, true);
  return Array.from(new Uint8Array(out.buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const known = new Map<string, string>();

/** An address with its checksum; what is no address comes back as it is. */
export function checksummed(address: string): string {
  const plain = address.toLowerCase().slice(2);
  if (!/^0x[0-9a-f]{40}$/.test(address.toLowerCase())) return address;
  const found = known.get(plain);
  if (found) return found;
  const hash = keccakOfShort(plain);
  const written = "0x" + [...plain].map((letter, at) => (parseInt(hash[at] ?? "0", 16) >= 8 ? letter.toUpperCase() : letter)).join("");
  if (known.size < 5_000) known.set(plain, written);
  return written;
}
