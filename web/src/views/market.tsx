// The market, one class at a time: what one costs now and n together, who waits and why, what it cost before.
import { useComputed } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { Book, LeaseRow, Offer } from "../api/kinds";
import { read } from "../api/read";
import { priced, units } from "../logic/amounts";
import { clearedAt, freeBy, historyOf, type History } from "../logic/history";
import { inShort, ladderOf, LEVELS, liveOf, puzzling, sizesOf } from "../logic/ladder";
import { spokenClass } from "../logic/names";
import { canServe, cheapest, isListed, saidOfClass } from "../logic/say";
import { clock } from "../logic/times";
import { Answer, Ago } from "../parts/words";
import { BookLadder } from "../parts/book";
import { Glass } from "../parts/glass";
import { ClearingChart } from "../parts/clearing";
import { Boundary, Empty, Panel, ProblemNote } from "../parts/panel";
import { Offers } from "../parts/offers";
import { Quote } from "../parts/quote";
import { useAnswer, useQuestion } from "../state/answers";
import { useLeasesOf, useSpans } from "../state/past";
import { token } from "../state/market";
import { linkTo, place } from "../state/route";
import { isSilent, useOffers } from "../state/offers";
import { ReservationsOf } from "./reservations";
import { VaultsBeside } from "./vaults";

/** The class that is asked for; without one, that with most GPUs on offer. */
function chosen(asked: string, offers: readonly Offer[]): string {
  if (asked) return asked;
  const sums = new Map<string, number>();
  for (const one of offers) sums.set(one.className, (sums.get(one.className) ?? 0) + one.gpus);
  return [...sums].sort(([, one], [, other]) => other - one)[0]?.[0] ?? "";
}

export function MarketView() {
  const offers = useOffers();
  const listed = useComputed(() => (offers.value.value ?? []).filter(isListed));
  const name = chosen(place.value.of, listed.value);
  const book = useAnswer(name ? "/v1/book/{class_name}" : undefined, { path: { class_name: name }, query: { depth: "100" } });
  const problem = offers.value.problem ?? book.value.problem;
  const own = book.value.value?.asks.filter(isListed) ?? listed.value.filter((one) => one.className === name);
  const isKnown = offers.value.value !== undefined && (!name || book.value.value !== undefined || book.value.problem !== undefined);
  // Nothing is shown before all of it can be: what comes later would push down what somebody reads already. Another class takes its place in turn.
  const hasBegun = useRef(false);
  hasBegun.current ||= isKnown;
  return (
    <div class="grid">
      <aside class="rail" aria-label="Classes and a quote">
        <Boundary what="The classes">{hasBegun.current ? <Classes offers={listed.value} name={name} /> : null}</Boundary>
        <Boundary what="The quote">{hasBegun.current && name ? <Quote name={name} offers={own} /> : null}</Boundary>
      </aside>
      <div class="mid">
        {isKnown ? <Answer said={saidOfClass(name || "GPU", own, isSilent, token.value)} /> : <h1 class="answer">{" "}</h1>}
        <ProblemNote problem={problem} />
        <Boundary what="The class">{hasBegun.current ? <ClassBody name={name} offers={own} isKnown={isKnown} /> : null}</Boundary>
      </div>
      <div class="side">
        <Boundary what="The book"><TheBook book={book.value.value} name={name} /></Boundary>
        <Boundary what="The reservations">{hasBegun.current && name ? <ReservationsOf name={name} /> : null}</Boundary>
        <Boundary what="The vaults">{hasBegun.current ? <VaultsBeside /> : null}</Boundary>
      </div>
    </div>
  );
}

function ClassBody({ name, offers, isKnown }: { name: string; offers: readonly Offer[]; isKnown: boolean }) {
  const spans = useSpans(name);
  const leases = useLeasesOf(offers);
  const history = useComputed(() => historyOf(spans.value.value?.items ?? [], spans.value.value?.bucketSeconds ?? 60, leases.value.value ?? [], spans.value.value?.block.timestamp ?? 0));
  return (
    <>
      <Before name={name} history={history.value} />
      {offers.length ? <Sizes offers={offers} leases={leases.value.value ?? []} /> : null}
      <ClearingChart history={history} offers={offers} />
      <Panel title="Offers, cheapest first" kind="offers">
        {offers.length ? <Offers offers={offers} /> : isKnown ? <Empty>Nobody offers {name || "a GPU"} now. An order waits for one: sign one, or be the first to list. <code class="mono">bourse provider up</code></Empty> : null}
      </Panel>
    </>
  );
}

/** What it cost before, and the index, which is informational and says so. */
function Before({ name, history }: { name: string; history: History }) {
  const index = useAnswer(name ? "/v1/prices/{class_name}" : undefined, { path: { class_name: name } }, "seldom");
  const { decimals } = token.value;
  const { last, earlier, isThatOld } = clearedAt(history, history.to - 3600);
  const average = index.value.value?.average;
  if (!last && !average) return <p class="sub">Nothing of this class has cleared yet.</p>;
  return (
    <p class="sub">
      {last ? <>Last cleared at {priced(last.price, decimals)}, <Ago at={last.at} />{earlier && isThatOld ? <>; an hour ago it stood at {priced(earlier.price, decimals)}</> : earlier && earlier !== last ? <>; first, <Ago at={earlier.at} />, at {priced(earlier.price, decimals)}</> : null}. </> : null}
      {average ? <>All settled work so far paid {priced(units(average), decimals)} on average <span class="ink3">(informational: self-trading moves it)</span>.</> : null}
    </p>
  );
}

function Sizes({ offers, leases }: { offers: readonly Offer[]; leases: readonly LeaseRow[] }) {
  const endsBy = (offer: number, missing: number) => freeBy(leases, offer, missing);
  const sizes = sizesOf(offers, isSilent, endsBy, (at) => clock(at, false));
  const { decimals } = token.value;
  return (
    <table class="sizes">
      <caption class="visually-hidden">What so many GPUs of one machine ask, and when they are to be had</caption>
      <thead><tr><th scope="col">GPUs together</th>{sizes.map((one) => <th scope="col" class="r">{one.together}</th>)}</tr></thead>
      <tbody>
        <tr><th scope="row" class="ink2">asks per GPU-hour</th>{sizes.map((one) => <td class={`r num${one.isNow ? "" : " ink3"}`}>{one.price === undefined ? "–" : one.isNow && one.together === 1 ? <b>{priced(one.price, decimals)}</b> : priced(one.price, decimals)}</td>)}</tr>
        <tr><th scope="row" class="ink2">soonest</th>{sizes.map((one) => <td class="r cap">{one.soonest}</td>)}</tr>
      </tbody>
    </table>
  );
}

function Classes({ offers, name }: { offers: readonly Offer[]; name: string }) {
  const all = useAnswer("/v1/classes", {}, "once");
  const names = [...new Set(offers.map((one) => one.className))];
  const rows = names.map((one) => ({ name: one, of: offers.filter((offer) => offer.className === one) })).sort((one, other) => gpusOf(other.of) - gpusOf(one.of));
  const others = (all.value.value?.items ?? []).filter((one) => !names.includes(one.name));
  return (
    <nav aria-label="GPU classes">
      <h2>Classes</h2>
      {rows.map((row) => <ClassRow name={row.name} offers={row.of} isShown={row.name === name} />)}
      {others.some((one) => one.name === name) ? <a class="cl" href={linkTo("market", name)} aria-current="true"><span>{name}</span><span class="cap">nobody offers one</span></a> : null}
      <details class="cl"><summary class="ink3">{others.length} classes without offers</summary>{others.map((one) => <a class="cap" href={linkTo("market", one.name)}>{one.name}</a>)}</details>
    </nav>
  );
}

const gpusOf = (offers: readonly Offer[]) => offers.reduce((sum, one) => sum + one.gpus, 0);

function ClassRow({ name, offers, isShown }: { name: string; offers: readonly Offer[]; isShown: boolean }) {
  const best = cheapest(offers.filter((one) => canServe(one, isSilent)));
  const live = liveOf(offers, isSilent);
  const all = gpusOf(offers);
  const width = (gpus: number) => (all ? (100 * gpus) / all : 0);
  const panes = [{ kind: "stake" as const, width: width(live.let) }, { kind: "free" as const, width: width(live.free) }, { kind: "silent" as const, width: width(live.silent) }];
  return (
    <a class="cl" href={linkTo("market", name)} aria-current={isShown ? "true" : undefined} data-row>
      <span>{name}</span><b class="num">{best ? priced(units(best.price), token.value.decimals) : "–"}</b>
      <Glass panes={panes} side="provider" thin label={`of ${all} ${spokenClass(name)}: ${live.let} let, ${live.free} free, ${live.silent} silent`} />
      <span class="cap">{live.let} let · {live.free} free{live.silent ? ` · ${live.silent} silent` : ""}</span>
    </a>
  );
}

function TheBook({ book, name }: { book: Book | undefined; name: string }) {
  const asks = book?.asks.filter(isListed) ?? [];
  const ids = book ? puzzling(ladderOf(book.bids, asks, isSilent)) : [];
  const said = useQuestion(ids.length ? `why ${ids.join()}` : "", "seldom", async (asking) =>
    new Map(await Promise.all(ids.map(async (id) => [id, inShort(await read("/v1/orders/{order_id}/explanation", { path: { order_id: id } }, asking))] as const)))).value.value;
  if (!name) return null;
  const ladder = book && { ...ladderOf(book.bids, asks, isSilent, LEVELS, said), wanted: { orders: book.bidsInAll, gpus: book.gpusWanted } };
  return <BookLadder ladder={ladder} />;
}
