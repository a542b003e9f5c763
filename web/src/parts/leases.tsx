// Leases as rows: whose, how many GPUs at which price, since when, and how they stand.
import type { LeaseRow } from "../api/kinds";
import { priced, units } from "../logic/amounts";
import { token } from "../state/market";
import { linkTo } from "../state/route";
import { Empty, Panel } from "./panel";
import { AccountName, Ago, Amount, Hash } from "./words";

export function LeaseTable({ rows, title, note }: { rows: readonly LeaseRow[]; title: string; note?: string }) {
  const standing = (one: LeaseRow) => (one.exit ? one.exit.replace("Lease", "").toLowerCase() : one.status.toLowerCase());
  return (
    <Panel title={title} note={note}>
      {rows.length ? (
        <div class="scroll"><table>
          <thead><tr><th scope="col">lease</th><th scope="col">client</th><th scope="col" class="r">GPUs</th><th scope="col" class="r">price</th><th scope="col" class="gap">offer</th><th scope="col">opened</th><th scope="col" class="r">paid</th><th scope="col" class="gap">stands</th></tr></thead>
          <tbody>{rows.map((one) => (
            <tr key={one.id + one.openedAt} data-row>
              <td><Hash of={one.id} view="job" longer /></td><td>{one.order ? <AccountName of={one.order.client} /> : "–"}</td><td class="num r">{one.order?.gpus ?? "–"}</td><td class="num r">{priced(units(one.price), token.value.decimals)}</td>
              <td class="gap num"><a class="u" href={linkTo("offer", one.offer)}>{one.offer}</a></td><td class="num"><Ago at={one.openedAt} /></td><td class="r"><Amount of={units(one.paid)} /></td><td class={`gap${one.exit === "LeaseExpired" ? " bad" : ""}`}>{standing(one)}</td>
            </tr>
          ))}</tbody>
        </table></div>
      ) : <Empty>None yet.</Empty>}
    </Panel>
  );
}
