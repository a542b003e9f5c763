// One job, over all orders that it took: is it done, where and why there, what did it cost to the unit, what did it print and make, what can still be done.
import type { Explanation, Lease, OrderTold } from "../api/kinds";
import { exitCodeOf } from "../api/outputs";
import { read } from "../api/read";
import { counted } from "../logic/amounts";
import { jobsOf } from "../logic/attempts";
import { shareOf } from "../logic/dispute";
import { attemptsOf, attemptsOver, happeningsOver, servingsOf, type Attempt, type Happening, type Known } from "../logic/job";
import { oneLine, plural } from "../logic/names";
import { saidOfTerm } from "../logic/reservations";
import { saidOfJob } from "../logic/say";
import { dated, span } from "../logic/times";
import { Outputs } from "../parts/outputs";
import { JobActs } from "../parts/job_acts";
import { JobTimeline } from "../parts/timeline";
import { GpuUse, JobUse } from "../parts/gpu_use";
import { Log } from "../parts/log";
import { Reasons } from "../parts/why";
import { Amount, Answer, Clock, Command, Hash } from "../parts/words";
import { Key, KeyGlass } from "../parts/glass";
import { Boundary, Empty, Panel, ProblemNote } from "../parts/panel";
import { useAnswer, useQuestion } from "../state/answers";
import { chainTime, head } from "../state/head";
import { market, token } from "../state/market";
import { linkTo, place } from "../state/route";
import { useOffers } from "../state/offers";
import { wallet } from "../state/wallet";
import { useWorks } from "../state/works";
import { useOrders } from "./account";

const MOST_ATTEMPTS = 16;

export function JobView() {
  const id = place.value.of;
  const shares = place.value.query.getAll("share");
  const share = shareOf(shares, "outputs");
  const at = { path: { order_id: id, lease_id: id } };
  const order = useAnswer("/v1/orders/{order_id}", at).value;
  const wasOpened = order.value?.lease != null;
  const lease = useAnswer(wasOpened ? "/v1/leases/{lease_id}" : undefined, at).value.value;
  const receipts = useAnswer(wasOpened ? "/v1/leases/{lease_id}/receipts" : undefined, at, "seldom").value.value;
  const declines = useAnswer("/v1/leases/{lease_id}/declines", at, "seldom").value.value;
  const hasResult = lease?.result != null || (receipts?.receipts.some((one) => one.role === "provider" && one.receipt.last) ?? false);
  const outputs = useAnswer(hasResult ? "/v1/leases/{lease_id}/outputs" : undefined, { ...at, query: { share } }, "seldom").value;
  const offers = useOffers();
  const events = useAnswer("/v1/orders/{order_id}/events", { ...at, query: { limit: "100" } }).value.value?.items ?? [];
  const job = useJob(order.value);
  const mayRead = job.isReadable || wallet.value.signedInUntil !== undefined;
  const use = useAnswer(wasOpened && mayRead ? "/v1/leases/{lease_id}/gpus" : undefined, at, "seldom").value.value;
  const jobUse = useAnswer(wasOpened && mayRead ? "/v1/leases/{lease_id}/usage" : undefined, at, "seldom").value.value;
  if (!order.value) return <><Crumb id={id} /><h1 class="answer">{order.problem ? "This order is not known here." : " "}</h1><ProblemNote problem={order.problem} /></>;
  const told = order.value.explanation;
  const explanation = told?.block ? (told as Explanation) : undefined;
  const known: Known = {
    order: order.value, lease, servings: servingsOf(events, order.value.order), receipts: receipts?.receipts ?? [], declines: declines?.declines ?? [], explanation, market: market.value!,
    bondBps: (offer) => offers.value.value?.find((one) => one.id === offer)?.bondBps ?? 0, coin: token.value,
  };
  const whole = job.orders.map((one): Known => (one.id === id ? known : { ...known, order: one, receipts: [], declines: [], explanation: undefined, lease: undefined, servings: [], ...job.stories.get(one.id) }));
  const attempts = attemptsOver(whole);
  const name = job.name ? `“${oneLine(job.name, 60)}”` : "The job";
  const code = exitCodeOf(outputs.value);
  return (
    <div class="job">
      <div>
        <Crumb id={id} />
        <Answer said={saidOfTerm(order.value.order, order.value.state, lease, token.value, chainTime.value, dated) ?? saidOfJob(order.value, lease, token.value, name, explanation?.nearestMiss ?? "", code)} />
        <StateLine order={order.value} lease={lease} attempts={attemptsOf(known)} code={code} />
        <Attempts orders={job.orders} of={id} />
        {attempts.length ? <TimeAndMoney attempts={attempts} order={job.orders[0] ?? order.value} /> : null}
        {jobUse ? <Boundary what="The processors"><JobUse job={id} samples={jobUse.samples} /></Boundary> : null}
        {use ? <Boundary what="The GPUs"><GpuUse samples={use.samples} /></Boundary> : null}
        <Boundary what="What happened"><Happened rows={happeningsOver(whole, head.value?.block.number ?? 0)} /></Boundary>
      </div>
      <aside class="aside" aria-label="Money, reasons, output and log">
        <Boundary what="The money">{attempts.length ? <MoneyTable attempts={attempts} /> : null}</Boundary>
        <Boundary what="The reasons"><Why explanation={explanation} order={order.value} /></Boundary>
        <Boundary what="The acts"><JobActs id={id} order={order.value} lease={lease} receipts={known.receipts} outputs={outputs.value} bondBps={known.bondBps(lease?.offer ?? 0)} isSealed={job.isSealed} /></Boundary>
        {hasResult ? <Boundary what="The output"><Outputs lease={id} told={outputs} result={lease?.result ?? outputs.value?.resultSha256 ?? ""} share={share} isSealed={job.isSealed} /></Boundary> : null}
        {wasOpened ? <Boundary what="The log"><Log lease={id} share={shareOf(shares, "log")} isSealed={job.isSealed} /></Boundary> : null}
      </aside>
    </div>
  );
}

interface Story {
  lease: Lease | undefined;
  servings: Known["servings"];
}

/** The job that an order is an attempt of, as far as who looks may read its work: all orders of it, and what the chain says of the other ones. */
function useJob(order: OrderTold | undefined): { isReadable: boolean; isSealed: boolean; name: string; orders: readonly OrderTold[]; stories: ReadonlyMap<string, Story> } {
  const isReadable = useWorks(order ? [order] : []).has(order?.id ?? "");
  const all = useOrders(isReadable && order ? order.order.client : "", "seldom");
  const said = useWorks(all);
  const found = order && jobsOf(all, said).find((one) => one.orders.some((of) => of.id === order.id));
  const orders = order ? (found?.orders ?? [order]).slice(-MOST_ATTEMPTS).map((one) => (one.id === order.id ? order : one)) : [];
  const served = orders.filter((one) => one.id !== order?.id && one.lease !== null);
  const stories = useQuestion(served.length ? `stories of ${served.map((one) => one.id).join()}` : "", "seldom", async (signal) => new Map(await Promise.all(served.map((one) => storyOf(one, signal))))).value.value;
  return { isReadable, isSealed: said.get(order?.id ?? "")?.isSealed ?? false, name: (order && said.get(order.id)?.name) || found?.name || "", orders, stories: stories ?? new Map<string, Story>() };
}

async function storyOf(order: OrderTold, signal: AbortSignal): Promise<[string, Story]> {
  const at = { path: { order_id: order.id, lease_id: order.id } };
  const [lease, events] = await Promise.all([read("/v1/leases/{lease_id}", at, signal), read("/v1/orders/{order_id}/events", { ...at, query: { limit: "100" } }, signal)]);
  return [order.id, { lease, servings: servingsOf(events.items, order.order) }];
}

/** The orders of a job that took several: each names the one before it in its work. */
function Attempts({ orders, of }: { orders: readonly OrderTold[]; of: string }) {
  if (orders.length < 2) return null;
  return (
    <p class="sub" id="attempts">
      One job, ordered {plural(orders.length, "time")}: {orders.map((one, at) => <>{at ? " · " : ""}{one.id === of ? <b class="ink">{at + 1} this order</b> : <>{at + 1} <Hash of={one.id} view="job" /></>} {one.state}</>)}
    </p>
  );
}

const Crumb = ({ id }: { id: string }) => <p class="crumb"><a class="u" href={linkTo("jobs")}>Jobs</a> / <Hash of={oneLine(id, 80)} longer /></p>;

function StateLine({ order, lease, attempts, code }: { order: OrderTold; lease: Lease | undefined; attempts: readonly Attempt[]; code: number | undefined }) {
  const isBad = lease?.exit === "LeaseExpired" || (code !== undefined && code !== 0);
  const mark = isBad ? "✗" : order.state === "closed" ? "✓" : "●";
  const ended = attempts.at(-1)?.endedAt;
  const words = [code === undefined ? "" : `exit code ${code}`, ended ? `${span(ended - order.acceptedAt)} from order to end` : "", plural(Number(order.order.gpus), "GPU"), attempts.length > 1 ? plural(attempts.length, "opening") : ""];
  return <p class="sub"><b class={isBad ? "bad" : "ink"}>{mark} {order.state}</b>{words.filter(Boolean).map((one) => ` · ${one}`)}</p>;
}

function TimeAndMoney({ attempts, order }: { attempts: readonly Attempt[]; order: OrderTold }) {
  const grace = market.value?.claimGrace ?? 0;
  const from = Math.min(order.acceptedAt, attempts[0]?.openedAt ?? order.acceptedAt);
  return (
    <section class="timeline" aria-label="Money and time">
      <div class="hd"><h2>Money and time</h2><Key><KeyGlass kind="paid">paid</KeyGlass><KeyGlass kind="run">has run, unpaid</KeyGlass><KeyGlass kind="stake">at stake</KeyGlass><KeyGlass kind="stake" side="provider">provider’s bond</KeyGlass><KeyGlass>never used</KeyGlass></Key></div>
      <div class="only-desk"><JobTimeline attempts={attempts} from={from} now={chainTime.value} grace={grace} /></div>
      <div class="only-phone"><JobTimeline attempts={attempts} from={from} now={chainTime.value} grace={grace} width={358} /></div>
    </section>
  );
}

function Happened({ rows }: { rows: readonly Happening[] }) {
  return (
    <section aria-label="What happened">
      <div class="hd"><h2>What happened</h2></div>
      <table class="happened">
        <tbody>
          {rows.map((one) => (
            <tr>
              <td class="ink2"><Clock at={one.at} /></td>
              <td class={one.isProvisional ? "provisional" : ""} title={one.isProvisional ? "Not deep enough in the chain yet" : undefined}>{one.what}</td>
              <td class="ink2">{one.reason ? <span class="bad">{one.reason}{one.detail ? ": " : ""}</span> : null}{one.detail}</td>
              <td class="mono ink3">{one.evidence}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function MoneyTable({ attempts }: { attempts: readonly Attempt[] }) {
  const sum = (of: (one: Attempt) => bigint) => attempts.reduce((total, one) => total + of(one), 0n);
  const isOver = attempts.every((one) => one.exit);
  const [lock, paid, back] = [sum((one) => one.locked), sum((one) => one.paid), sum((one) => one.refund)];
  return (
    <section aria-label="To the unit">
      <h2>To the unit</h2>
      <table class="money">
        <thead><tr><th scope="col">opening</th><th scope="col" class="r">locked</th><th scope="col" class="r">paid</th><th scope="col" class="r">came back</th><th scope="col" class="r">compensation</th><th scope="col" class="r desk">provider’s bond</th></tr></thead>
        <tbody>
          {attempts.map((one) => (
            <tr>
              <td>{one.number} · {one.exit.replace("Lease", "").toLowerCase() || "open"}</td><td class="r"><Amount of={one.locked} /></td><td class="r client"><Amount of={one.paid} /></td><td class="r"><Amount of={one.refund} /></td>
              <td class={`r${one.compensation ? " bad" : ""}`}><Amount of={one.compensation} sign /></td><td class="r provider desk"><Amount of={one.bond} /></td>
            </tr>
          ))}
          <tr class="sum"><td>sum</td><td class="r"><Amount of={lock} /></td><td class="r"><Amount of={paid} /></td><td class="r"><Amount of={back} /></td><td class="r"><Amount of={sum((one) => one.compensation)} sign /></td><td class="desk" /></tr>
        </tbody>
      </table>
      <p class="cap">{isOver ? (lock === paid + back ? `✓ ${counted(lock)} units locked = ${counted(paid)} paid + ${counted(back)} back, to the last unit.` : `✗ ${counted(lock)} units locked, but ${counted(paid)} paid + ${counted(back)} back: ask another gateway.`) : `${counted(lock)} units are locked as long as it is open.`}</p>
    </section>
  );
}

function Why({ explanation, order }: { explanation: Explanation | undefined; order: OrderTold }) {
  const title = explanation?.placedOn ? `Why offer ${explanation.placedOn}` : order.state === "book" ? "Waits because" : "Why";
  return (
    <Panel title={title}>
      {explanation ? <Reasons explanation={explanation} /> : <Empty>{order.state === "book" ? "No round has looked at this order yet." : "The gateway has forgotten why."}</Empty>}
      <Command words={`bourse explain ${order.id}`} />
    </Panel>
  );
}
