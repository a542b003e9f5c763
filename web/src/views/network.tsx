// The network: is the market solvent, who clears it and how, is this gateway in step with the chain. And what else there is, on a phone.
import type { Block } from "../api/kinds";
import { json, read } from "../api/read";
import { counted, priced, units } from "../logic/amounts";
import { checksummed } from "../logic/checksum";
import { plural } from "../logic/names";
import { saidOfNetwork } from "../logic/say";
import { duration } from "../logic/times";
import { Solvency, useSolvency } from "../parts/solvency";
import { Empty, Panel, ProblemNote } from "../parts/panel";
import { Ago, Answer, Command, Hash } from "../parts/words";
import { useAnswer, useQuestion } from "../state/answers";
import { head, replaced } from "../state/head";
import { market, token } from "../state/market";
import { linkTo, place } from "../state/route";
import { turnTheme } from "../state/theme";

interface Ready {
  ready: boolean;
  checks: Record<string, { ok: boolean; reason: string | null }>;
  head: Block | null;
  projection: Block | null;
}

export function NetworkView() {
  const ready = useQuestion<Ready>("ready", "each block", (signal) => json<Ready>("/ready", { signal })).value;
  const solvency = useSolvency().value.value;
  const terms = market.value!;
  const lag = ready.value?.head && ready.value.projection ? ready.value.head.number - ready.value.projection.number : undefined;
  return (
    <div class="job">
      <div>
        <Answer said={saidOfNetwork(solvency ? units(solvency.surplus) - units(solvency.missing) : undefined, solvency?.block.number ?? head.value?.block.number ?? 0, token.value)} />
        <p class="sub">{lag === undefined ? "" : lag <= 0 ? "This gateway is in step with its node." : `This gateway is ${plural(lag, "block")} behind its node.`} What it says is its word: the chain is the judge.</p>
        <WhatIf />
        <Rounds />
      </div>
      <aside class="aside" aria-label="Gateway and constants">
        <Solvency />
        <section><h2>This gateway</h2>
          <dl class="facts">
            <dt>head</dt><dd class="num">{ready.value?.head ? counted(ready.value.head.number) : "–"}</dd><dt>copy of the market at</dt><dd class="num">{ready.value?.projection ? counted(ready.value.projection.number) : "–"}</dd>
            {Object.entries(ready.value?.checks ?? {}).map(([name, one]) => <><dt>{name}</dt><dd class={one.ok ? "" : "bad"}>{one.ok ? "✓" : `✗ ${one.reason ?? ""}`}</dd></>)}
            <dt>blocks replaced while you looked</dt><dd class="num">{replaced.value.reduce((sum, one) => sum + one.last - one.first + 1, 0)}</dd>
          </dl>
          <ProblemNote problem={ready.problem} />
        </section>
        <section><h2>Market</h2><dl class="facts">
          <dt>chain</dt><dd class="num">{terms.chainId}</dd><dt>contract</dt><dd class="addr">{checksummed(terms.market)}</dd><dt>token</dt><dd class="addr">{token.value.symbol} {checksummed(terms.token.address)}</dd><dt>scheduler</dt><dd class="addr">{checksummed(terms.opener)}</dd><dt>arbiter</dt><dd class="addr">{checksummed(terms.arbiter)}</dd>
          <dt>to start</dt><dd>{duration(terms.startGrace)}</dd><dt>to claim</dt><dd>{duration(terms.claimGrace)}</dd><dt>to dispute</dt><dd>{duration(terms.challengeWindow)}</dd><dt>to rule</dt><dd>{duration(terms.rulingWindow)}</dd><dt>least bond</dt><dd>{priced(units(terms.bondFloor), token.value.decimals)} {token.value.symbol}</dd>
        </dl></section>
        <Command words="bourse market" />
      </aside>
    </div>
  );
}

/** Who keeps the money, and what happens when somebody falls silent: the contract's rules, with this market's times. */
function WhatIf() {
  const terms = market.value!;
  const rows: [string, string][] = [
    ["the money", `The contract keeps it, ${checksummed(terms.market)}. What is free moves by its owner’s signature alone; what is locked, by the rules below and by nobody’s word. No gateway and no scheduler ever has it.`],
    ["a provider is silent", `Nothing has to be done. ${duration(terms.claimGrace)} after the time of its job is over anybody may expire the lease: all that was not paid comes back, with its bond up to as much again. The work is ordered elsewhere long before.`],
    ["a client is silent", `The provider claims its pay, and has it when ${duration(terms.challengeWindow)} have passed and nobody disputes.`],
    ["an arbiter is silent", `After ${duration(terms.rulingWindow)} anybody may end the dispute: both stakes go back, and half is paid of what is in question.`],
    ["the scheduler is silent", "Orders wait; a client can open its own. Leases go on and end as ever."],
    ["this gateway is silent", "Another one shows the same market. Leases end on the chain: neither side needs a gateway for its money."],
  ];
  return (
    <Panel title="Who keeps the money, and what if somebody is silent" kind="lead">
      <dl class="words">{rows.map(([who, what]) => <><dt>{who}</dt><dd>{what}</dd></>)}</dl>
    </Panel>
  );
}

export function RoundsView() {
  return <><Answer said={["The market clears in rounds, and every round can be audited."]} /><p class="sub">Each plan is named by its hash, and names the snapshot that it was made from: anybody can make it again and compare.</p><Rounds /></>;
}

function Rounds() {
  const told = useAnswer("/v1/rounds", { query: { limit: "25" } }).value;
  const rows = told.value?.items ?? [];
  return (
    <Panel title="Rounds, newest first">
      {rows.length ? <table><thead><tr><th scope="col">round</th><th scope="col" class="r">block</th><th scope="col" class="r">bytes of its plan</th></tr></thead><tbody>{rows.map((one) => <tr key={one.round} data-row><td><Hash of={one.round} view="round" longer /></td><td class="num r">{counted(one.block)}</td><td class="num r">{counted(one.bytes)}</td></tr>)}</tbody></table> : <Empty>No round has placed anything yet.</Empty>}
      <ProblemNote problem={told.problem} />
    </Panel>
  );
}

export function RoundView() {
  const id = place.value.of;
  const told = useQuestion(`round ${id}`, "once", (signal) => read("/v1/rounds/{round_hash}", { path: { round_hash: id } }, signal)).value;
  const plan = told.value;
  if (!plan) return <><h1 class="answer">{told.problem ? "There is no such round here." : " "}</h1><ProblemNote problem={told.problem} /></>;
  const { decimals } = token.value;
  return (
    <>
      <p class="crumb"><a class="u" href={linkTo("rounds")}>Rounds</a> / <Hash of={id} longer /></p>
      <Answer said={["This round placed ", { strong: `${plan.placements.length} ${plan.placements.length === 1 ? "order" : "orders"}` }, ` by what was known at block ${plan.block.number}.`]} />
      <p class="sub"><Ago at={plan.block.timestamp} />. Its plan’s sha256 is its name; it was made from the snapshot <Hash of={plan.snapshot} longer />.</p>
      <Panel title="Placed"><table><thead><tr><th scope="col">order</th><th scope="col" class="r">offer</th><th scope="col" class="r">price</th></tr></thead><tbody>{plan.placements.map((one) => <tr key={one.order}><td><Hash of={one.order} view="job" longer /></td><td class="num r"><a class="u" href={linkTo("offer", one.offer)}>{one.offer}</a></td><td class="num r">{priced(units(one.price), decimals)}</td></tr>)}</tbody></table></Panel>
      <Panel title="Prices"><table><thead><tr><th scope="col">class</th><th scope="col" class="r">GPUs placed</th><th scope="col" class="r">free before</th><th scope="col" class="r">clearing price</th></tr></thead><tbody>{plan.prices.map((one) => <tr><td class="num">{one.class}</td><td class="num r">{one.gpus}</td><td class="num r">{one.free}</td><td class="num r">{priced(units(one.price), decimals)}</td></tr>)}</tbody></table></Panel>
      <Command words={`bourse audit ${id}`} />
    </>
  );
}

export function MoreView() {
  return (
    <>
      <h1 class="answer">More</h1>
      {[["providers", "Providers"], ["reservations", "Reservations"], ["vaults", "Vaults"], ["rounds", "Rounds"], ["network", "Network"]].map(([to, name]) => <a class="line" href={linkTo(to ?? "")}>{name}</a>)}
      <p class="acts"><button type="button" class="btn ghost" onClick={turnTheme}>Light or dark</button></p>
    </>
  );
}
