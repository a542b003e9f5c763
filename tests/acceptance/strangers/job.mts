// A whole job by a client that openapi-typescript typed, openapi-fetch and ethers. What it is told comes on standard input as JSON:
// gateway, key, and what is to go into the job. What came of it goes to standard output.

import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Wallet } from "ethers";
import createClient from "openapi-fetch";
import type { components, paths } from "./gateway.js";

type Order = components["schemas"]["OrderDocumentAsked"];
type Receipt = components["schemas"]["ReceiptDocument"];
interface Told { gateway: string; key: string; words: string; command: string[]; gpu: string }

const ORDER =
  "address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,uint80 maxPrice,uint16 minBondBps," +
  "uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,address arbiter,bytes32 spec,uint256 salt";
const RECEIPT = "bytes32 lease,uint40 offer,uint40 openedAt,uint32 usedSeconds,bytes32 result,bool last";
const ZERO = "0x" + "0".repeat(40);
const TURNS = 600, TURN_MS = 200;

const told = JSON.parse(readFileSync(0, "utf8")) as Told;
const wallet = new Wallet(told.key);
const me = wallet.address.toLowerCase();
const client = createClient<paths>({ baseUrl: told.gateway });
const market = had(await client.GET("/v1/market"));

/** What was answered, or the problem as an error. */
function had<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

function nameOf(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}

/** RFC 8785, of what has integers and ASCII names only. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, held]) => `${JSON.stringify(name)}:${canonical(held)}`).join(",")}}`;
}

async function signed(method: string, path: string, body: Uint8Array | string = "") {
  const at = had(await client.GET("/v1/market")).block.timestamp;
  const text =
    `Compute Bourse request\n\n${method} ${path}\nBody sha256: ${nameOf(body)}\nBlock time: ${at}\n` +
    `Chain id: ${market.chainId}\nMarket: ${market.market}`;
  return { "Bourse-Account": me, "Bourse-Time": String(at), "Bourse-Signature": await wallet.signMessage(text) };
}

function typed(name: string, fields: string, message: Order | Receipt): Promise<string> {
  const kinds = fields.split(",").map((field) => {
    const [type, label] = field.split(" ") as [string, string];
    return { type, name: label };
  });
  const domain = { name: "ComputeMarket", version: "1", chainId: market.chainId, verifyingContract: market.market };
  return wallet.signTypedData(domain, { [name]: kinds }, message);
}

async function upload(content: Uint8Array, isPublic: "true" | "false" = "false"): Promise<string> {
  const name = nameOf(content);
  const header = await signed("PUT", `/v1/blobs/${name}?public=${isPublic}`, content);
  had(await client.PUT("/v1/blobs/{name}", {
    params: { path: { name }, query: { public: isPublic }, header },
    body: content as unknown as string, // the type of `format: binary`
    bodySerializer: (body: unknown) => body as BodyInit,
    headers: { "Content-Type": "application/octet-stream" },
  }));
  return name;
}

/** One file as a tar archive (ustar), written as any tar would. */
function bundle(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000644\0" + "0000000\0".repeat(2), 100);
  header.write(content.length.toString(8).padStart(11, "0") + "\0" + "00000000000\0" + " ".repeat(8) + "0", 124);
  header.write("ustar\0" + "00", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(sum.toString(8).padStart(6, "0") + "\0 ", 148);
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512 + 1024)]);
}

/** The files of a tar archive by their names. */
function unbundled(archive: Buffer): Record<string, string> {
  const files: Record<string, string> = {};
  for (let at = 0; at < archive.length && archive[at] !== 0; ) {
    const name = archive.toString("utf8", at, archive.indexOf(0, at));
    const size = parseInt(archive.toString("ascii", at + 124, at + 135), 8);
    if (!name.endsWith("/")) files[name] = archive.toString("utf8", at + 512, at + 512 + size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let turn = 0; turn < TURNS; turn++) {
    const found = await look();
    if (found !== undefined) return found;
    await pause(TURN_MS);
  }
  throw new Error("nothing came in time");
}

const inputs = bundle("words.txt", Buffer.from(told.words));
const work = Buffer.from(canonical({
  version: 1, salt: randomBytes(32).toString("hex"), command: told.command,
  inputs: [{ path: "/job/in", bytes: inputs.length, parts: [await upload(inputs)] }],
}));
const spec = Buffer.from(canonical({ version: 2, image: "host", work: { sha256: await upload(work), bytes: work.length } }));
const row = had(await client.GET("/v1/classes")).items.find((one) => one.name === told.gpu);
if (row === undefined) throw new Error(`no class ${told.gpu}`);
const order: Order = {
  client: me, classes: (1n << BigInt(row.class)).toString(), offer: "0", gpus: "1", maxSeconds: "60", minSeconds: "0",
  maxPrice: "400000", minBondBps: "0", startsAt: "0", expiresAt: String(market.block.timestamp + 3600), tip: "0",
  opener: market.opener, acceptor: ZERO, arbiter: market.arbiter, spec: "0x" + (await upload(spec, "true")),
  salt: BigInt("0x" + randomBytes(32).toString("hex")).toString(),
};
const taken = had(await client.POST("/v1/orders", { body: { order, signature: await typed("Order", ORDER, order) } }));
const path = { lease_id: taken.id };
const below = `/v1/leases/${taken.id}`;

const receipt = await eventually(async () => {
  const { data } = await client.GET("/v1/leases/{lease_id}/receipts", { params: { path } });
  return data?.receipts.find((one) => one.role === "provider" && one.receipt.last)?.receipt;
});
const log = had(await client.GET("/v1/leases/{lease_id}/logs", {
  params: { path, query: { follow: "false" }, header: await signed("GET", `${below}/logs?follow=false`) }, parseAs: "text",
}));
const outputs = had(await client.GET("/v1/leases/{lease_id}/outputs", {
  params: { path, header: await signed("GET", `${below}/outputs`) },
}));
if (receipt.result !== "0x" + nameOf(canonical(outputs.result))) throw new Error("the receipt names another result");
const parts: Buffer[] = [];
for (const name of outputs.result.outputs[0]?.parts ?? []) {
  const part = had(await client.GET("/v1/leases/{lease_id}/blobs/{name}", {
    params: { path: { ...path, name }, header: await signed("GET", `${below}/blobs/${name}`) }, parseAs: "arrayBuffer",
  }));
  parts.push(Buffer.from(part as ArrayBuffer));
}
const mine = { receipt, role: "client" as const, signature: await typed("Receipt", RECEIPT, receipt) };
had(await client.POST("/v1/leases/{lease_id}/receipts", {
  params: { path, header: await signed("POST", `${below}/receipts`, JSON.stringify(mine)) }, body: mine,
}));
const closed = await eventually(async () => {
  const lease = had(await client.GET("/v1/leases/{lease_id}", { params: { path } }));
  return lease.status === "Closed" ? lease : undefined;
});
console.log(JSON.stringify({
  order: taken.id, log, files: unbundled(Buffer.concat(parts)), paid: closed.paid, exit_code: outputs.result.exit_code,
}));
