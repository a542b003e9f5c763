// What a page of one's own install knows by itself: the address book is there, and a gateway that says otherwise is refused.
import type { Market } from "../api/kinds";

export interface OwnWord {
  /** The gateway's host and port, by which it names itself when one signs in. */
  gateway: string;
  chain: number;
  market: string;
  token: string;
  opener: string | null;
  arbiter: string | null;
}

/** Read from what the install wrote into the page; nothing where a gateway serves it. */
export function ownWordIn(text: string | null | undefined): OwnWord | undefined {
  return text ? (JSON.parse(text) as OwnWord) : undefined;
}

/** In what a gateway's market differs from the address book, as a sentence; "" where it is the same. */
export function contradiction(own: OwnWord, told: Pick<Market, "chainId" | "market" | "token" | "opener" | "arbiter">): string {
  const pairs: [string, string, string | null][] = [
    ["chain", String(told.chainId), String(own.chain)], ["market", told.market, own.market], ["token", told.token.address, own.token],
    ["scheduler", told.opener, own.opener], ["arbiter", told.arbiter, own.arbiter],
  ];
  const other = pairs.find(([, said, wanted]) => wanted !== null && said.toLowerCase() !== wanted.toLowerCase());
  return other ? `The gateway at ${own.gateway} names the ${other[0]} ${other[1]}; your address book names ${other[2]}. Nothing of it is shown.` : "";
}
