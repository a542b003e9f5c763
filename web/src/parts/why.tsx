// Why an order stands where it stands, in the words of the last round: what came nearest, and every reason with the offers that it is about.
import type { Explanation, Offer } from "../api/kinds";
import { priced, units } from "../logic/amounts";
import { reasonsOf } from "../logic/job";
import { oneLine } from "../logic/names";
import { useAnswer } from "../state/answers";
import { token } from "../state/market";
import { isSilent, useOffers } from "../state/offers";
import { linkTo } from "../state/route";
import { SignOfLife } from "./offers";
import { Ago } from "./words";

/** What a round said of one order, asked for with every block as long as it is shown. */
export function WaitsBecause({ order }: { order: string }) {
  const told = useAnswer("/v1/orders/{order_id}/explanation", { path: { order_id: order } }).value;
  if (!told.value?.block) return <p class="empty">{told.value || told.problem ? "No round has looked at this order yet, or what it said was forgotten. The next round says it." : " "}</p>;
  return <Reasons explanation={told.value as Explanation} />;
}

export function Reasons({ explanation }: { explanation: Explanation }) {
  const offers = useOffers().value.value ?? [];
  const rows = reasonsOf(explanation);
  return (
    <>
      <p>{oneLine(explanation.nearestMiss, 400)} <span class="cap">Said <Ago at={explanation.block.timestamp} />, at block {explanation.block.number}.</span></p>
      {rows.length ? <div class="reasons">{rows.map((one) => <Reason key={one.name} {...one} known={offers.filter((offer) => one.offers.includes(offer.id))} />)}</div> : null}
    </>
  );
}

/** One reason. It opens to its offers: which they are, what they ask, what of them is free. */
function Reason({ count, words, name, offers, known }: { count: number; words: string; name: string; offers: number[]; known: readonly Offer[] }) {
  const said = <><span class="num">{count}</span> {count === 1 ? "offer" : "offers"} <span title={oneLine(name, 80)}>{words}</span></>;
  if (!offers.length) return <p>{said}</p>;
  return (
    <details>
      <summary>{said}</summary>
      <table><tbody>
        {offers.map((id) => {
          const offer = known.find((one) => one.id === id);
          return (
            <tr key={id} data-row>
              <td class="num"><a class="u" href={linkTo("offer", id)}>offer {id}</a></td>
              {offer ? <><td>{oneLine(offer.className, 30)}</td><td class="num r"><b>{priced(units(offer.price), token.value.decimals)}</b></td><td class="num r">{isSilent(offer) ? "–" : offer.free} of {offer.gpus} free</td><td class="num r"><SignOfLife offer={offer} /></td></> : <td colSpan={4} class="ink3">not listed any more</td>}
            </tr>
          );
        })}
      </tbody></table>
      {count > offers.length ? <p class="cap">and {count - offers.length} more</p> : null}
    </details>
  );
}
