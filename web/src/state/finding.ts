// One field for everything: what somebody types tells by its shape what it is.
import { read } from "../api/read";
import { go } from "./route";
import { wallet } from "./wallet";

export async function find(text: string): Promise<void> {
  const what = text.trim();
  if (/^0x[0-9a-fA-F]{64}$/.test(what)) return go((await isRound(what.toLowerCase())) ? "round" : "job", what.toLowerCase());
  if (/^0x[0-9a-fA-F]{40}$/.test(what)) return go("account", what.toLowerCase());
  if (/^\d{1,9}$/.test(what)) return go("offer", what);
  if (/^jobs?\b/i.test(what)) return go("jobs", wallet.value.account ?? "");
  if (what) go("market", (await classLike(what)) ?? what);
}

async function isRound(id: string): Promise<boolean> {
  return read("/v1/orders/{order_id}" as never, { path: { order_id: id } }).then(() => false, () => true);
}

async function classLike(text: string): Promise<string | undefined> {
  const { items } = await read("/v1/classes");
  const sought = text.toLowerCase();
  return (items.find((one) => one.name.toLowerCase() === sought) ?? items.find((one) => one.name.toLowerCase().includes(sought)))?.name;
}
