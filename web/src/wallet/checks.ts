// What is looked at before a wallet signs: a gateway says much, and here it is held against the chain and against the rules. Pure, but for one recovery.
import { getAddress, hashTypedData, recoverTypedDataAddress, type Hex } from "viem";
import type { Market, OrderDocument, Receipts } from "../api/kinds";
import { domainOf, ORDER_TYPES, RECEIPT_TYPES } from "./documents";

/** What the chain says, at one block, about the serving that a receipt must be of. */
export interface Serving {
  /** As the contract numbers them. */
  status: number;
  offer: number;
  openedAt: number;
  paidSeconds: number;
  claimedSeconds: number;
  provider: string;
  /** Block time. */
  now: number;
}
export const [OPEN, CLAIMED] = [1, 2];
const NOT_SIGNED = "Nothing was signed.";

export const orderId = (market: Market, order: OrderDocument): Hex => hashTypedData({ types: ORDER_TYPES, primaryType: "Order", domain: domainOf(market), message: order as never });

/** Why an order is not the one that is looked at; "" where it is. */
export const otherOrder = (market: Market, id: string, order: OrderDocument): string => (orderId(market, order) === id ? "" : `The gateway shows another order than ${id}. ${NOT_SIGNED}`);

/** Why an order is not the one that is looked at, or not this account's; "" where it is. A gateway could show one and hand over another. */
export function orderFault(market: Market, id: string, order: OrderDocument, account: string): string {
  if (order.client !== account) return `This order is of ${order.client}, not of your wallet. ${NOT_SIGNED}`;
  return otherOrder(market, id, order);
}

/** Why a provider's last receipt is not signed; "" where all of it holds: this serving, its provider's signature, and no second more than block time allows, or is paid already. */
export async function receiptFault(market: Market, id: string, order: OrderDocument, told: Receipts["receipts"][number], serving: Serving): Promise<string> {
  const { receipt, signature } = told;
  if (serving.status !== OPEN && serving.status !== CLAIMED) return `The lease is neither open nor claimed on the chain. ${NOT_SIGNED}`;
  if (receipt.lease !== id || Number(receipt.offer) !== serving.offer || Number(receipt.openedAt) !== serving.openedAt) return `The receipt is of another serving than the chain has. ${NOT_SIGNED}`;
  if (!receipt.last) return `The receipt does not end the lease. ${NOT_SIGNED}`;
  const metered = Math.min(Number(order.maxSeconds), Math.max(0, serving.now - Math.max(serving.openedAt, Number(order.startsAt))));
  const due = serving.status === CLAIMED ? Math.min(metered, serving.claimedSeconds) : metered;
  const most = Math.max(due, serving.paidSeconds); // paid ahead of the meter: to sign for that again costs nothing
  const used = Number(receipt.usedSeconds);
  if (!(serving.paidSeconds <= used && used <= most)) return `The receipt names ${used} s; the chain's clock allows ${serving.paidSeconds} to ${most}. ${NOT_SIGNED}`;
  const message = { ...receipt, offer: Number(receipt.offer), openedAt: Number(receipt.openedAt), usedSeconds: used };
  const signer = await recoverTypedDataAddress({ types: RECEIPT_TYPES, primaryType: "Receipt", domain: domainOf(market), message: message as never, signature: signature as Hex }).catch(() => "");
  return signer.toLowerCase() === serving.provider.toLowerCase() ? "" : `The receipt is not signed by its provider, ${serving.provider}. ${NOT_SIGNED}`;
}

const NONCE = /^[A-Za-z0-9]{8,64}$/;
const INSTANT = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)?Z";

/** Why a text is no sign-in (EIP-4361) of this account at this gateway for this market; "" where it is, to the letter. What else it could be is a request. */
export function signInFault(market: Market, account: string, gateway: string, nonce: string, text: string): string {
  const at = (name: string) => new RegExp(`^${name}: (${INSTANT})$`, "m").exec(text)?.[1];
  const sites = [`https://${gateway}`, `http://${gateway}`];
  const wanted = sites.map((site) =>
    [
      `${gateway} wants you to sign in with your Ethereum account:`, getAddress(account), "", "Read what the leases of this account are about.", "",
      `URI: ${site}`, "Version: 1", `Chain ID: ${market.chainId}`, `Nonce: ${nonce}`, `Issued At: ${at("Issued At")}`, `Expiration Time: ${at("Expiration Time")}`,
      "Resources:", `- urn:compute-bourse:market:${market.chainId}:${market.market.toLowerCase()}`,
    ].join("\n"),
  );
  return NONCE.test(nonce) && wanted.includes(text) ? "" : `What the gateway wants signed is no sign-in to ${gateway}. ${NOT_SIGNED}`;
}
