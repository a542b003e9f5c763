// Vaults that lend against leases, one of them, and a company: what a share is worth, what is lent, on whose word, and what stands behind it.
import type { Loan, Offer, VaultRow } from "../api/kinds";
import { percent, spoken, units } from "../logic/amounts";
import { checksummed } from "../logic/checksum";
import { lineOf, type Drawn } from "../logic/gpu_use";
import { oneLine, shortAddress } from "../logic/names";
import { clock, duration, term } from "../logic/times";
import { raised, saidOfVault, saidOfVaults, standingOfLoan, waiting } from "../logic/vaults";
import { LeaseTable } from "../parts/leases";
import { Offers } from "../parts/offers";
import { Empty, Panel, ProblemNote } from "../parts/panel";
import { AccountName, Amount, Answer, Command, Day, Hash } from "../parts/words";
import { useAnswer } from "../state/answers";
import { token } from "../state/market";
import { linkTo, place } from "../state/route";
import { usePrices, useVaults } from "../state/vaults";
import { Statement } from "./account";

const [WIDTH, HEIGHT] = [320, 64];

const VaultName = ({ of }: { of: string }) => <a class="addr" href={linkTo("vault", of)} title={checksummed(of)}>{shortAddress(checksummed(of))}</a>;
const CompanyName = ({ of }: { of: string }) => <a class="addr" href={linkTo("company", of)} title={checksummed(of)}>{shortAddress(checksummed(of))}</a>;

export function VaultsView() {
  const told = useVaults("each block").value;
  const rows = told.value?.items ?? [];
  return (
    <>
      {told.value || told.problem ? <Answer said={saidOfVaults(rows, token.value)} /> : <h1 class="answer">{" "}</h1>}
      <p class="sub">A vault pays a company now for what its lease will earn, out of what depositors lend through it, and is repaid out of the income. Nobody owns one, and nothing about it can be changed. Anybody makes vaults: these are the ones that this gateway’s operator shows.</p>
      <ProblemNote problem={told.problem} />
      <Panel title="Vaults" kind="lead">{rows.length ? <VaultTable rows={rows} /> : <Empty>None. <span class="mono">bourse vault create</span> makes one.</Empty>}</Panel>
    </>
  );
}

function VaultTable({ rows }: { rows: readonly VaultRow[] }) {
  return (
    <div class="scroll" role="region" aria-label="Vaults, a table" tabIndex={0}><table>
      <thead><tr><th scope="col">vault</th><th scope="col" class="r">in it</th><th scope="col" class="r">free</th><th scope="col" class="r">a share</th><th scope="col" class="r only-desk">waits to leave</th><th scope="col" class="r only-desk">loans</th></tr></thead>
      <tbody>{rows.map((one) => <tr key={one.vault} data-row><td><VaultName of={one.vault} /></td><td class="r"><Amount of={units(one.assets)} /></td><td class="r"><Amount of={units(one.cash)} /></td><td class="r"><Amount of={units(one.price)} /></td><td class="r only-desk"><Amount of={waiting(one)} /></td><td class="num r only-desk">{one.loansLive}</td></tr>)}</tbody>
    </table></div>
  );
}

/** Beside a market's book: what lends against leases; nothing where nothing does. */
export function VaultsBeside() {
  const rows = useVaults().value.value?.items ?? [];
  if (!rows.length) return null;
  return (
    <Panel title="Lent against leases" note={<a class="u" href={linkTo("vaults")}>{rows.length === 1 ? "the vault" : `all ${rows.length} vaults`}</a>}>
      <table>
        <thead><tr><th scope="col">vault</th><th scope="col" class="r">free</th><th scope="col" class="r">in it</th></tr></thead>
        <tbody>{rows.slice(0, 5).map((one) => <tr key={one.vault} data-row><td><VaultName of={one.vault} /></td><td class="num r">{spoken(units(one.cash), token.value.decimals)}</td><td class="num r">{spoken(units(one.assets), token.value.decimals)}</td></tr>)}</tbody>
      </table>
    </Panel>
  );
}

export function VaultView() {
  const address = place.value.of.toLowerCase();
  const told = useAnswer("/v1/vaults/{vault}", { path: { vault: address } }).value;
  const vault = told.value;
  const prices = usePrices(vault);
  if (!vault) return <><h1 class="answer">{told.problem ? "This vault is none that this gateway’s operator shows." : " "}</h1><ProblemNote problem={told.problem} /></>;
  const { terms } = vault;
  return (
    <div class="job">
      <div>
        <p class="crumb"><a class="u" href={linkTo("vaults")}>Vaults</a> / <span class="addr">{checksummed(address)}</span></p>
        <Answer said={saidOfVault(vault, token.value)} />
        <p class="sub">{terms.obligors.length ? <>It lends on the word of {terms.obligors.map((one, at) => <>{at ? ", " : ""}<AccountName of={one} /></>)}: who deposits lends to them.</> : <>It lends only what reserve and cover hold: on nobody’s word.</>}</p>
        <ProblemNote problem={told.problem} />
        <Panel title="Price of a share" note="as this page has seen it since it was opened"><Prices points={prices} /></Panel>
        <Panel title="Loans" note={vault.loans.length ? "that are not repaid" : undefined}>{vault.loans.length ? <Loans rows={vault.loans} /> : <Empty>Nothing is lent now.</Empty>}</Panel>
        <Command words={`bourse vault explain ${checksummed(address)}`} />
      </div>
      <aside class="aside" aria-label="Money, queue and terms">
        <section><h2>Money</h2><dl class="facts">
          <dt>free</dt><dd><Amount of={units(vault.cash)} /></dd><dt>marks of loans</dt><dd><Amount of={units(vault.assets) - units(vault.cash)} /></dd><dt>in all</dt><dd><Amount of={units(vault.assets)} /></dd>
        </dl></section>
        <section><h2>Queue of those who leave</h2><dl class="facts">
          <dt>waits</dt><dd><Amount of={waiting(vault)} /></dd><dt>filled from</dt><dd><Day at={vault.windowEndsAt} /></dd><dt>stays for the others</dt><dd>{percent(terms.exitBps, 2)}</dd>
        </dl></section>
        <section><h2>Terms <small>for good</small></h2><dl class="facts">
          <dt>beta</dt><dd>{percent(terms.betaBps, 0)}</dd><dt>behind a loan</dt><dd>{percent(terms.dscrBps, 0)} at least</dd><dt>held back</dt><dd>{percent(terms.reserveBps, 0)} of each draw</dd><dt>owner’s of income</dt><dd>{percent(terms.opexBps, 0)} first</dd>
          <dt>a loan</dt><dd>{percent(terms.loanCapBps, 0)} at most</dd><dt>an obligor</dt><dd>{percent(terms.obligorCapBps, 0)} at most</dd><dt>lent in all</dt><dd>{percent(terms.utilisationCapBps, 0)} at most</dd>
          <dt>rate a year</dt><dd>{percent(terms.baseRate, 1)} to {percent(terms.baseRate + terms.slopeRate, 1)}</dd><dt>longest</dt><dd>{term(terms.maxTenor)}</dd><dt>queue filled every</dt><dd>{duration(terms.window)}</dd><dt>arbiter</dt><dd><AccountName of={terms.arbiter} /></dd>
        </dl></section>
      </aside>
    </div>
  );
}

function Prices({ points }: { points: readonly Drawn[] }) {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || first === last) return <Empty>One block has been seen so far.</Empty>;
  const { points: drawn, top, least, most } = raised(points);
  return (
    <>
      <svg class="use-graph" width={WIDTH} height={HEIGHT + 2} viewBox={`0 -1 ${WIDTH} ${HEIGHT + 2}`} role="img" aria-label={`From ${least.toFixed(6)} to ${most.toFixed(6)}, now ${(last.value ?? 0).toFixed(6)}`}>
        <path d={`M0 ${HEIGHT}H${WIDTH}`} stroke="var(--rule)" /><path d={lineOf(drawn, top, first.at, last.at, WIDTH, HEIGHT)} fill="none" stroke="var(--ink)" stroke-width="1.5" />
      </svg>
      <p class="cap">{clock(first.at)} to {clock(last.at)}: between {least.toFixed(6)} and {most.toFixed(6)}</p>
    </>
  );
}

function Loans({ rows }: { rows: readonly Loan[] }) {
  return (
    <div class="scroll" role="region" aria-label="Loans, a table" tabIndex={0}><table>
      <thead><tr><th scope="col">loan</th><th scope="col">company</th><th scope="col" class="only-desk">lease</th><th scope="col">stands</th><th scope="col" class="r">owed</th><th scope="col" class="r">due of the lease</th><th scope="col" class="r">behind it</th><th scope="col" class="gap only-desk">rests on</th></tr></thead>
      <tbody>{rows.map((one) => (
        <tr key={one.loan} data-row>
          <td class="num">{one.loan}</td><td><CompanyName of={one.spv} /></td><td class="only-desk"><Hash of={one.lease} view="job" /></td><td>{standingOfLoan(one)}</td>
          <td class="r"><Amount of={units(one.owed)} /></td><td class="r"><Amount of={units(one.due)} /></td><td class="r"><Amount of={units(one.covered)} /></td><td class="gap only-desk">{one.obligor ? <AccountName of={one.obligor} /> : "its cover"}</td>
        </tr>
      ))}</tbody>
    </table></div>
  );
}

export function CompanyView() {
  const address = place.value.of.toLowerCase();
  const told = useAnswer("/v1/companies/{company}", { path: { company: address } }).value;
  const leases = useAnswer("/v1/leases", { query: { provider: address, limit: "25" } }).value;
  const company = told.value;
  if (!company) return <><h1 class="answer">{told.problem ? "This is no company of this market." : " "}</h1><ProblemNote problem={told.problem} /></>;
  return (
    <div class="job">
      <div>
        <p class="crumb"><a class="u" href={linkTo("provider", address)}>provider</a> / <span class="addr">{checksummed(address)}</span></p>
        <Answer said={["A provider that is code. ", company.creditor ? "Its income is pledged to a vault: it lists and opens nothing more until that is repaid." : "Its income is pledged to nobody."]} />
        <p class="sub">If its operator falls silent, all of a pledged lease may be claimed for it. Who was not served ends the lease before, or disputes within the challenge window.</p>
        <Panel title="Offers, those that have expired, too" kind="offers">{company.offers.length ? <Offers offers={company.offers as Offer[]} withClass /> : <Empty>It has listed nothing.</Empty>}</Panel>
        <LeaseTable rows={leases.value?.items ?? []} title="Leases it served" note={leases.value?.next ? "the newest 25" : undefined} />
        <Command words={`bourse spv status ${checksummed(address)}`} />
      </div>
      <aside class="aside" aria-label="Whose it is">
        <section><h2>Whose it is</h2><dl class="facts">
          <dt>owner</dt><dd><AccountName of={company.owner} /></dd><dt>operator</dt><dd><AccountName of={company.operator} /></dd><dt>free in the market</dt><dd><Amount of={units(company.free)} /></dd>
        </dl></section>
        <section><h2>Pledge</h2><dl class="facts">
          <dt>to</dt><dd>{company.creditor ? <VaultName of={company.creditor} /> : "nobody"}</dd><dt>lease</dt><dd>{company.lease ? <Hash of={company.lease} view="job" /> : "–"}</dd><dt>may be taken by</dt><dd>{company.allowed ? <VaultName of={company.allowed} /> : oneLine("no vault")}</dd>
        </dl></section>
        <Statement address={address} free={units(company.free)} block={company.block.number} />
      </aside>
    </div>
  );
}
