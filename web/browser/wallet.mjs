// A wallet for tests: it announces itself as EIP-6963 asks, and signs outside the page with a key that is worth nothing.
import { privateKeyToAccount } from "viem/accounts";

const INSIDE = `
  const provider = {
    request: (asked) => window.askWallet(JSON.stringify(asked)).then((told) => {
      const { answer, error } = JSON.parse(told);
      if (error) throw Object.assign(new Error(error.message), { code: error.code });
      return answer;
    }),
    on() {},
  };
  const announce = () => dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info: { uuid: "test", name: "Test <b>wallet</b>", icon: "", rdns: "test" }, provider }) }));
  addEventListener("eip6963:requestProvider", announce);
  announce();
`;

export async function giveWallet(page, { key, rpc }) {
  const account = privateKeyToAccount(key);
  const refused = { next: false };
  const node = async (method, params) => {
    const answer = await fetch(rpc, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
    const told = await answer.json();
    if (told.error) throw new Error(told.error.message);
    return told.result;
  };
  const acts = {
    eth_requestAccounts: () => [account.address],
    personal_sign: ([text]) => account.signMessage({ message: { raw: text } }),
    eth_signTypedData_v4: ([, text]) => {
      const { types: { EIP712Domain: _, ...types }, ...rest } = JSON.parse(text);
      return account.signTypedData({ types, ...rest });
    },
    eth_sendTransaction: async ([{ to, data }]) => {
      const [nonce, gas, chainId] = await Promise.all([node("eth_getTransactionCount", [account.address, "pending"]), node("eth_estimateGas", [{ from: account.address, to, data }]), node("eth_chainId", [])]);
      const raw = await account.signTransaction({ to, data, nonce: Number(nonce), gas: BigInt(gas) * 2n, chainId: Number(chainId), maxFeePerGas: 100_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n, type: "eip1559" });
      return node("eth_sendRawTransaction", [raw]);
    },
  };
  await page.exposeFunction("askWallet", async (text) => {
    const { method, params } = JSON.parse(text);
    if (refused.next && /sign|send/.test(method)) {
      refused.next = false;
      return JSON.stringify({ error: { code: 4001, message: "User rejected" } });
    }
    try {
      return JSON.stringify({ answer: await (acts[method] ? acts[method](params) : node(method, params)) });
    } catch (error) {
      return JSON.stringify({ error: { code: -32000, message: String(error) } });
    }
  });
  await page.addInitScript(INSIDE);
  return { address: account.address.toLowerCase(), refuseNext: () => (refused.next = true) };
}
