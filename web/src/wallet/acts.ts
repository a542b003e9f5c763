// Acts: what the wallet is asked to sign or send, after it was checked against the chain through the wallet itself. A chunk of its own.
import { decodeFunctionResult, encodeFunctionData, parseAbi, parseSignature, toHex, type Hex } from "viem";
import type { Market, OrderDocument, OrderTold, Receipts } from "../api/kinds";
import { sha256 } from "../api/outputs";
import { ask, json, pathOf } from "../api/read";
import { bundled, type InputFile } from "../logic/bundle";
import { askAgain } from "../state/answers";
import { own as install } from "../state/market";
import { wallet } from "../state/wallet";
import { orderFault, orderId, otherOrder, receiptFault, signInFault, type Serving } from "./checks";
import { domainOf, ORDER_TYPES, orderOf, RECEIPT_TYPES, requestText, shareText, specOf, workOf, type Draft } from "./documents";
import { listingFault, type Listing } from "./listings";
import { ofWallet, WalletRefusal } from "./provider";

const ORDER = "(address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,uint80 maxPrice,uint16 minBondBps,uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,address arbiter,bytes32 spec,uint256 salt) order";
export const MARKET = parseAbi([
  `function orderId(${ORDER}) view returns (bytes32)`, `function cancel(${ORDER})`, `function terminate(${ORDER})`, `function dispute(${ORDER})`, `function lapse(${ORDER})`, `function expire(${ORDER})`, `function rule(${ORDER},uint32 usedSeconds,bool providerAtFault)`, `function token() view returns (address)`,
  "function depositWithPermit(address owner,uint256 amount,uint256 deadline,uint8 v,bytes32 r,bytes32 s)", "function withdraw(address to,uint256 amount)",
  "struct Lease { uint8 status; bool tipPaid; bool noReopen; bool assigned; bool byAcceptor; bool charged; uint40 offer; uint80 price; uint32 openedAt; uint32 paidSeconds; uint32 claimedSeconds; uint32 changedAt; }",
  "struct Offer { address provider; uint8 class; uint16 gpus; uint16 free; uint16 bondBps; uint40 expiresAt; address arbiter; uint80 price; uint16 minSeconds; bytes32 spec; }",
  "function leaseOf(bytes32 id) view returns (Lease)", "function offerOf(uint40 offer) view returns (Offer)", "function reprice(uint40 offer,uint80 price,uint40 expiresAt)",
] as const);
export const TOKEN = parseAbi([
  "function nonces(address owner) view returns (uint256)", "function balanceOf(address owner) view returns (uint256)", "function decimals() view returns (uint8)",
  "function eip712Domain() view returns (bytes1 fields,string name,string version,uint256 chainId,address verifyingContract,bytes32 salt,uint256[] extensions)",
] as const);
const PERMIT = { Permit: [{ name: "owner", type: "address" }, { name: "spender", type: "address" }, { name: "value", type: "uint256" }, { name: "nonce", type: "uint256" }, { name: "deadline", type: "uint256" }] };
const PERMIT_SECONDS = 1_200;
const MINED_TURNS = 120;

export type Step = (said: string) => void;
type Args = readonly unknown[];

function account(): string {
  const own = wallet.value.account;
  if (!own) throw new WalletRefusal("NoWallet", "Connect a wallet first.");
  return own;
}

/** The wallet is on the market's chain, and the market there is the one that is told: its token is, to the decimal, by which all that is typed becomes units. */
export async function checkMarket(market: Market): Promise<void> {
  const chainId = Number(await ofWallet<string>("eth_chainId"));
  if (chainId !== market.chainId) throw new WalletRefusal("WrongChain", `Your wallet is on chain ${chainId}, the market on ${market.chainId}. Switch there, then try again.`);
  const token = await call<string>(market.market, MARKET, "token", []);
  refuseIf(token.toLowerCase() === market.token.address ? "" : "This gateway names another token than the market on the chain does. Nothing was signed.");
  const decimals = await call<number>(token, TOKEN, "decimals", []);
  refuseIf(decimals === market.token.decimals ? "" : `This gateway writes amounts with ${market.token.decimals} decimals, the token has ${decimals}. Nothing was signed.`);
}

async function call<T>(to: string, abi: typeof MARKET | typeof TOKEN, functionName: string, args: Args): Promise<T> {
  const data = encodeFunctionData({ abi, functionName, args } as never);
  const answer = await ofWallet<Hex>("eth_call", { to, data }, "latest");
  return decodeFunctionResult({ abi, functionName, data: answer } as never) as T;
}

async function typed(types: Record<string, readonly { name: string; type: string }[]>, primaryType: string, domain: object, message: object): Promise<Hex> {
  const whole = { types: { EIP712Domain: [{ name: "name", type: "string" }, { name: "version", type: "string" }, { name: "chainId", type: "uint256" }, { name: "verifyingContract", type: "address" }], ...types }, primaryType, domain, message };
  return ofWallet<Hex>("eth_signTypedData_v4", account(), JSON.stringify(whole, (_, value: unknown) => (typeof value === "bigint" ? value.toString() : value)));
}

/** Block time, as the wallet's own node has it: a gateway could have a request signed for later. */
async function chainNow(): Promise<number> {
  return Number((await ofWallet<{ timestamp: string }>("eth_getBlockByNumber", "latest", false)).timestamp);
}

/** Throws where a gateway's word does not hold. */
function refuseIf(fault: string): void {
  if (fault) throw new WalletRefusal("GatewayDiffers", fault);
}

async function signedHeaders(market: Market, method: string, path: string, bodySha256: string): Promise<Record<string, string>> {
  const now = await chainNow();
  const text = requestText(method, path, bodySha256, now, market);
  const signature = await ofWallet<string>("personal_sign", toHex(new TextEncoder().encode(text)), account());
  return { "Bourse-Account": account(), "Bourse-Time": String(now), "Bourse-Signature": signature };
}

async function upload(market: Market, content: string | Uint8Array<ArrayBuffer>, isPublic: boolean): Promise<string> {
  const body = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const name = await sha256(body);
  const path = `/v1/blobs/${name}?public=${isPublic}`;
  await ask(path, { method: "PUT", body, headers: { ...(await signedHeaders(market, "PUT", path, name)), "Content-Type": "application/octet-stream" } });
  return name;
}

const random = (bytes: number) => toHex(crypto.getRandomValues(new Uint8Array(bytes)));

/** Upload inputs, work and spec, check that the chain names the order as we do, have it signed, send it. Returns the order's id. */
export async function signOrder(market: Market, draft: Draft, files: readonly InputFile[], step: Step): Promise<string> {
  await checkMarket(market);
  const all = files.length ? 4 : 3;
  const bundle = files.length ? bundled(files) : undefined;
  if (bundle) step(`Signature 1 of ${all}: the upload of its input`);
  const brought = bundle && { sha256: await upload(market, bundle, false), bytes: bundle.length };
  const work = workOf(draft, random(32).slice(2), brought);
  step(`Signature ${all - 2} of ${all}: the upload of what it runs`);
  const name = await upload(market, work, false);
  step(`Signature ${all - 1} of ${all}: the upload of its public part`);
  const spec = await upload(market, specOf(draft, { sha256: name, bytes: new TextEncoder().encode(work).length }), true);
  const order = orderOf(draft, market, spec, BigInt(random(32)));
  const id = orderId(market, order);
  if ((await call<string>(market.market, MARKET, "orderId", [order])) !== id) throw new WalletRefusal("GatewayDiffers", "The market on the chain names this order otherwise. Nothing was signed.");
  step(`Signature ${all} of ${all}: the order itself`);
  const signature = await typed(ORDER_TYPES, "Order", domainOf(market), order);
  const taken = await json<OrderTold>("/v1/orders", { method: "POST", body: JSON.stringify({ order, signature }), headers: { "Content-Type": "application/json", "Idempotency-Key": id } });
  askAgain();
  if (taken.id !== id) throw new WalletRefusal("GatewayDiffers", "The gateway names the order otherwise. Look for it by its own id: " + id);
  return id;
}

/** Take an order off the book: free, by a signature. On the chain it is for good, and costs gas. */
export async function withdrawOrder(market: Market, id: string, step: Step): Promise<void> {
  step("Your wallet asks you to sign a request");
  const path = `/v1/orders/${id}`;
  await ask(path, { method: "DELETE", headers: await signedHeaders(market, "DELETE", path, await sha256(new Uint8Array())) });
  askAgain();
}

async function send(market: Market, functionName: string, args: Args, step: Step): Promise<void> {
  await checkMarket(market);
  const data = encodeFunctionData({ abi: MARKET, functionName, args } as never);
  step("Your wallet asks you to send a transaction");
  const hash = await ofWallet<string>("eth_sendTransaction", { from: account(), to: market.market, data });
  step(`Sent: ${hash.slice(0, 10)}…, waiting for a block`);
  for (let turn = 0; turn < MINED_TURNS; turn++) {
    const mined = await ofWallet<{ status: string; blockNumber: string } | null>("eth_getTransactionReceipt", hash);
    if (mined) {
      askAgain();
      if (mined.status !== "0x1") throw new WalletRefusal("Reverted", `Block ${Number(mined.blockNumber)} has it, and the market refused it. Nothing moved but the gas.`);
      return step(`In block ${Number(mined.blockNumber)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  throw new WalletRefusal("NotMined", `No block has ${hash.slice(0, 10)}… yet. It may still come: look again later.`);
}

/** End an order or its lease on the chain: the very one that is looked at, and only its client's own. */
export async function endOnChain(verb: "cancel" | "terminate" | "dispute", market: Market, id: string, order: OrderDocument, step: Step): Promise<void> {
  refuseIf(orderFault(market, id, order, account()));
  await send(market, verb, [order], step);
}

/** End what its deadline has ended: a dispute on which nobody ruled, a lease whose provider never came back. Anybody may. */
export async function endForAll(verb: "lapse" | "expire", market: Market, id: string, order: OrderDocument, step: Step): Promise<void> {
  refuseIf(otherOrder(market, id, order));
  await send(market, verb, [order], step);
}

/** Decide a dispute, as the arbiter that its order names. */
export async function rule(market: Market, id: string, order: OrderDocument, seconds: number, isProviderAtFault: boolean, step: Step): Promise<void> {
  refuseIf(otherOrder(market, id, order) || (order.arbiter === account() ? "" : `The arbiter of this order is ${order.arbiter}, not your wallet. Nothing was signed.`));
  await send(market, "rule", [order, seconds, isProviderAtFault], step);
}

const SHARE_SECONDS = 7 * 86_400 - 600;

/** Leave to read outputs and log for a week, less what a slow wallet takes: two tokens, as an address of the job's view takes them. */
export async function shareAll(market: Market, id: string, step: Step): Promise<string[]> {
  const until = (await chainNow()) + SHARE_SECONDS;
  const tokens: string[] = [];
  for (const part of ["outputs", "log"] as const) {
    step(`Signature ${tokens.length + 1} of 2: leave to read the ${part}`);
    const signature = await ofWallet<string>("personal_sign", toHex(new TextEncoder().encode(shareText(id, part, until, market))), account());
    tokens.push(`${part}.${until}.${account()}.${signature}`);
  }
  return tokens;
}

async function listingOf(market: Market, offer: number): Promise<Listing> {
  return { ...(await call<Omit<Listing, "now">>(market.market, MARKET, "offerOf", [offer])), now: await chainNow() };
}

/** Ask another price for one's own offer. Its expiry stays what the chain says it is, whatever the gateway shows. */
export async function reprice(market: Market, offer: number, price: bigint, step: Step): Promise<void> {
  await checkMarket(market);
  const listed = await listingOf(market, offer);
  refuseIf(listingFault(offer, listed, account(), price));
  await send(market, "reprice", [offer, price, listed.expiresAt], step);
}

/** Take one's own offer off the market: from this block's time on nothing opens on it. */
export async function withdrawOffer(market: Market, offer: number, step: Step): Promise<void> {
  await checkMarket(market);
  const listed = await listingOf(market, offer);
  refuseIf(listingFault(offer, listed, account()));
  await send(market, "reprice", [offer, listed.price, listed.now], step);
}

export const withdraw = (market: Market, amount: bigint, step: Step) => send(market, "withdraw", [account(), amount], step);

/** Deposit by permit: one signature, one transaction, no allowance that stays. */
export async function deposit(market: Market, amount: bigint, step: Step): Promise<void> {
  await checkMarket(market);
  const own = account();
  const token = market.token.address;
  const held = await call<bigint>(token, TOKEN, "balanceOf", [own]);
  if (held < amount) throw new WalletRefusal("InsufficientBalance", `Your wallet holds less than that: ${held} units.`);
  const [, name, version, chainId, verifyingContract] = await call<[string, string, string, bigint, string]>(token, TOKEN, "eip712Domain", []);
  const nonce = await call<bigint>(token, TOKEN, "nonces", [own]);
  const deadline = BigInt((await chainNow()) + PERMIT_SECONDS);
  step("Signature: a permit for this amount, good for 20 minutes");
  const signature = await typed(PERMIT, "Permit", { name, version, chainId: Number(chainId), verifyingContract }, { owner: own, spender: market.market, value: amount, nonce, deadline });
  const { r, s, yParity } = parseSignature(signature);
  await send(market, "depositWithPermit", [own, amount, deadline, 27 + yParity, r, s], step);
}

async function servingOf(market: Market, id: string): Promise<Serving> {
  const lease = await call<Pick<Serving, "status" | "offer" | "openedAt" | "paidSeconds" | "claimedSeconds">>(market.market, MARKET, "leaseOf", [id]);
  const { provider } = await call<{ provider: string }>(market.market, MARKET, "offerOf", [lease.offer]);
  return { ...lease, provider, now: await chainNow() };
}

/** Sign the receipt that the provider signed for this very serving: after the outputs were hashed here, never before. */
export async function countersign(market: Market, id: string, order: OrderDocument, told: Receipts["receipts"][number], step: Step): Promise<void> {
  await checkMarket(market);
  refuseIf(orderFault(market, id, order, account()));
  refuseIf(await receiptFault(market, id, order, told, await servingOf(market, id)));
  const { receipt } = told;
  step("Signature 1 of 2: the receipt, as the provider signed it");
  const signature = await typed(RECEIPT_TYPES, "Receipt", domainOf(market), receipt);
  const path = pathOf("/v1/leases/{lease}/receipts", { path: { lease: receipt.lease } });
  const body = JSON.stringify({ receipt, role: "client", signature });
  step("Signature 2 of 2: the request that brings it");
  const headers = await signedHeaders(market, "POST", path, await sha256(new TextEncoder().encode(body)));
  await ask(path, { method: "POST", body, headers: { ...headers, "Content-Type": "application/json" } });
  askAgain();
}

/** Sign in with Ethereum (EIP-4361), for reading only: the session stays in a cookie that no script sees. */
export async function signIn(market: Market, step: Step): Promise<void> {
  const own = account();
  const challenge = await json<{ message: string; domain: string; nonce: string }>(pathOf("/v1/sessions/challenge", { query: { account: own } }));
  const wanted = install?.gateway ?? location.host;
  if (challenge.domain !== wanted) throw new WalletRefusal("OtherDomain", `The gateway calls itself ${challenge.domain}, and you are at ${wanted}: somebody may stand in between. Nothing was signed.`);
  refuseIf(signInFault(market, own, wanted, challenge.nonce, challenge.message));
  step("Your wallet asks you to sign in");
  const signature = await ofWallet<string>("personal_sign", toHex(new TextEncoder().encode(challenge.message)), own);
  const opened = await json<{ expiresAt: number }>("/v1/sessions", { method: "POST", body: JSON.stringify({ message: challenge.message, signature }), headers: { "Content-Type": "application/json", "Bourse-Page": "1" } });
  wallet.value = { ...wallet.value, signedInUntil: opened.expiresAt };
  askAgain();
}

export async function signOut(): Promise<void> {
  await ask("/v1/sessions", { method: "DELETE", headers: { "Bourse-Page": "1" } });
  wallet.value = { ...wallet.value, signedInUntil: undefined };
  askAgain();
}
