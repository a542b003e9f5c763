// Connecting a wallet, and what an account can do with it. A wallet is asked for nothing before somebody presses a button.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { unitsOf } from "../logic/amounts";
import { clock } from "../logic/times";
import { market, token } from "../state/market";
import { wallet } from "../state/wallet";
import { announced, connect, discover } from "../wallet/provider";
import { Act, acts } from "./act";
import { Command } from "./words";

export function Wallets() {
  const said = useSignal("");
  useEffect(discover, []);
  const choose = (at: number) => {
    const one = announced.value[at];
    if (one) void connect(one).then(() => (said.value = ""), () => (said.value = "The wallet did not say who you are. Nothing was asked of it but that."));
  };
  return (
    <div data-wallets>
      <p class="acts">{announced.value.map((one, at) => <button type="button" class="btn" onClick={() => choose(at)}>Connect {one.name}</button>)}</p>
      {announced.value.length ? null : <p class="empty">No wallet is in this browser. The same can be done in a terminal:</p>}
      {said.value ? <p class="problem" role="status">✗ {said.value}</p> : null}
    </div>
  );
}

export function Connect() {
  return (
    <>
      <h1 class="answer">Looking is free. To act, use your own wallet.</h1>
      <p class="sub">No account, no password: a wallet in this browser signs, and this gateway never sees its key. Any account can be looked at: type its address above.</p>
      <Wallets />
      <div class="lead" style={{ maxWidth: "420px" }}><Command words="bourse wallet new" /></div>
    </>
  );
}

export function AccountActs({ address }: { address: string }) {
  const { account, chainId, signedInUntil } = wallet.value;
  if (!account) return <><Wallets /><Command words="bourse wallet deposit 20" /></>;
  if (account !== address) return <p class="cap">This is not the account of your wallet: it can be looked at, and no more.</p>;
  return (
    <>
      {market.value && chainId !== market.value.chainId ? <p class="problem">✗ Your wallet is on chain {chainId}, the market on {market.value.chainId}. Switch there to act.</p> : null}
      <MoneyAct kind="deposit" />
      <MoneyAct kind="withdraw" />
      <p class="acts">
        {signedInUntil ? <Act ghost run={async () => (await acts()).signOut()}>Sign out</Act> : <Act ghost id="sign-in" run={async (step) => (await acts()).signIn(market.value!, step)}>Sign in to read your jobs</Act>}
      </p>
      <p class="cap">{signedInUntil ? `Signed in until ${clock(signedInUntil)}, for reading only.` : "A signature, no transaction: your logs and outputs, for an hour."}</p>
    </>
  );
}

function MoneyAct({ kind }: { kind: "deposit" | "withdraw" }) {
  const text = useSignal("20");
  const amount = unitsOf(text.value, token.value.decimals);
  const name = kind === "deposit" ? "Deposit" : "Withdraw";
  return (
    <div>
      <label class="field">{name}<input id={kind} inputMode="decimal" value={text.value} maxLength={24} onInput={(event) => (text.value = event.currentTarget.value)} /></label>
      <p class="acts"><Act ghost={kind === "withdraw"} id={`${kind}-act`} disabled={!amount} run={async (step) => (await acts())[kind](market.value!, amount!, step)}>{name} {text.value} {token.value.symbol}</Act></p>
      <Command words={`bourse wallet ${kind} ${text.value || "…"}`} />
    </div>
  );
}
