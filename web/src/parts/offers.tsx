// Offers as rows: price, machine, evidence, sign of life. On a phone two lines each.
import type { Offer } from "../api/kinds";
import { percent, priced, units } from "../logic/amounts";
import { oneLine } from "../logic/names";
import { span } from "../logic/times";
import { isSilent, silentFor } from "../state/offers";
import { token } from "../state/market";
import { linkTo } from "../state/route";
import { Machine } from "./glass";
import { AccountName, Ago } from "./words";

const byPrice = (one: Offer, other: Offer) => (units(one.price) < units(other.price) ? -1 : units(one.price) > units(other.price) ? 1 : one.id - other.id);
const region = (offer: Offer) => oneLine(String(offer.machine?.region ?? "–"), 24);
const measured = (offer: Offer) => (offer.machine?.measured ? "measured" : "declared");

export function SignOfLife({ offer }: { offer: Offer }) {
  if (offer.lastHeartbeat === null) return <span class="ink3">never heard</span>;
  return isSilent(offer) ? <span class="ink3">silent for {span(silentFor(offer))}</span> : <Ago at={offer.lastHeartbeat} before="heard " />;
}

export function Offers({ offers, withClass = false }: { offers: readonly Offer[]; withClass?: boolean }) {
  const rows = [...offers].sort(byPrice);
  return (
    <>
      <div class="scroll only-desk">
        <table>
          <thead><tr><th scope="col">offer</th><th scope="col">provider</th>{withClass ? <th scope="col">class</th> : null}<th scope="col">machine</th><th scope="col" class="r">free</th><th scope="col" class="r">asks</th><th scope="col" class="r">bond</th><th scope="col" class="r">reliable</th><th scope="col" class="gap">region</th><th scope="col">GPUs are</th><th scope="col">sign of life</th></tr></thead>
          <tbody>{rows.map((one) => <OfferRow key={one.id} offer={one} withClass={withClass} />)}</tbody>
        </table>
      </div>
      <div class="only-phone">{rows.map((one) => <OfferLines key={one.id} offer={one} />)}</div>
    </>
  );
}

function OfferRow({ offer, withClass }: { offer: Offer; withClass: boolean }) {
  const silent = isSilent(offer);
  return (
    <tr class={silent ? "dim" : ""} data-row>
      <td class="num"><a class="u" href={linkTo("offer", offer.id)}>{offer.id}</a></td>
      <td><AccountName of={offer.provider} view="provider" /></td>
      {withClass ? <td>{oneLine(offer.className, 40)}</td> : null}
      <td><Machine gpus={offer.gpus} free={offer.free} silent={silent} /></td>
      <td class="r num">{silent ? "–" : offer.free}<span class="ink3"> of {offer.gpus}</span></td>
      <td class="r num"><b>{priced(units(offer.price), token.value.decimals)}</b></td>
      <td class="r num">{percent(offer.bondBps, 0)}</td>
      <td class="r num"><a href={linkTo("provider", offer.provider)} title="By what came of its leases: see the provider">{percent(offer.reliabilityBps, 2)}</a></td>
      <td class="gap">{region(offer)}</td>
      <td class="ink3">{measured(offer)}</td>
      <td class="num"><SignOfLife offer={offer} /></td>
    </tr>
  );
}

function OfferLines({ offer }: { offer: Offer }) {
  const silent = isSilent(offer);
  return (
    <a class={`line${silent ? " dim" : ""}`} href={linkTo("offer", offer.id)} data-row>
      <div><b class="num">{priced(units(offer.price), token.value.decimals)}</b> <span class="ink3">offer {offer.id} · {region(offer)}</span></div>
      <div class="r"><Machine gpus={offer.gpus} free={offer.free} silent={silent} /></div>
      <div class="cap">bond {percent(offer.bondBps, 0)} · reliable {percent(offer.reliabilityBps, 2)} · {measured(offer)}</div>
      <div class="cap r"><SignOfLife offer={offer} /></div>
    </a>
  );
}
