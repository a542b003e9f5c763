"""The provider agent: follows the chain itself, serves the leases that open on its offers, and sees to its pay.

One step, once per block or more often:

1. notice jobs that have ended, whatever else fails today
2. read the chain's new events: our listings, leases opened on them, leases that are over
3. bring every serving one step on (``Attendant``: the job; ``Settler``: the money)
4. settle what both sides have signed, in one transaction
5. keep the listings in line with the inventory, and give the gateway a sign of life

The chain is the only authority. The gateway carries files and signatures; while it is away, jobs run on and pay is claimed.
Nothing here blocks for long: slow work is a chore. Everything that matters is in the journal before it is done, and doing
it twice is harmless, so an agent may be killed at any point and started again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from marketplace.chain.heads import Signal
from marketplace.domain import events as e
from marketplace.domain.errors import ChainError, MarketplaceError
from marketplace.domain.ids import sha256_in
from marketplace.domain.models import BlockRef, Lease, LeaseStatus
from marketplace.domain.repairs import Repairs
from marketplace.domain.states import ServingState
from marketplace.domain.units import UnixTime
from marketplace.domain.wake import NextWake
from marketplace.provider.attendance import Attendance, Ended
from marketplace.provider.attendant import Attendant
from marketplace.provider.capacity import Capacity
from marketplace.provider.chores import Chore, distrusted
from marketplace.provider.departure import Departure
from marketplace.provider.gpus import look_at_gpus
from marketplace.provider.inventory import Inventory
from marketplace.provider.listing import Lister, ListingReport
from marketplace.provider.openings import LIVE, Openings, ends_job, is_live
from marketplace.provider.reporter import Reporter
from marketplace.provider.settler import Settler
from marketplace.provider.steering import Steering
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import Serving, ServingKey

_log = structlog.get_logger()

POLL_SECONDS = 0.2
"""How late a job's end and its logs may be noticed while there are servings. Between blocks that asks the node for nothing."""
IDLE_SECONDS = 10.0
"""How long to wait where nothing is served: the next block wakes us before, and the gateway's sign of life is of block time."""

Advance = Callable[[Serving, Attendance, Lease, BlockRef], Serving]


class ProviderAgent:
    """One provider's agent: one key, one machine, one home folder.

    ProviderAgent(tools, inventory)    nothing happens before the first step
    .preflight()                       raises where jobs could not run on this machine at all
    .step()                            one unit of work; run it with ``daemon.run_forever``
    .wait(seconds, stop)               until the next step is due: a block, the end of a chore, or so long
    .close()                           lets go of threads, folder and jobs; a kill -9 does as well
    """

    def __init__(self, tools: Toolbox, inventory: Inventory, steering: Steering | None = None) -> None:
        """``steering``: what may be asked of it while it runs; without one only the journal's wishes, and ``inventory`` stays."""
        self._tools = tools
        self._steering = steering or Steering(tools.journal.desk, inventory)
        self._capacity = Capacity()
        self._lister = Lister(tools, self._steering.wanted)
        self._attendant = Attendant(tools, self._lister, self._capacity)
        self._settler = Settler(tools)
        self._methods: Mapping[ServingState, Advance] = {
            ServingState.SEEN: self._attendant.seen,
            ServingState.RUNNING: self._attendant.running,
            ServingState.EXITED: self._settler.exited,
            ServingState.RECEIPTED: self._settler.receipted,
            ServingState.SETTLING: self._settler.settling,
            ServingState.CLAIMED: self._settler.claimed,
        }
        self._attendances: dict[ServingKey, Attendance] = {}
        self._leaving: list[tuple[ServingKey, Attendance]] = []
        self._head: BlockRef | None = None
        self.openings = Openings(tools)
        self._is_started = False
        self._listing: Chore[ListingReport] = Chore(tools.pool)
        self._describing: Chore[bool] = Chore(tools.pool)
        self._beating: Chore[UnixTime] = Chore(tools.pool)
        self._tending: Chore[None] = Chore(tools.pool)
        self._list_at = self._beat_at = UnixTime(0)
        self._is_described = False
        self._reporter = Reporter(tools.journal.desk, self._steering)
        self.departure = Departure(tools.journal, self._steering, self._reporter)

    @property
    def repairs(self) -> Repairs:
        """What it had to put right of what it had seen of the chain."""
        return self.openings.repairs

    @property
    def head(self) -> BlockRef | None:
        """The newest block that a whole step has been taken at."""
        return self._head

    def preflight(self) -> None:
        """Raise ToolMissing where no job could run here, WrongChain where the market is not where it should be."""
        self._tools.executor.preflight()
        self._tools.market.terms()

    def close(self) -> None:
        """Stop. Running jobs end with us; the next agent on this home runs them again if there is time."""
        for attendance in self._attendances.values():
            if attendance.execution:
                attendance.execution.kill()
        self._tools.pool.close()
        self._tools.home.close()

    def step(self) -> NextWake:
        """One unit of work; see the module's outline."""
        before, self._head = self._head, None
        self._notice_ends(before)
        self._steer()
        if self.departure.is_over:
            return NextWake.at_once()
        head = self._tools.chain.paced_head()
        if not self._is_started:
            self._start()
        if self.openings.cursor is None or head != before:
            if not self.openings.follow():
                return NextWake.at_once()
            self.openings.reconcile()
        self._head = head
        servings = self._live(head)
        for serving in servings:
            self._attend(serving, head)
        self._settle(head)
        self._keep_listed(head)
        self._tend(head)
        self._beat(head)
        self._leave()
        self.departure.leave_when_finished(self._attendances)
        self._reporter.tell(head)
        return NextWake(POLL_SECONDS if servings or self._leaving else IDLE_SECONDS)

    def wait(self, seconds: float, stop: Signal) -> None:
        """Wait at most so long: less when a block comes, a chore ends, or ``stop`` is set. The node is asked when a block is due."""
        if self._head is None:
            return
        try:
            self._tools.chain.next_head(self._head, seconds, _Wakeup(self._has_news, stop))
        except ChainError as exc:
            # The next step says so, and is tried again more and more slowly.
            _log.debug("agent.wait_ended", reason=exc.reason)

    def _has_news(self) -> bool:
        return self._steering.has_news or any(
            chore.is_finished for chore in (self._listing, self._describing, self._beating)
        )

    # Steering

    def _steer(self) -> None:
        """Take in what the operator wants by now. An agent that should be gone by now is, whatever fails below."""
        if self._steering.look():
            self._lister.wanted = self._steering.wanted
            self._list_at, self._is_described = UnixTime(0), False
        self._settler.is_leaving = self._steering.is_leaving
        self.departure.give_up_if_overdue()

    # Starting

    def _start(self) -> None:
        """Take up what an agent before us left: its transactions, its jobs (they are ended), its folders."""
        self.preflight()
        for mined in self._tools.sender.recover():
            for event in mined.events:
                if isinstance(event, e.OfferListed) and event.offer.provider == self._tools.key.address:
                    # Not confirmed yet, perhaps: all the same it must not be listed a second time.
                    self._tools.journal.add_listing(event.offer.id, sha256_in(event.offer.spec))
        live = self._tools.journal.servings(*LIVE)
        self.openings.start(live)
        kept = {self._tools.home.serving(*serving.key).name for serving in live}
        for serving in live:
            name = self._tools.home.serving(*serving.key).name
            self._tools.executor.reap(name, serving.pid)
            _log.info("serving.found", lease=serving.lease, state=serving.state)
        for name in self._tools.home.serving_names() - kept:
            self._tools.executor.reap(name)
            self._tools.home.remove(name)
        self._is_started = True
        look_at_gpus()
        _log.info("agent.started", provider=self._tools.key.address, servings=len(live))

    # Servings

    def _live(self, head: BlockRef) -> Sequence[Serving]:
        """The servings that are not over, each with the chain's newest word about it."""
        servings = self._tools.journal.servings(*LIVE)
        for serving in servings:
            attendance = self._attendances.get(serving.key) or self._attending(serving, head)
            if attendance.lease is None or attendance.looked_at != head:
                attendance.lease = self._tools.market.lease_of(serving.lease, head)
                attendance.looked_at = head
        return servings

    def _attending(self, serving: Serving, head: BlockRef) -> Attendance:
        for leaving in self._leaving:
            if leaving[0] == serving.key:
                # Its ending was taken back before its folder was gone.
                self._leaving.remove(leaving)
                self._attendances[serving.key] = leaving[1]
                return leaving[1]
        folder = self._tools.home.serving(*serving.key)
        folder.make()
        attendance = Attendance(self._tools, folder, self._tools.market.listing_of(serving.offer, head), head.timestamp)
        self._attendances[serving.key] = attendance
        return attendance

    def _attend(self, serving: Serving, head: BlockRef) -> None:
        """Bring one serving one step on. What goes wrong with it stays with it: others, and their pay, do not wait."""
        attendance = self._attendances[serving.key]
        try:
            if not self._may_act(serving, attendance, head):
                return
            if is_live(serving, attendance.lease):
                self._step_on(serving, attendance, head)
            else:
                self._end(serving, attendance, head)
        except (MarketplaceError, OSError) as exc:
            _log.warning(
                "serving.stuck", lease=serving.lease, state=serving.state, error=f"{type(exc).__name__}: {exc}"
            )

    def _may_act(self, serving: Serving, attendance: Attendance, head: BlockRef) -> bool:
        """Whether the newest block's word about it is sure enough: one that ends its job is, by an event, or when told twice."""

        def is_ended(at: BlockRef) -> bool:
            attendance.lease = self._tools.market.lease_again(serving.lease, at)
            return ends_job(serving, attendance.lease)

        if not ends_job(serving, attendance.lease):
            attendance.over.forget()
            attendance.confirmed_over.forget()
            return True
        return self.openings.has_ended(serving) or attendance.over.is_sure(head, is_ended)

    def _step_on(self, serving: Serving, attendance: Attendance, head: BlockRef) -> None:
        lease = attendance.lease
        if lease is None or lease.status is LeaseStatus.DISPUTED:
            # The arbiter's turn. Its GPUs are free again on the chain, so they must be here.
            self._stop_job(attendance)
            return
        if attendance.is_stopped and serving.state is ServingState.RUNNING and not attendance.is_running:
            # A reorganisation took its opening away, and gave it back in the same second: the work is not done, so it begins again.
            attendance.reset_run()
        is_before_end = serving.state in (ServingState.SEEN, ServingState.RUNNING)
        if is_before_end and self._steering.is_leaving:
            self._attendant.leave(serving, attendance, lease, head, must_end=self._steering.must_hand_back)
        if is_before_end and lease.status is LeaseStatus.CLAIMED:
            self._attendant.claimed_by_hand(serving, attendance, lease, head)
            return
        self._methods[serving.state](serving, attendance, lease, head)
        if not is_before_end:
            self._attendant.pump(serving, attendance, head)

    def _end(self, serving: Serving, attendance: Attendance, head: BlockRef) -> None:
        """The newest block says that it is over: stop the job at once; close the serving when that is confirmed."""
        self._stop_job(attendance)
        if self.openings.cursor is None or not self._is_confirmed_over(serving, attendance, self.openings.cursor):
            return
        ending = self.openings.ending(serving)
        exit_name = type(ending).__name__ if ending else "not seen"
        why = f"declined: {attendance.obstacle}" if attendance.obstacle else serving.note
        note = "; ".join(filter(None, (exit_name, why)))
        self._tools.journal.advance(serving, ServingState.CLOSED, at=self.openings.cursor.timestamp, note=note)
        paid = str(getattr(ending, "paid", 0))
        _log.info("serving.closed", lease=serving.lease, exit=exit_name, paid=paid, why=why)
        self._leaving.append((serving.key, self._attendances.pop(serving.key)))

    def _is_confirmed_over(self, serving: Serving, attendance: Attendance, cursor: BlockRef) -> bool:
        """Whether confirmed blocks say so, too: by an event, or, where an earlier agent has read that, by its state at two of them."""
        if self.openings.has_ended(serving):
            return True
        since, market = attendance.over.since, self._tools.market
        return (since is not None and cursor.number > since.number) and attendance.confirmed_over.is_sure(
            cursor, lambda at: not is_live(serving, market.lease_again(serving.lease, at))
        )

    def _stop_job(self, attendance: Attendance) -> None:
        if attendance.is_running and attendance.execution:
            _log.info("job.stopping", folder=attendance.folder.name)
            attendance.execution.kill()
            attendance.is_stopped = True

    def _notice_ends(self, before: BlockRef | None) -> None:
        """See which jobs are over. ``before`` is the newest block of a whole step ago: there they were still running."""
        for attendance in self._attendances.values():
            if attendance.execution is None or attendance.ended is not None:
                continue
            result = attendance.execution.poll()
            if result is not None:
                attendance.ended = Ended(result, before)
                _log.info("job.ended", folder=attendance.folder.name, exit_code=result.exit_code, ended=result.ended)

    def _settle(self, head: BlockRef) -> None:
        settling = self._tools.journal.servings(ServingState.SETTLING)
        pairs = [(serving, self._attendances[serving.key]) for serving in settling if serving.key in self._attendances]
        self._settler.settle([pair for pair in pairs if is_live(pair[0], pair[1].lease)], head)

    def _leave(self) -> None:
        """Free the GPUs and delete the folders of closed servings whose last process and last chore are gone."""
        for key, attendance in tuple(self._leaving):
            if attendance.is_quiet:
                self._capacity.release(key)
                if self._tools.home.remove(attendance.folder.name):
                    self._tools.executor.reap(attendance.folder.name)
                    self._leaving.remove((key, attendance))

    # Beside the servings

    def _keep_listed(self, head: BlockRef) -> None:
        """Listings first, the description of the machine when the gateway can take it: the chain does not wait for files."""
        try:
            report = self._listing.take(head.number)
            if report is not None:
                is_newest = self._reporter.listed(report)
                self._list_at = UnixTime(head.timestamp + self._tools.policy.listing_seconds if is_newest else 0)
                _log.info(
                    "offers.standing", offers=[offer.id for _, offer in report.offers], free=str(report.free_balance)
                )
        except MarketplaceError as exc:
            _log.warning("offers.not_listed", reason=exc.reason, error=str(exc))
        if head.timestamp >= self._list_at:
            self._reporter.listing_begins(is_new=not self._listing.is_under_way)
            self._listing.begin(lambda: self._lister.bring_up_to_date(head), head.number)
        try:
            self._is_described = self._describing.take(head.number) or self._is_described
        except MarketplaceError as exc:
            _log.info("machine.not_described", reason=exc.reason)
        if not self._is_described:
            self._describing.begin(self._describe, head.number)

    def _tend(self, head: BlockRef) -> None:
        """Look after our transactions, also those that nobody waits for."""
        try:
            self._tending.take(head.number)
        except MarketplaceError as exc:
            _log.info("transactions.not_tended", reason=exc.reason, error=str(exc))
        self._tending.begin(lambda: self._tools.sender.tend(head), head.number)

    def _describe(self) -> bool:
        """Upload the machine descriptions whose hashes the listings carry."""
        for offer in self._steering.wanted.inventory.offers:
            self._tools.api.put_blob(offer.machine.canonical())
        return True

    def _beat(self, head: BlockRef) -> None:
        """Say that we are alive, best effort."""
        try:
            self._beating.take(head.number)
        except MarketplaceError as exc:
            _log.debug("heartbeat.not_taken", reason=exc.reason)
        if head.timestamp >= self._beat_at and not self._beating.is_under_way:
            self._beat_at = UnixTime(head.timestamp + self._tools.policy.heartbeat_seconds)
            self._beating.begin(lambda: distrusted(self._tools.api.heartbeat), head.number)


@dataclass(frozen=True, slots=True)
class _Wakeup:
    """What ends a wait for the next block before there is one."""

    has_news: Callable[[], bool]
    stop: Signal

    def is_set(self) -> bool:
        return self.stop.is_set() or self.has_news()
