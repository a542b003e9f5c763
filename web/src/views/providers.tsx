// Providers, one provider, one offer: what machine, who says so, what came of its work, is it there, what is at stake.
import type { Offer } from "../api/kinds";
import { counted, percent, priced, units } from "../logic/amounts";
import { checksummed } from "../logic/checksum";
import { oneLine, plural } from "../logic/names";
import { isListed } from "../logic/say";
import { exactly } from "../logic/times";
import { Machine } from "../parts/glass";
import { OfferActs } from "../parts/offer_acts";
import { Offers, SignOfLife } from "../parts/offers";
import { Empty, Panel, ProblemNote } from "../parts/panel";
import { AccountName, Ago, Answer, Command, Hash } from "../parts/words";
import { useAnswer } from "../state/answers";
import { LeaseTable } from "../parts/leases";
import { token } from "../state/market";
import { isSilent, useOffers } from "../state/offers";
import { linkTo, place } from "../state/route";

export function ProvidersView() {
  const offers = (useOffers().value.value ?? []).filter(isListed);
  const names = [...new Set(offers.map((one) => one.provider))];
  const silent = names.filter((name) => offers.some((one) => one.provider === name && isSilent(one))).length;
  const gpus = offers.reduce((sum, one) => sum + one.gpus, 0);
  return (
    <>
      <Answer said={names.length ? [{ strong: plural(names.length, "provider") }, ` ${names.length === 1 ? "lists" : "list"} `, { strong: plural(gpus, "GPU") }, silent ? `; ${silent} of them ${silent === 1 ? "is" : "are"} silent.` : ", and all are heard."] : ["Nobody lists a GPU yet."]} />
      <p class="sub">What the GPUs are is the provider’s word where it says declared, and its agent’s look at them where it says measured. How reliable: by what came of its leases.</p>
      {names.map((name) => <Panel title={`Provider ${checksummed(name)}`} note={<a class="u" href={linkTo("provider", name)}>evidence</a>}><Offers offers={offers.filter((one) => one.provider === name)} withClass /></Panel>)}
      {names.length ? null : <Empty>Be the first: <span class="mono">bourse provider up</span></Empty>}
    </>
  );
}

export function ProviderView() {
  const address = place.value.of.toLowerCase();
  const told = useAnswer("/v1/providers/{provider}", { path: { provider: address } }).value;
  const value = told.value;
  if (!value) return <><h1 class="answer">{told.problem ? "This provider cannot be read." : " "}</h1><ProblemNote problem={told.problem} /></>;
  const offers = value.offers as Offer[];
  const gpus = offers.reduce((sum, one) => sum + one.gpus, 0);
  const outcomes = Object.entries(value.reputation.outcomes);
  const servings = outcomes.reduce((sum, [, one]) => sum + one.count, 0);
  return (
    <>
      <Answer said={gpus ? ["Lists ", { strong: plural(gpus, "GPU") }, `; ${percent(value.reputation.reliabilityBps, 2)} reliable by ${plural(servings, "outcome")}.`] : ["Lists nothing now."]} />
      <p class="sub"><span class="addr">{checksummed(address)}</span> · <a class="u" href={linkTo("account", address)}>its account</a> · {plural(value.liveLeases, "live lease")} · {value.lastHeartbeat ? <Ago at={value.lastHeartbeat} before="heard " /> : "never heard"}</p>
      <CompanyLine of={address} />
      <Panel title="Offers" kind="offers">{offers.length ? <Offers offers={offers} withClass /> : <Empty>None.</Empty>}</Panel>
      <Panel title={value.owner ? "What came of its owner’s leases, and of those of all its companies" : "What came of its leases"} note="weights halve with age; a bond floor weighs 1">
        {outcomes.length ? <table><thead><tr><th scope="col">outcome</th><th scope="col" class="r">times</th><th scope="col" class="r">weight now</th></tr></thead><tbody>{outcomes.map(([name, one]) => <tr><td>{oneLine(name.replace(/_/g, " "), 40)}</td><td class="num r">{counted(one.count)}</td><td class="num r">{one.weightHuman}</td></tr>)}</tbody></table> : <Empty>It has not served anything yet: a newcomer has the score of one.</Empty>}
      </Panel>
      <Scores provider={address} />
      <Served asked={{ provider: address }} />
      <Command words={`bourse reputation ${checksummed(address)}`} />
    </>
  );
}

/** Where a provider is code: whose, and to whom its income is pledged. Nothing of others. */
function CompanyLine({ of }: { of: string }) {
  const company = useAnswer("/v1/companies/{company}", { path: { company: of } }, "once").value.value;
  return company ? <p class="sub"><a class="u" href={linkTo("company", of)}>It is a company</a>: code, of which <AccountName of={company.owner} /> is the owner{company.creditor ? ", and whose income is pledged" : ""}.</p> : null;
}

export function OfferView() {
  const id = place.value.of;
  const told = useAnswer("/v1/offers/{offer}", { path: { offer: id } }).value;
  const measurements = useAnswer("/v1/measurements", { query: { offers: id } }, "seldom").value.value?.items ?? [];
  const offer = told.value as (Offer & { block: unknown }) | undefined;
  if (!offer) return <><h1 class="answer">{told.problem ? `There is no offer ${oneLine(id, 20)}. A job is found by the id of its order, which bourse ps tells.` : " "}</h1><ProblemNote problem={told.problem} /></>;
  const machine = offer.machine;
  return (
    <div class="job">
      <div>
        <p class="crumb"><a class="u" href={linkTo("market", offer.className)}>{oneLine(offer.className, 40)}</a> / offer {offer.id}</p>
        <Answer said={[isListed(offer) ? "Asks " : "Asked ", { strong: priced(units(offer.price), token.value.decimals) }, ` ${token.value.symbol} per GPU-hour. `, isSilent(offer) ? "Its provider is silent." : offer.free ? `${offer.free} of ${plural(offer.gpus, "GPU")} can be had now.` : `All ${offer.gpus} are let.`]} />
        <p class="sub"><Machine gpus={offer.gpus} free={offer.free} silent={isSilent(offer)} /> <SignOfLife offer={offer} /></p>
        <Served asked={{ offer: id }} />
      </div>
      <aside class="aside" aria-label="Terms and machine">
        <section><h2>Terms</h2><dl class="facts">
          <dt>provider</dt><dd><AccountName of={offer.provider} view="provider" /></dd><dt>bond</dt><dd>{percent(offer.bondBps, 0)} of what is locked</dd><dt>reliable</dt><dd>{percent(offer.reliabilityBps, 2)}</dd>
          <dt>at least</dt><dd>{offer.minSeconds ? `${offer.minSeconds} s are paid` : "nothing"}</dd><dt>listed until</dt><dd class="num">{exactly(offer.expiresAt)}</dd><dt>arbiter</dt><dd><AccountName of={offer.arbiter} /></dd>
        </dl></section>
        <OfferActs offer={offer} />
        <section><h2>Machine <small>{machine?.measured ? "measured" : "declared by the provider"}</small></h2>
          {machine ? <dl class="facts"><dt>GPUs</dt><dd>{machine.gpu.count} × {oneLine(machine.gpu.model, 60)}, {counted(machine.gpu.vram_mib)} MiB each</dd><dt>CPUs</dt><dd>{machine.cpus}</dd><dt>memory</dt><dd>{counted(machine.memory_mib)} MiB</dd><dt>disk</dt><dd>{counted(machine.disk_mib)} MiB</dd><dt>region</dt><dd>{oneLine(String(machine.region ?? "–"), 60)}</dd></dl> : <Empty>Its provider describes no machine.</Empty>}
          {measurements.map((one) => <p class="cap">Its agent saw driver {oneLine(String(one.measurement.driver), 40)} and {one.measurement.gpus.length} GPUs, signed.</p>)}
        </section>
        <Command words={`bourse offer ${offer.id}`} />
      </aside>
    </div>
  );
}

function Served({ asked }: { asked: { offer?: string; provider?: string } }) {
  const told = useAnswer("/v1/leases", { query: { ...asked, limit: "25" } }).value;
  return <><LeaseTable rows={told.value?.items ?? []} title="Leases it served" note={told.value?.next ? "the newest 25" : undefined} /><ProblemNote problem={told.problem} /></>;
}

function Scores({ provider }: { provider: string }) {
  const rows = useAnswer("/v1/providers/{provider}/scores", { path: { provider }, query: { limit: "12" } }, "seldom").value.value?.items ?? [];
  if (!rows.length) return null;
  return (
    <Panel title="Score over time" note="newest first">
      <table><thead><tr><th scope="col">when</th><th scope="col" class="r">score</th><th scope="col" class="gap">after</th><th scope="col">lease</th></tr></thead><tbody>{rows.map((one) => <tr><td class="num"><Ago at={one.block.timestamp} /></td><td class="num r">{percent(one.scoreBps, 2)}</td><td class="gap">{oneLine(String(one.outcome).replace(/_/g, " "), 40)}</td><td><Hash of={one.lease} view="job" /></td></tr>)}</tbody></table>
    </Panel>
  );
}
