// Where the two sides do not agree: what a dispute costs and can bring, until when, what the arbiter is to see, and who ends it where nobody rules.
import { useSignal } from "@preact/signals";
import type { Lease, OrderTold, Outputs, Receipts } from "../api/kinds";
import { found } from "../api/outputs";
import { Problem } from "../api/read";
import { evidenceOf, groundsOf, saidOfChecks, waysOf, type Grounds, type Ways } from "../logic/dispute";
import { plural } from "../logic/names";
import { chainTime } from "../state/head";
import { market } from "../state/market";
import { wallet } from "../state/wallet";
import { Act, acts } from "./act";
import { save } from "./outputs";
import { AccountName, Amount, Command, Until } from "./words";

export interface Disputed {
  /** The job that is looked at, as its address says. */
  id: string;
  order: OrderTold;
  lease: Lease;
  receipts: Receipts["receipts"];
  outputs: Outputs | undefined;
  bondBps: number;
}

export function Dispute(of: Disputed) {
  const { order, lease, bondBps } = of;
  const grounds = groundsOf(order.order, lease, market.value!, bondBps, chainTime.value);
  const ways = waysOf(order.order, lease, market.value!, bondBps);
  if (ways) return <Raised {...of} ways={ways} />;
  if (!grounds) return null;
  if (lease.status === "Claimed") return <Raise {...of} grounds={grounds} />;
  return <details class="dispute"><summary>Not what was ordered? Dispute it</summary><Raise {...of} grounds={grounds} /></details>;
}

const isClient = (order: OrderTold) => wallet.value.account !== undefined && wallet.value.account === order.order.client;

function Raise({ grounds, ...of }: Disputed & { grounds: Grounds }) {
  const { id, order } = of;
  const free = wallet.value.free;
  const isShort = isClient(order) && free !== undefined && free < grounds.stake;
  return (
    <div>
      <p class="cap">
        In question: {plural(grounds.seconds, "second")}, <Amount of={grounds.amount} /> that are not paid yet. It stakes <Amount of={grounds.stake} /> of your free balance: lost to the provider and the arbiter if the provider is found not at fault,
        back with half of the provider’s bond if it is. {grounds.isOpen ? <>It can be raised until <Until at={grounds.until} />.</> : chainTime.value < grounds.from ? <>It can be raised from <Until at={grounds.from} /> on.</> : "It is too late to raise it."}
      </p>
      {isShort ? <p class="problem">✗ {" "}<Amount of={grounds.stake} /> have to be free for the stake; <Amount of={free} /> are. Deposit the rest first.</p> : null}
      {isClient(order) ? <p class="acts"><Act id="dispute" ghost disabled={!grounds.isOpen || isShort} run={async (step) => (await acts()).endOnChain("dispute", market.value!, id, order.order, step)}>Dispute {plural(grounds.seconds, "second")}</Act></p> : null}
      <Evidence {...of} />
      <Command words={`bourse dispute ${id}`} />
    </div>
  );
}

function Raised({ ways, ...of }: Disputed & { ways: Ways }) {
  const { id, order } = of;
  const isDue = chainTime.value >= ways.ruledUntil;
  const isArbiter = wallet.value.account !== undefined && wallet.value.account === order.order.arbiter;
  return (
    <div class="dispute">
      <p class="cap">
        <AccountName of={order.order.arbiter} /> may rule until <Until at={ways.ruledUntil} />, over {plural(ways.mostSeconds, "second")} at most: up to <Amount of={ways.most} /> beyond what is paid. Each side has <Amount of={ways.stake} /> at stake;
        the loser’s goes to the winner, half of it to the arbiter. Where nobody rules, anybody may end it then: <Amount of={ways.lapsed} /> are paid, and both stakes go back.
      </p>
      {isArbiter && !isDue ? <Rule id={id} order={order} most={ways.mostSeconds} /> : null}
      {isDue ? <p class="acts"><Act id="lapse" ghost run={async (step) => (await acts()).endForAll("lapse", market.value!, id, order.order, step)}>End it: nobody ruled</Act></p> : null}
      <Evidence {...of} />
      <Command words={isDue ? `bourse lapse ${id}` : `bourse rule ${id} --seconds ${ways.mostSeconds} --client-at-fault`} />
    </div>
  );
}

function Rule({ id, order, most }: { id: string; order: OrderTold; most: number }) {
  const text = useSignal("0");
  const isAtFault = useSignal(true);
  const seconds = /^\d{1,9}$/.test(text.value) ? Number(text.value) : -1;
  return (
    <>
      <label class="field">paid for, in all, seconds<input id="rule-seconds" inputMode="numeric" value={text.value} maxLength={9} onInput={(event) => (text.value = event.currentTarget.value)} /></label>
      <label class="field">at fault<select id="rule-fault" onChange={(event) => (isAtFault.value = event.currentTarget.value === "provider")}><option value="provider">the provider</option><option value="client">the client</option></select></label>
      <p class="acts"><Act id="rule" disabled={seconds < 0 || seconds > most} run={async (step) => (await acts()).rule(market.value!, id, order.order, seconds, isAtFault.value, step)}>Rule: {seconds < 0 ? "…" : plural(seconds, "second")}, {isAtFault.value ? "the provider" : "the client"} is at fault</Act></p>
    </>
  );
}

/** What both sides signed, with what this browser found when it hashed it; and leave to read the rest. */
function Evidence({ id, order, lease, receipts, outputs }: Disputed) {
  const said = useSignal("");
  const link = useSignal("");
  const gather = async (step: (said: string) => void) => {
    step("Hashing all that the result names");
    const named = receipts.findLast((one) => one.role === "provider" && one.receipt.last)?.receipt.result ?? lease.result ?? "";
    if (!outputs && named) throw new Problem(0, "Unauthorized", "Sign in first: only its parties may read the output.");
    const checked = outputs ? await found(id, outputs, named) : [];
    said.value = saidOfChecks(checked);
    save(new Blob([evidenceOf(market.value!, order, lease, receipts, outputs?.result, checked)], { type: "application/json" }), `evidence-${id.slice(2, 10)}.json`);
  };
  const share = async (step: (said: string) => void) => {
    const tokens = await (await acts()).shareAll(market.value!, id, step);
    link.value = `${location.origin}/#/job/${id}?${new URLSearchParams(tokens.map((one) => ["share", one]))}`;
  };
  return (
    <>
      <p class="cap">The arbiter decides on what both sides kept: order, receipts, and a result that names every part by its hash. The evidence is one file with all of that, and with what is found when it is hashed here. No gateway keeps it: send it to the arbiter.</p>
      <p class="acts"><Act id="evidence" ghost run={gather}>Save the evidence</Act>{isClient(order) ? <Act id="share" ghost run={share}>Let the arbiter read it</Act> : null}</p>
      {said.value ? <p class="cap" id="found">{said.value}</p> : null}
      {link.value ? <><p class="cap">Who has this address may read outputs and log for a week, and nothing takes it back:</p><Command words={link.value} /></> : null}
    </>
  );
}
