import { privateKeyToAccount } from "viem/accounts";
import { expect, test } from "vitest";
import { CLAIMED, OPEN, orderFault, orderId, receiptFault, signInFault, type Serving } from "./checks";
import cases from "../../../tests/unit/client/receipt_seconds.json"; // one table for both: what the page signs, the command line signs
import { domainOf, RECEIPT_TYPES, requestText } from "./documents";

const zero = `0x${"0".repeat(40)}`;
const market = { chainId: 31337, market: `0x${"ab".repeat(20)}` } as never;
const provider = privateKeyToAccount(`0x${"11".repeat(32)}`);
const client = privateKeyToAccount(`0x${"22".repeat(32)}`).address.toLowerCase();
const order = {
  client, classes: "2", offer: "0", gpus: "1", maxSeconds: "100", minSeconds: "0", maxPrice: "9", minBondBps: "0", startsAt: "0", expiresAt: "5000", tip: "0", opener: zero, acceptor: zero, arbiter: zero,
  spec: `0x${"cd".repeat(32)}`, salt: "7",
};
const id = orderId(market, order);
const serving: Serving = { status: OPEN, offer: 3, openedAt: 1_000, paidSeconds: 10, claimedSeconds: 0, provider: provider.address, now: 1_060 };

async function receiptOf(changes: object = {}, signer = provider) {
  const receipt = { lease: id, offer: "3", openedAt: "1000", usedSeconds: "60", result: `0x${"ef".repeat(32)}`, last: true, ...changes };
  const signature = await signer.signTypedData({ types: RECEIPT_TYPES, primaryType: "Receipt", domain: domainOf(market), message: receipt });
  return { role: "provider" as const, receipt, signature, at: 1_060, atTime: null };
}

const faultOf = async (changes: object = {}, seen: Partial<Serving> = {}) => receiptFault(market, id, order, await receiptOf(changes), { ...serving, ...seen });

test("a receipt of this serving, signed by its provider, for no more than block time allows, is signed", async () => {
  expect(await faultOf()).toBe("");
  expect(await faultOf({}, { status: CLAIMED, claimedSeconds: 60, now: 9_000 })).toBe("");
});

test("a receipt of another lease, offer or opening is not, though its provider signed it", async () => {
  for (const other of [{ lease: `0x${"99".repeat(32)}` }, { offer: "4" }, { openedAt: "999" }]) expect(await faultOf(other)).toContain("of another serving");
});

test("a receipt for more seconds than went by, than may be paid, than were claimed, or for fewer than are paid, is not", async () => {
  expect(await faultOf({ usedSeconds: "61" })).toContain("names 61 s; the chain's clock allows 10 to 60");
  expect(await faultOf({ usedSeconds: "101" }, { now: 9_000 })).toContain("10 to 100");
  expect(await faultOf({}, { status: CLAIMED, claimedSeconds: 59 })).toContain("10 to 59");
  expect(await faultOf({ usedSeconds: "9" })).toContain("names 9 s");
  expect(await receiptFault(market, id, { ...order, startsAt: "1001" }, await receiptOf(), serving)).toContain("10 to 59");
});

test.each(cases)("$case: signed as the command line signs it", async ({ claimed, paid, now, used, isSigned }) => {
  const term = { ...order, maxSeconds: "600", startsAt: "2000" };
  const seen = { ...serving, status: claimed === null ? OPEN : CLAIMED, claimedSeconds: claimed ?? 0, paidSeconds: paid, now };
  const fault = await receiptFault(market, id, term, await receiptOf({ usedSeconds: String(used) }), seen);
  if (isSigned) expect(fault).toBe("");
  else expect(fault).toContain(`names ${used} s; the chain's clock allows ${paid} to `);
});

test("a receipt that its provider did not sign, or of a lease that is over, or one on the way, is not", async () => {
  const strangers = await receiptOf({}, privateKeyToAccount(`0x${"33".repeat(32)}`));
  const changed = { ...(await receiptOf()), receipt: { ...(await receiptOf()).receipt, usedSeconds: "59" } };
  for (const told of [strangers, changed, { ...strangers, signature: "0x00" }]) expect(await receiptFault(market, id, order, told, serving)).toContain("not signed by its provider");
  expect(await faultOf({}, { status: 4 })).toContain("neither open nor claimed");
  expect(await faultOf({ last: false })).toContain("does not end");
});

test("an order is ended only if it is the one that is looked at, and one's own", () => {
  expect(orderFault(market, id, order, client)).toBe("");
  expect(orderFault(market, id, { ...order, salt: "8" }, client)).toContain("another order");
  expect(orderFault(market, id, order, provider.address.toLowerCase())).toContain("not of your wallet");
});

const SIGN_IN = `gateway.example wants you to sign in with your Ethereum account:
0x1563915e194D8CfBA1943570603F7606A3115508

Read what the leases of this account are about.

URI: https://gateway.example
Version: 1
Chain ID: 31337
Nonce: abcd1234EF
Issued At: 2026-11-30T10:01:55Z
Expiration Time: 2026-11-30T11:58:35Z
Resources:
- urn:compute-bourse:market:31337:0x${"ab".repeat(20)}`;

test("a sign-in is signed to the letter, and nothing else that a gateway would have signed", () => {
  const fault = (text: string) => signInFault(market, client, "gateway.example", "abcd1234EF", text);
  expect(fault(SIGN_IN)).toBe("");
  const others = [
    requestText("DELETE", "/v1/orders/0x1", "00", 1, market), `${SIGN_IN}\n- urn:more`, SIGN_IN.replace("31337\n", "1\n"), SIGN_IN.replace("abcd1234EF", "abcd1234EG"), SIGN_IN.replace("URI: https", "URI: ftp"),
    SIGN_IN.replace("2026-11-30T11:58:35Z", "never"), SIGN_IN.replace("gateway.example wants", "other.example wants"), `x\n${SIGN_IN}`,
  ];
  for (const text of others) expect(fault(text), text).toContain("no sign-in to gateway.example");
});
