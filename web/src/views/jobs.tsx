// Somebody's jobs, newest first, each with where it stands: all orders of an account, those that are attempts of one job together.
import { priced, units } from "../logic/amounts";
import { checksummed } from "../logic/checksum";
import { jobsOf, newestOf, type JobTold } from "../logic/attempts";
import { oneLine, plural } from "../logic/names";
import { duration } from "../logic/times";
import { Empty, Panel } from "../parts/panel";
import { Ago, Amount, Answer, Hash } from "../parts/words";
import { LeaseTable } from "../parts/leases";
import { useOffers } from "../state/offers";
import { useLeasesOf } from "../state/past";
import { token } from "../state/market";
import { linkTo, place } from "../state/route";
import { wallet } from "../state/wallet";
import { useWorks } from "../state/works";
import { useOrders } from "./account";

export function JobsView() {
  const address = place.value.of.toLowerCase() || wallet.value.account || "";
  return address ? <JobsOf address={address} /> : <NewestLeases />;
}

function JobsOf({ address }: { address: string }) {
  const orders = useOrders(address);
  const jobs = jobsOf(orders, useWorks(orders));
  const count = (state: string) => jobs.filter((one) => newestOf(one).state === state).length;
  const [waiting, running] = [count("book"), count("open")];
  const isMine = wallet.value.account === address && !wallet.value.signedInUntil;
  return (
    <>
      <Answer said={[{ strong: plural(running, "job") }, ` ${running === 1 ? "runs" : "run"}, `, { strong: String(waiting) }, ` ${waiting === 1 ? "waits" : "wait"}.`]} />
      <p class="sub">Jobs of <a class="addr u" href={linkTo("account", address)}>{checksummed(address)}</a>, the newest first. A job goes by the id of its order here; the numbers of <span class="mono">bourse ps</span> are those of the machine that ordered it.{isMine ? <> <a class="u" href={linkTo("account", address)}>Sign in</a> to read their names, and which orders are attempts of one job.</> : null}</p>
      <Panel title="Jobs" note={jobs.length === orders.length ? `${orders.length} shown` : `${plural(jobs.length, "job")} of ${orders.length} orders`}>
        {jobs.length ? (
          <div class="scroll">
            <table>
              <thead><tr><th scope="col">job</th><th scope="col">order</th><th scope="col">stands</th><th scope="col" class="r">attempts</th><th scope="col" class="r only-desk">GPUs</th><th scope="col" class="r only-desk">limit</th><th scope="col" class="r only-desk">at most</th><th scope="col" class="r only-desk">worst cost</th><th scope="col" class="gap only-desk">offer</th><th scope="col" class="gap">signed</th></tr></thead>
              <tbody>{jobs.map((job) => <JobRow key={job.orders[0].id} job={job} />)}</tbody>
            </table>
          </div>
        ) : <Empty>No jobs. Looking is free; a deposit lets you sign an order.</Empty>}
      </Panel>
    </>
  );
}

/** A job by its newest order, which is the one that counts now. */
function JobRow({ job }: { job: JobTold }) {
  const one = newestOf(job);
  const { decimals } = token.value;
  return (
    <tr data-row>
      <td title={job.name}>{oneLine(job.name, 40) || <span class="ink3">–</span>}</td><td><Hash of={one.id} view="job" /></td><td>{one.state}</td><td class="num r">{job.orders.length}</td><td class="num r only-desk">{one.order.gpus}</td><td class="num r only-desk">{priced(units(one.order.maxPrice), decimals)}</td><td class="num r only-desk">{duration(Number(one.order.maxSeconds))}</td>
      <td class="r only-desk"><Amount of={units(one.worstCost)} /></td><td class="gap num only-desk">{one.lease ? <a class="u" href={linkTo("offer", one.lease.offer)}>{one.lease.offer} at {priced(units(one.lease.price), decimals)}</a> : "–"}</td><td class="num gap"><Ago at={job.orders[0].acceptedAt} /></td>
    </tr>
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
