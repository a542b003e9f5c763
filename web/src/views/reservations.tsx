// Reservations that wait for a provider: GPUs from a day on, for a term, with a guarantee. All of them, a class's, and an account's own.
import type { OrderTold } from "../api/kinds";
import { priced, units } from "../logic/amounts";
import { oneLine, spokenClass } from "../logic/names";
import { isReservation, saidOfReservations, standingOf, termOf, type Term } from "../logic/reservations";
import { term } from "../logic/times";
import { Empty, Panel, ProblemNote } from "../parts/panel";
import { AccountName, Amount, Answer, Command, Day, Hash } from "../parts/words";
import { useAnswer } from "../state/answers";
import { chainTime } from "../state/head";
import { token } from "../state/market";
import { linkTo, place } from "../state/route";

const MOST_SHOWN = 100;
const OF_A_CLASS = 5;

/** What waits, the dearest first; and how classes are called. */
function useTerms(name: string) {
  const told = useAnswer("/v1/reservations", { query: { class: name || undefined, limit: String(MOST_SHOWN) } }).value;
  const classes = useAnswer("/v1/classes", {}, "once").value.value?.items ?? [];
  const names = (of: Term) => of.classes.map((one) => oneLine(classes.find((known) => known.class === one)?.name ?? `class ${one}`, 40)).join(" or ");
  const terms = (told.value?.items ?? []).map((one) => termOf(one.id, one.order)).sort((one, other) => (one.limit > other.limit ? -1 : one.limit < other.limit ? 1 : 0));
  return { told, terms, names, isMore: told.value?.next != null };
}

export function ReservationsView() {
  const name = place.value.of;
  const { told, terms, names, isMore } = useTerms(name);
  const spoken = (of: Term) => names(of).split(" or ").map(spokenClass).join(" or ");
  return (
    <>
      {told.value || told.problem ? <Answer said={saidOfReservations(terms, spoken, token.value)} /> : <h1 class="answer">{" "}</h1>}
      <p class="sub">A provider opens one beforehand: its GPUs are held and the money is locked from then on, and the meter runs from the beginning. Whoever has an offer that fits may be the one. Until then nothing is locked.{name ? <> Those for {oneLine(name, 40)}; <a class="u" href={linkTo("reservations")}>all</a>.</> : null}</p>
      <ProblemNote problem={told.problem} />
      <Panel title="Reservations that wait" kind="lead" note={isMore ? `the first ${MOST_SHOWN}` : undefined}>{terms.length ? <TermTable terms={terms} names={names} /> : <Empty>None. The command reserves GPUs for you; nothing is locked before a provider opens it.</Empty>}</Panel>
      <div class="lead" style={{ maxWidth: "760px" }}><Command words={`bourse reserve --gpu ${name || "CLASS"} --count 8 --from 2027-01-01 --days 30 --min-days 20 --max-price 2.10`} /></div>
    </>
  );
}

/** Below a class's book: those that wait for it; nothing where none does. */
export function ReservationsOf({ name }: { name: string }) {
  const { terms } = useTerms(name);
  if (!terms.length) return null;
  return (
    <Panel title="Reserved for later" note={<a class="u" href={linkTo("reservations", name)}>{terms.length === 1 ? "the one that waits" : `all ${terms.length} that wait`}</a>}>
      <table>
        <thead><tr><th scope="col">from</th><th scope="col" class="r">for</th><th scope="col" class="r">GPUs</th><th scope="col" class="r">limit</th></tr></thead>
        <tbody>{terms.slice(0, OF_A_CLASS).map((one) => <tr key={one.id} data-row><td class="num"><a class="u" href={linkTo("job", one.id)}><Day at={one.startsAt} /></a></td><td class="num r">{term(one.endsAt - one.startsAt)}</td><td class="num r">{one.gpus}</td><td class="num r"><b>{priced(one.limit, token.value.decimals)}</b></td></tr>)}</tbody>
      </table>
    </Panel>
  );
}

function TermTable({ terms, names }: { terms: readonly Term[]; names: (of: Term) => string }) {
  return (
    <div class="scroll" role="region" aria-label="Reservations that wait, a table" tabIndex={0}>
      <table>
        <thead><tr><th scope="col" class="only-desk">order</th><th scope="col" class="only-desk">client</th><th scope="col">wants</th><th scope="col" class="gap">from</th><th scope="col" class="r">for</th><th scope="col" class="r">limit</th><th scope="col" class="r only-desk">guaranteed, at its limit</th><th scope="col" class="r only-desk">worst cost</th><th scope="col" class="r only-desk">to be opened until</th></tr></thead>
        <tbody>{terms.map((one) => (
          <tr key={one.id} data-row>
            <td class="only-desk"><Hash of={one.id} view="job" /></td><td class="only-desk"><AccountName of={one.client} /></td><td><a class="only-phone u" href={linkTo("job", one.id)}>{one.gpus} × {names(one)}</a><span class="only-desk"><span class="num">{one.gpus}</span> × {names(one)}</span></td><td class="gap num"><Day at={one.startsAt} /></td><td class="num r">{term(one.endsAt - one.startsAt)}</td>
            <td class="num r"><b>{priced(one.limit, token.value.decimals)}</b></td><td class="r only-desk"><Amount of={one.guaranteed} /></td><td class="r only-desk"><Amount of={one.worst} /></td><td class="num r only-desk"><Day at={one.expiresAt} /></td>
          </tr>
        ))}</tbody>
      </table>
    </div>
  );
}

/** An account's own, with how far each has come; nothing where it has none. */
export function OwnReservations({ orders }: { orders: readonly OrderTold[] }) {
  const own = orders.filter((one) => isReservation(one.order, one.acceptedAt) && ["book", "open", "claimed", "disputed"].includes(one.state));
  if (!own.length) return null;
  return (
    <Panel title="Reservations">
      <div class="scroll" role="region" aria-label="Reservations, a table" tabIndex={0}><table>
        <thead><tr><th scope="col">order</th><th scope="col">stands</th><th scope="col" class="r">GPUs</th><th scope="col" class="gap">from</th><th scope="col" class="r only-desk">until</th><th scope="col" class="r">price</th><th scope="col" class="r only-desk">guaranteed</th><th scope="col" class="r only-desk">worst cost</th></tr></thead>
        <tbody>{own.map((one) => {
          const price = one.lease ? units(one.lease.price) : units(one.order.maxPrice);
          const of = termOf(one.id, { ...one.order, maxPrice: price.toString() });
          return (
            <tr key={one.id} data-row>
              <td><Hash of={one.id} view="job" /></td><td>{standingOf(one.order, one.state, chainTime.value)}</td><td class="num r">{of.gpus}</td><td class="gap num"><Day at={of.startsAt} /></td><td class="num r only-desk"><Day at={of.endsAt} /></td>
              <td class="num r">{one.lease ? "" : "≤ "}{priced(price, token.value.decimals)}</td><td class="r only-desk"><Amount of={of.guaranteed} /></td><td class="r only-desk"><Amount of={of.worst} /></td>
            </tr>
          );
        })}</tbody>
      </table></div>
      <Command words="bourse reservations" />
    </Panel>
  );
}
