// Somebody's jobs: all orders of an account, newest first, each with where it stands.
import { priced, units } from "../logic/amounts";
import { checksummed } from "../logic/checksum";
import { plural } from "../logic/names";
import { duration } from "../logic/times";
import { Empty, Panel } from "../parts/panel";
import { Ago, Amount, Answer, Hash } from "../parts/words";
import { LeaseTable } from "../parts/leases";
import { useOffers } from "../state/offers";
import { useLeasesOf } from "../state/past";
import { token } from "../state/market";
import { linkTo, place } from "../state/route";
import { wallet } from "../state/wallet";
import { useOrders } from "./account";

export function JobsView() {
  const address = place.value.of.toLowerCase() || wallet.value.account || "";
  return address ? <JobsOf address={address} /> : <NewestLeases />;
}

function JobsOf({ address }: { address: string }) {
  const orders = useOrders(address);
  const [waiting, running] = [orders.filter((one) => one.state === "book").length, orders.filter((one) => one.state === "open").length];
  return (
    <>
      <Answer said={[{ strong: plural(running, "job") }, ` ${running === 1 ? "runs" : "run"}, `, { strong: String(waiting) }, ` ${waiting === 1 ? "waits" : "wait"}.`]} />
      <p class="sub">Orders of <a class="addr u" href={linkTo("account", address)}>{checksummed(address)}</a>, the newest first.</p>
      <Panel title="Orders" note={`${orders.length} shown`}>
        {orders.length ? (
          <div class="scroll">
            <table>
              <thead><tr><th scope="col">order</th><th scope="col">stands</th><th scope="col" class="r">GPUs</th><th scope="col" class="r">limit</th><th scope="col" class="r">at most</th><th scope="col" class="r">worst cost</th><th scope="col" class="gap">offer</th><th scope="col">signed</th></tr></thead>
              <tbody>{orders.map((one) => (
                <tr key={one.id} data-row>
                  <td><Hash of={one.id} view="job" longer /></td><td>{one.state}</td><td class="num r">{one.order.gpus}</td><td class="num r">{priced(units(one.order.maxPrice), token.value.decimals)}</td><td class="num r">{duration(Number(one.order.maxSeconds))}</td>
                  <td class="r"><Amount of={units(one.worstCost)} /></td><td class="gap num">{one.lease ? <a class="u" href={linkTo("offer", one.lease.offer)}>{one.lease.offer} at {priced(units(one.lease.price), token.value.decimals)}</a> : "–"}</td><td class="num"><Ago at={one.acceptedAt} /></td>
                </tr>
              ))}</tbody>
            </table>
          </div>
        ) : <Empty>No orders. Looking is free; a deposit lets you sign one.</Empty>}
      </Panel>
    </>
  );
}

function NewestLeases() {
  const offers = useOffers().value.value ?? [];
  const rows = [...(useLeasesOf(offers).value.value ?? [])].sort((one, other) => other.openedAt - one.openedAt);
  const open = rows.filter((one) => one.status === "Open").length;
  return (
    <>
      <Answer said={open ? [{ strong: plural(open, "lease") }, ` ${open === 1 ? "runs" : "run"} on the market now.`] : ["Nothing runs on the market now."]} />
      <p class="sub">The newest openings of everybody. Connect a wallet to see your own, or type an address or an order’s id above.</p>
      <LeaseTable rows={rows.slice(0, 40)} title="Leases, newest first" />
    </>
  );
}
