// Is the money there? What the market's token account holds, beside what it owes to accounts and to live leases, at one block.
import { part, units } from "../logic/amounts";
import { useAnswer } from "../state/answers";
import { Glass } from "./glass";
import { Panel, ProblemNote } from "./panel";
import { Amount } from "./words";

export const useSolvency = () => useAnswer("/v1/solvency", {}, "seldom");

export function Solvency() {
  const { value: told, problem } = useSolvency().value;
  if (!told) return <Panel title="Is the money there?"><ProblemNote problem={problem} /></Panel>;
  const [held, accounts, locked, missing] = [units(told.held), units(told.accounts), units(told.locked), units(told.missing)];
  return (
    <Panel title="Is the money there?">
      <table class="st"><tbody>
        <tr><td>the market holds</td><td class="r"><b><Amount of={held} /></b></td></tr><tr><td>all accounts</td><td class="r"><Amount of={accounts} /></td></tr>
        <tr><td>all locks</td><td class="r"><Amount of={locked} /></td></tr>
        <tr><td>{missing ? "missing" : "sent without a deposit"}</td><td class={`r num${missing ? " bad" : ""}`}><b>{(missing || units(told.surplus)).toString()} units</b></td></tr>
      </tbody></table>
      <div class="equal"><i /><Glass panes={[{ kind: "free", width: part(accounts, held) }, { kind: "stake", width: part(locked, held) }]} label="accounts and locks, beside what is held" /></div>
      <p class="cap">The gateway’s word, as of block {told.block.number}. <span class="mono">bourse audit</span> reads the chain itself.</p>
    </Panel>
  );
}
