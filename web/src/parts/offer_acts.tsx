// What a provider can say of its own offer: another price from now on, or that nothing more opens on it. Listing is its agent's.
import { useSignal } from "@preact/signals";
import type { Offer } from "../api/kinds";
import { plain, units, unitsOf } from "../logic/amounts";
import { saidOfAgent } from "../logic/say";
import { market, token } from "../state/market";
import { isSilent } from "../state/offers";
import { wallet } from "../state/wallet";
import { MOST_PRICE } from "../wallet/listings";
import { Act, acts } from "./act";
import { Command } from "./words";

export function OfferActs({ offer }: { offer: Offer }) {
  if (wallet.value.account !== offer.provider) return null;
  return (
    <section aria-label="What you can do with your offer">
      <h2>Your offer</h2>
      {offer.listed ? <ListedOffer offer={offer} /> : <p class="cap">It is off the market. Its agent lists it again: an offer that nobody serves would cost you its bonds.</p>}
      {offer.listed ? null : <Command words="bourse provider resume" />}
    </section>
  );
}

function ListedOffer({ offer }: { offer: Offer }) {
  const text = useSignal(plain(units(offer.price), token.value.decimals));
  const price = unitsOf(text.value, token.value.decimals);
  const isGood = price !== undefined && price > 0n && price <= MOST_PRICE && price !== units(offer.price);
  return (
    <>
      <label class="field">price per GPU-hour<input id="reprice" inputMode="decimal" value={text.value} maxLength={24} onInput={(event) => (text.value = event.currentTarget.value)} /></label>
      <p class="acts"><Act id="reprice-act" disabled={!isGood} run={async (step) => (await acts()).reprice(market.value!, offer.id, price!, step)}>Ask {text.value} {token.value.symbol} from now on</Act></p>
      <Command words={`bourse provider reprice ${offer.id} ${text.value || "…"}`} />
      <p class="acts"><Act ghost id="withdraw-offer" run={async (step) => (await acts()).withdrawOffer(market.value!, offer.id, step)}>Take it off the market</Act></p>
      <Command words="bourse provider pause" />
      <p class="cap">Leases that are open keep their price and go on. {saidOfAgent(isSilent(offer))}</p>
    </>
  );
}
