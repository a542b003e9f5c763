// What can still be done about a job, until when, and the same for the terminal. Countersigning waits until the outputs were hashed here.
import { useSignal } from "@preact/signals";
import type { Lease, OrderDocument, OrderTold, Outputs, Receipts } from "../api/kinds";
import { exitCodeOf, fetchChecked, foldersOf, resultHash } from "../api/outputs";
import { saidOfSilence, stakeOf } from "../logic/account";
import { spoken, units } from "../logic/amounts";
import { endingCost } from "../logic/job";
import { exactly } from "../logic/times";
import { chainTime } from "../state/head";
import { market, silentAfter, token } from "../state/market";
import { wallet } from "../state/wallet";
import { Problem } from "../api/read";
import { Act, acts } from "./act";
import { Dispute } from "./dispute";
import { Panel } from "./panel";
import { Amount, Command, Until } from "./words";

interface Known {
  /** The job that is looked at, as its address says: what a gateway hands over is held against it. */
  id: string;
  order: OrderTold;
  lease: Lease | undefined;
  receipts: Receipts["receipts"];
  outputs: Outputs | undefined;
  bondBps: number;
  isSealed: boolean;
}

export function JobActs({ id, order, lease, receipts, outputs, bondBps, isSealed }: Known) {
  const isMine = wallet.value.account !== undefined && wallet.value.account === order.order.client;
  const last = receipts.findLast((one) => one.role === "provider" && one.receipt.last);
  const mine = receipts.some((one) => one.role === "client" && one.receipt.last);
  const isLive = lease?.status === "Open" || lease?.status === "Claimed" || lease?.status === "Disputed";
  const terms = market.value!;
  if (order.state !== "book" && !isLive) return null;
  return (
    <Panel title="What can be done" note={lease?.deadline ? <>deadline <Until at={lease.deadline} /></> : undefined}>
      {isLive && lease.status !== "Disputed" && last && !mine && isMine ? <Countersign id={id} order={order.order} lease={lease} told={last} outputs={outputs} isSealed={isSealed} /> : null}
      {order.state === "book" ? (
        <>
          {isMine ? <p class="acts"><Act id="take-off" run={async (step) => (await acts()).withdrawOrder(terms, id, step)}>Take it off the book</Act><Act ghost run={async (step) => (await acts()).endOnChain("cancel", terms, id, order.order, step)}>Cancel on the chain</Act></p> : null}
          <p class="cap">Off the book is free; whoever holds the signature may still open it. On the chain it is for good.</p>
          <Command words={`bourse cancel ${id}`} />
        </>
      ) : null}
      {lease?.status === "Open" ? (
        <>
          <Silence id={id} order={order} lease={lease} bondBps={bondBps} />
          {isMine ? <p class="acts"><Act id="terminate" ghost run={async (step) => (await acts()).endOnChain("terminate", terms, id, order.order, step)}>End it now</Act></p> : null}
          <p class="cap">Ending it now costs <Amount of={endingCost(order.order, lease, chainTime.value)} /> beyond what is paid; the rest comes back at once.</p>
          <Command words={last && !mine ? "bourse watch" : `bourse cancel ${id}`} />
        </>
      ) : null}
      {lease ? <Dispute id={id} order={order} lease={lease} receipts={receipts} outputs={outputs} bondBps={bondBps} /> : null}
    </Panel>
  );
}

/** Where its provider says nothing: what to do, which is mostly nothing, and the act that brings the money back once it is due. */
function Silence({ id, order, lease, bondBps }: Pick<Known, "id" | "order" | "bondBps"> & { lease: Lease }) {
  const stake = stakeOf({ ...lease, order: order.order }, bondBps, units(market.value!.bondFloor), chainTime.value, market.value!.claimGrace);
  const said = stake ? saidOfSilence(stake, chainTime.value, silentAfter.value, (amount) => spoken(amount, token.value.decimals), exactly) : "";
  if (!said) return null;
  const isDue = chainTime.value >= (stake?.endsBy ?? Infinity);
  return (
    <>
      <p class="bad" id="silence">{said}</p>
      {isDue ? <p class="acts"><Act id="expire" run={async (step) => (await acts()).endForAll("expire", market.value!, id, order.order, step)}>Expire it</Act></p> : null}
    </>
  );
}

function Countersign({ id, order, lease, told, outputs, isSealed }: Pick<Known, "id" | "outputs" | "isSealed"> & { order: OrderDocument; lease: Lease; told: Receipts["receipts"][number] }) {
  const said = useSignal("");
  const sign = async (step: (said: string) => void) => {
    step("Hashing what it made");
    if (!outputs || (await resultHash(outputs)) !== told.receipt.result) throw new Problem(0, "HashMismatch", "The result is not the one that the receipt names. Nothing was countersigned. Dispute it if it is claimed.");
    for (const folder of foldersOf(outputs)) await fetchChecked(lease.id, folder, undefined);
    said.value = `✓ every hash matches, exit code ${exitCodeOf(outputs)}`;
    await (await acts()).countersign(market.value!, id, order, told, step);
  };
  return <p class="acts"><Act id="countersign" run={sign}>Check its output and sign for {told.receipt.usedSeconds} s</Act><span class="cap">{said.value || (outputs ? (isSealed ? "The page hashes what is sealed, and cannot look into it: open it first, with bourse get." : "") : "Sign in first: only its parties may read the output.")}</span></p>;
}
