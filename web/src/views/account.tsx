// An account: what is free, what is at stake, what could be locked, what ending it all would cost, and whether it adds up.
import { useSignal } from "@preact/signals";
import type { Lease, OrderTold } from "../api/kinds";
import { json, pathOf } from "../api/read";
import { stakeOf, worstOf, type Stake } from "../logic/account";
import { part, priced, spoken, units } from "../logic/amounts";
import { checksummed } from "../logic/checksum";
import { oneLine } from "../logic/names";
import { isReservation } from "../logic/reservations";
import { saidOfAccount } from "../logic/say";
import { duration, exactly, span } from "../logic/times";
import { AccountActs, Connect } from "../parts/account_acts";
import { Glass } from "../parts/glass";
import { Boundary, Empty, Panel, ProblemNote } from "../parts/panel";
import { Stakes } from "../parts/stakes";
import { WaitsBecause } from "../parts/why";
import { Solvency } from "../parts/solvency";
import { AccountName, Ago, Amount, Answer, Command, Hash, Until } from "../parts/words";
import { useAnswer, useQuestion, type Often } from "../state/answers";
import { chainTime } from "../state/head";
import { market, silentAfter, token } from "../state/market";
import { useOffers } from "../state/offers";
import { linkTo, place } from "../state/route";
import { wallet } from "../state/wallet";
import { OwnReservations } from "./reservations";

const MOST_LEASES = 24;
const MOST_ORDERS = 100;

export function AccountView() {
  const address = place.value.of.toLowerCase() || wallet.value.account || "";
  return address ? <OneAccount address={address} /> : <Connect />;
}

function OneAccount({ address }: { address: string }) {
  const account = useAnswer("/v1/accounts/{account}", { path: { account: address } }).value;
  const orders = useOrders(address);
  const ids = account.value?.liveLeases ?? [];
  const leases = useLeases(ids.slice(0, MOST_LEASES)).value.value ?? [];
  const offers = useOffers().value.value ?? [];
  const floor = units(market.value?.bondFloor);
  const bps = (lease: Lease) => offers.find((one) => one.id === lease.offer)?.bondBps ?? 0;
  const own = leases.filter((one) => one.order?.client === address);
  const stakes = own.map((one) => stakeOf(one, bps(one), floor, chainTime.value, market.value?.claimGrace ?? 0)).filter((one): one is Stake => one !== undefined).sort((one, other) => (one.locked > other.locked ? -1 : 1));
  const run = stakes.reduce((sum, one) => sum + one.run, 0n);
  if (!account.value) return <><h1 class="answer">{account.problem ? "This account cannot be read." : " "}</h1><ProblemNote problem={account.problem} /></>;
  return (
    <div class="account">
      <div>
        <Answer said={saidOfAccount(account.value, run, token.value)} />
        <Advice stakes={stakes} locked={units(account.value.locked)} run={run} />
        <section class="bars" aria-label="Free and at stake">
          <div class="only-desk"><Stakes free={units(account.value.free)} locked={units(account.value.locked)} waiting={worstOf(orders)} stakes={stakes} /></div>
          <div class="only-phone"><Stakes free={units(account.value.free)} locked={units(account.value.locked)} waiting={worstOf(orders)} stakes={stakes} width={358} /></div>
        </section>
        <Boundary what="The leases"><Leases stakes={stakes} all={ids.length} /></Boundary>
        <Boundary what="The reservations"><OwnReservations orders={orders} /></Boundary>
        <Boundary what="The orders"><Waiting orders={orders} /></Boundary>
      </div>
      <aside class="aside" aria-label="Acts, statement and solvency">
        <section><h2>Account</h2><p class="mono full">{checksummed(address)}</p><p class="cap">Its money is kept by the contract <span class="mono full">{checksummed(market.value!.market)}</span>, and by nobody else: <a class="u" href={linkTo("network")}>what moves it</a>.</p><AccountActs address={address} /></section>
        <Boundary what="The statement"><Statement address={address} free={units(account.value.free)} block={account.value.block.number} /></Boundary>
        <Boundary what="The delegates"><Delegates address={address} /></Boundary>
        <Boundary what="Solvency"><Solvency /></Boundary>
      </aside>
    </div>
  );
}

export function useOrders(address: string, often: Often = "each block"): readonly OrderTold[] {
  const told = useAnswer(address ? "/v1/orders" : undefined, { query: { client: address, limit: String(MOST_ORDERS) } }, often);
  return told.value.value?.items ?? [];
}

/** Each lease by itself: one call each, and no more than fit. */
function useLeases(ids: readonly string[]) {
  return useQuestion<Lease[]>(ids.length ? `leases ${ids.join()}` : "", "each block", (signal) => Promise.all(ids.map((id) => json<Lease>(pathOf("/v1/leases/{id}", { path: { id } }), { signal }))));
}

function isQuiet(stake: Stake): boolean {
  return stake.lastHeartbeat === null || chainTime.value - stake.lastHeartbeat > silentAfter.value;
}

function Advice({ stakes, locked, run }: { stakes: readonly Stake[]; locked: bigint; run: bigint }) {
  const quiet = stakes.find(isQuiet);
  const { decimals } = token.value;
  return (
    <p class="sub">
      {locked > 0n ? `${spoken(locked - run, decimals)} would come back. ` : "Looking is free; a deposit lets you sign an order. "}
      {quiet ? <>The provider of <Hash of={quiet.id} /> is silent: unless it comes back, that lease can be expired from <Until at={quiet.endsBy} /> on, and all {spoken(quiet.locked, decimals)} comes back with {spoken(quiet.bond, decimals)} of its bond.</> : null}
    </p>
  );
}

function Leases({ stakes, all }: { stakes: readonly Stake[]; all: number }) {
  const most = stakes.reduce((max, one) => (one.locked > max ? one.locked : max), 1n);
  const width = (of: bigint) => `${Math.max(4, Math.round((part(of, most) * 140) / 100))}px`;
  const life = (one: Stake) => (isQuiet(one) ? <span class="bad">silent{one.lastHeartbeat === null ? "" : ` ${span(chainTime.value - one.lastHeartbeat)}`}</span> : <span class="ink3"><Ago at={one.lastHeartbeat ?? 0} before="heard " /></span>);
  if (!stakes.length) return <Panel title="Leases"><Empty>Nothing runs for this account now.</Empty></Panel>;
  return (
    <Panel title="Leases" note={all > stakes.length ? `${stakes.length} of ${all} of its live leases are its own orders` : undefined}>
      <div class="scroll only-desk">
        <table>
          <thead><tr><th scope="col">lease</th><th scope="col" class="r">GPUs</th><th scope="col" class="r">price</th><th scope="col" class="gap">stake</th><th scope="col" class="r">locked</th><th scope="col" class="r">if ended now</th><th scope="col" class="r">bond</th><th scope="col" class="r">ends by</th><th scope="col" class="gap">sign of life</th><th scope="col" class="r">act</th></tr></thead>
          <tbody>
            {stakes.map((one) => (
              <tr key={one.id} data-row>
                <td><Hash of={one.id} view="job" /></td><td class="num r">{one.gpus}</td><td class="num r">{priced(one.price, token.value.decimals)}</td>
                <td class="gap" style={{ width: "164px" }}><Glass width={width(one.locked)} panes={[{ kind: "run", width: part(one.run, one.locked) }, { kind: "stake", width: 100 - part(one.run, one.locked) }]} /><Glass isBond width={width(one.bond)} panes={[{ kind: "stake", width: 100 }]} label={null} /></td>
                <td class="r"><Amount of={one.locked} /></td><td class="r client"><Amount of={one.run} /></td><td class="r provider"><Amount of={one.bond} /></td><td class="r"><Until at={one.endsBy} /></td><td class="gap num">{life(one)}</td>
                <td class="r"><a class="u" href={linkTo("job", one.id)} data-key="e">{isQuiet(one) ? "Wait" : "End"}</a></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div class="only-phone">
        {stakes.map((one) => (
          <a class="line" key={one.id} href={linkTo("job", one.id)} data-row>
            <div><span class="mono">{one.id.slice(0, 8)}…</span> <span class="ink3 num">{one.gpus} × {priced(one.price, token.value.decimals)}</span></div><div class="r"><Amount of={one.locked} /></div>
            <Glass panes={[{ kind: "run", width: part(one.run, one.locked) }, { kind: "stake", width: 100 - part(one.run, one.locked) }]} />
            <div class="cap"><Amount of={one.run} /> if ended now · until <Until at={one.endsBy} /></div><div class="cap r">{life(one)}</div>
          </a>
        ))}
      </div>
    </Panel>
  );
}

function Waiting({ orders }: { orders: readonly OrderTold[] }) {
  const waiting = orders.filter((one) => one.state === "book" && !isReservation(one.order, one.acceptedAt)).sort((one, other) => (units(one.order.maxPrice) > units(other.order.maxPrice) ? -1 : 1));
  const shown = waiting.slice(0, 8);
  const asked = useSignal("");
  if (!orders.length) return <Panel title="Orders"><Empty>You have no orders. Looking is free; a deposit lets you sign one.</Empty></Panel>;
  return (
    <Panel title="Orders that wait" note={waiting.length ? <>highest limit first, {shown.length} of {waiting.length} · <a class="u" href={linkTo("jobs", shown[0]?.order.client ?? "")}>all orders</a></> : undefined}>
      {shown.length ? (
        <div class="scroll">
          <table>
            <thead><tr><th scope="col">order</th><th scope="col" class="r">GPUs</th><th scope="col" class="r">limit</th><th scope="col" class="r only-desk">at most</th><th scope="col" class="r only-desk">worst cost</th><th scope="col" class="r only-desk">expires</th><th scope="col" class="gap">waits because</th></tr></thead>
            <tbody>{shown.map((one) => <WaitingRow key={one.id} order={one} isOpen={asked.value === one.id} onAsk={() => (asked.value = asked.value === one.id ? "" : one.id)} />)}</tbody>
          </table>
        </div>
      ) : <Empty>No order waits.</Empty>}
    </Panel>
  );
}

/** An order that waits, with what came nearest; asked why, it opens to every reason and its offers. */
function WaitingRow({ order: one, isOpen, onAsk }: { order: OrderTold; isOpen: boolean; onAsk: () => void }) {
  const told = useAnswer("/v1/orders/{order_id}/explanation", { path: { order_id: one.id } }, "seldom").value.value;
  const said = told?.block ? oneLine(told.nearestMiss.split(";")[0] ?? "", 110) : "no round has looked at it yet";
  return (
    <>
      <tr data-row>
        <td><Hash of={one.id} view="job" /></td><td class="num r">{one.order.gpus}</td><td class="num r">{priced(units(one.order.maxPrice), token.value.decimals)}</td><td class="num r only-desk">{duration(Number(one.order.maxSeconds))}</td><td class="r only-desk"><Amount of={units(one.worstCost)} /></td><td class="r only-desk"><Until at={Number(one.order.expiresAt)} /></td>
        <td class="gap"><button type="button" class="u why" aria-expanded={isOpen} onClick={onAsk}>{said}</button></td>
      </tr>
      {isOpen ? <tr class="asked"><td colSpan={7}><WaitsBecause order={one.id} /></td></tr> : null}
    </>
  );
}

export function Statement({ address, free, block }: { address: string; free: bigint; block: number }) {
  const told = useAnswer("/v1/accounts/{account}/statement", { path: { account: address }, query: { limit: "8" } }).value;
  const rows = told.value?.items ?? [];
  const isEqual = rows[0] !== undefined && units(rows[0].balance) === free;
  return (
    <section class="st" aria-label="Statement">
      <h2>Statement <small>newest first</small></h2>
      <table><tbody>
        {rows.map((one) => <tr><td title={exactly(one.block.timestamp)}>{one.lease ? <a class="u" href={linkTo("job", one.lease)}>{wordOf(one.event)}</a> : wordOf(one.event)} <span class="cap"><Ago at={one.block.timestamp} /></span></td><td class="r"><Amount of={units(one.received) - units(one.spent)} sign /></td></tr>)}
        <tr class="sum"><td>free</td><td class="r"><Amount of={free} /></td></tr>
      </tbody></table>
      <p class="cap">{rows.length ? (isEqual ? `✓ the last balance is what the market says at block ${block}. ` : "Another entry is on its way. ") : "Nothing has moved yet. "}<a class="u" href={`/v1/accounts/${address}/statement.csv`} download={`statement-${address.slice(2, 10)}.csv`}>All lines as CSV</a></p>
      <ProblemNote problem={told.problem} />
    </section>
  );
}

const wordOf = (event: string) => oneLine(event.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase(), 40);

function Delegates({ address }: { address: string }) {
  const rows = useAnswer("/v1/accounts/{account}/delegates", { path: { account: address } }, "seldom").value.value?.items ?? [];
  return (
    <section aria-label="Who else may spend">
      <h2>Who else may spend</h2>
      {rows.length ? <table class="st"><tbody>{rows.map((one) => <tr><td><AccountName of={one.delegate} /> <span class="cap">until {exactly(one.until)}</span></td><td class="r"><Amount of={units(one.left)} /></td></tr>)}</tbody></table> : <p class="empty">Nobody. No delegate has a budget on this account.</p>}
      <Command words="bourse wallet authorize DELEGATE 20 --for 7d" />
    </section>
  );
}
