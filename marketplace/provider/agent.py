"""The provider agent: follows the chain itself, serves the leases that open on its offers, and sees to its pay.

One step, once per block or more often, the money first:

1. notice jobs that have ended, and count the time of those that run
2. see to what can be lost by waiting: claims and deadlines of every serving that we know (``Timekeeper``, ``Settler``)
3. read the chain's new events: our listings, leases opened on them, leases that are over
4. bring every serving one step on, part by part (``Attendant``, ``Settler``): what fails in one part stays there (``isolation``)
5. settle what both sides have signed, in one transaction
6. keep the listings in line with the inventory, and give the gateway a sign of life

The chain is the only authority. The gateway carries files and signatures; while it is away, jobs run on and pay is claimed.
This thread touches the chain, the journal and memory only: files, sandboxes, the gateway and transactions are chores, in pools
that share nothing. Everything that matters is in the journal before it is done, and doing it twice is harmless, so an agent may
be killed at any point and started again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import partial

import structlog

from marketplace.chain.heads import Signal
from marketplace.domain import events as e
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError
from marketplace.domain.ids import sha256_in
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.repairs import Repairs
from marketplace.domain.states import ServingState
from marketplace.domain.wake import NextWake
from marketplace.provider.attendance import Attendance
from marketplace.provider.attendant import Attendant
from marketplace.provider.capacity import Capacity
from marketplace.provider.chores import Chore
from marketplace.provider.gpus.sampling import GpuSampler
from marketplace.provider.handover import Handover
from marketplace.provider.housekeeping import Housekeeping
from marketplace.provider.inventory import Inventory
from marketplace.provider.isolation import apart
from marketplace.provider.listing import Lister
from marketplace.provider.openings import LIVE, Openings, ends_job, is_live
from marketplace.provider.pause_monitor import PauseMonitor
from marketplace.provider.progress import ProgressReceipts
from marketplace.provider.reporter import Reporter
from marketplace.provider.schedule import Part, parts_of
from marketplace.provider.settler import Settler
from marketplace.provider.shutdown import Shutdown
from marketplace.provider.ssh.access import Speaker
from marketplace.provider.ssh.desk import SshDesk
from marketplace.provider.steering import Steering
from marketplace.provider.timekeeper import Timekeeper
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import Serving, ServingKey

_log = structlog.get_logger()

POLL_SECONDS = 0.2
"""How late a job's end and its logs may be noticed while there are servings. Between blocks that asks the node for nothing."""
IDLE_SECONDS = 10.0
"""How long to wait where nothing is served: the next block wakes us before, and the gateway's sign of life is of block time."""

WATCHED = "watched"
"""The journal's name for the newest block at which jobs of ours were watched."""


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
        self._capacity = Capacity()
        self._steering = steering or Steering(tools.journal.desk, inventory)
        lister = Lister(tools, self._steering.wanted)
        self._reporter = Reporter(tools.journal.desk, self._steering, tools.account)
        self._housekeeping = Housekeeping(tools, lister, self._steering, self._reporter, self._capacity)
        self.shutdown = Shutdown(tools.journal, self._steering, self._reporter)
        self._timekeeper = Timekeeper(
            tools, self._capacity, self._housekeeping.gas_funds, self._housekeeping.decline_notices
        )
        self._ssh = SshDesk(
            tuple(line.api for line in tools.gateways),
            Speaker(tools.key, tools.domain, lambda: tools.chain.paced_head().timestamp),
        )
        self._attendant = Attendant(tools, lister, self._capacity, self._ssh)
        self._handover = Handover(tools, self._attendant, self._capacity)
        self._settler = Settler(tools, self._capacity)
        self._progress = ProgressReceipts(tools, lambda: self._housekeeping.gas_funds.wei_per_gas)
        self._pay, self._rest = parts_of(
            self._timekeeper, self._attendant, self._settler, self._progress, GpuSampler(tools)
        )
        self._attendances: dict[ServingKey, Attendance] = {}
        self._found: set[ServingKey] = set()
        """Servings of an agent before us that are not attended to yet."""
        self._watched: BlockRef | None = None
        self._pause_monitor = PauseMonitor()
        self._head: BlockRef | None = None
        self.openings = Openings(tools)
        self._is_started = False
        self._tidying: Chore[None] = Chore(tools.pools.machine)

    @property
    def repairs(self) -> Repairs:
        """What it had to put right of what it had seen of the chain."""
        return self.openings.repairs

    @property
    def gas_trouble(self) -> str | None:
        """Why there are no offers, where that is for want of coin."""
        return self._housekeeping.gas_funds.trouble

    @property
    def head(self) -> BlockRef | None:
        """The newest block that a whole step has been taken at."""
        return self._head

    def preflight(self) -> None:
        """Raise ToolMissing where no job could run here, WrongChain where the market is not where it should be."""
        self._tools.executor.preflight()
        self._tools.market.terms()

    def close(self) -> None:
        """Stop. Jobs run on for a while; the next agent on this home takes them up again."""
        self._pause_monitor.close()
        self._ssh.close()
        for attendance in self._attendances.values():
            if attendance.execution:
                attendance.execution.leave()
        self._tools.close_pools()
        self._tools.home.close()

    def step(self) -> NextWake:
        """One unit of work; see the module's outline."""
        before, self._head = self._head, None
        for attendance in self._attendances.values():
            self._timekeeper.notice(attendance)
        self._steer()
        if self.shutdown.is_over:
            return NextWake.at_once()
        head = self._tools.chain.paced_head()
        if not self._is_started:
            self._start(head)
        self._see_to_pay(head)
        if self.openings.cursor is None or head != before:
            if not self.openings.follow():
                return NextWake.at_once()
            self.openings.reconcile()
        self._head = head
        servings = self._live(head)
        for serving in servings:
            self._attend(serving, head)
        self._settle(head)
        self._housekeeping.step(head, len(servings))
        self._handover.step(head)
        self.shutdown.leave_when_finished(self._attendances)
        self._reporter.tell(head, self._housekeeping.trouble)
        return NextWake(IDLE_SECONDS if self._handover.is_idle and not servings else POLL_SECONDS)

    def wait(self, seconds: float, stop: Signal) -> None:
        """Wait at most so long: less when a block comes, a chore ends, or ``stop`` is set. The node is asked when a block is due."""
        if self._head is None:
            return
        try:
            self._tools.chain.next_head(self._head, seconds, _Wakeup(self._housekeeping.has_news, stop))
        except ChainError as exc:
            # The next step says so, and is tried again more and more slowly.
            _log.debug("agent.wait_ended", reason=exc.reason)

    # Steering

    def _steer(self) -> None:
        """Take in what the operator wants by now. An agent that should be gone by now is, whatever fails below."""
        if self._steering.look():
            self._housekeeping.want(self._steering.wanted)
        self._settler.is_leaving = self._steering.is_leaving
        self.shutdown.give_up_if_overdue()

    # Starting

    def _start(self, head: BlockRef) -> None:
        """Take up what an agent before us left: its transactions, its jobs, its folders."""
        self._tools.market.terms()
        live = self._tools.journal.servings(*LIVE)
        if not live:
            self.preflight()  # else what is owed comes first, also on a machine that can run nothing any more
            self._housekeeping.is_fit = True
        for mined in self._tools.sender.recover():
            for event in mined.events:
                if isinstance(event, e.OfferListed) and event.offer.provider == self._tools.account:
                    # Not confirmed yet, perhaps: all the same it must not be listed a second time.
                    self._tools.journal.add_listing(event.offer.id, sha256_in(event.offer.spec))
        self.openings.start(live)
        self._found = {serving.key for serving in live}
        self._watched = self._tools.journal.cursor(WATCHED)
        for serving in live:
            _log.info("serving.found", lease=serving.lease, state=serving.state)
        begun = self._handover.begun()
        for serving in begun:
            self._handover.take_up(serving, self._found_again(serving, head))
        kept = {self._tools.home.serving(*serving.key).name for serving in (*live, *begun)}
        self._tidying.begin(lambda: self._tidy(kept), head.number)
        self._is_started = True
        self._pause_monitor.start()
        _log.info("agent.started", provider=self._tools.account, servings=len(live))

    def _tidy(self, kept: Set[str]) -> None:
        """Delete what is left of servings that are over."""
        for name in self._tools.home.serving_names() - kept:
            self._tools.executor.reap(name)
            while not self._tools.home.remove(name):
                pass

    # Servings

    def _see_to_pay(self, head: BlockRef) -> None:
        """Claims, deadlines, meters: of every serving that the journal knows, before anything is read or done that may fail."""
        has_lapsed = self._pause_monitor.has_lapsed()
        servings = self._live(head)
        for serving in servings:
            attendance, lease = self._attendances[serving.key], self._attendances[serving.key].lease
            if has_lapsed and attendance.seen_running and attendance.away_since is None:
                attendance.away_since = attendance.seen_running.timestamp
            if lease is None or ends_job(serving, lease):
                continue
            if serving.state is ServingState.RUNNING:
                serving = apart(
                    "count", serving.lease, partial(self._counted, serving, attendance, lease, head), serving
                )
            self._run_parts(self._pay[serving.state], serving, attendance, lease, head)
        if any(serving.state is ServingState.RUNNING for serving in servings) and head != self._watched:
            self._tools.journal.save_cursor(head, name=WATCHED)
            self._watched = head

    def _counted(self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef) -> Serving:
        self._attendant.started(attendance, head)
        return self._timekeeper.count(serving, attendance, lease, head)

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
        attendance = self._handover.take_back(serving.key)
        if attendance is None:
            look = self._found_again if serving.key in self._found else self._fresh
            attendance = look(serving, head)
        self._found.discard(serving.key)
        self._attendances[serving.key] = attendance
        return attendance

    def _fresh(self, serving: Serving, head: BlockRef) -> Attendance:
        folder, offer = self._tools.home.serving(*serving.key), self._tools.market.listing_of(serving.offer, head)
        return Attendance(self._tools, folder, offer, head.timestamp)

    def _found_again(self, serving: Serving, head: BlockRef) -> Attendance:
        """Of an agent before us."""
        attendance = self._fresh(serving, head)
        attendance.is_found, attendance.seen_running = True, self._watched
        attendance.away_since = self._watched.timestamp if self._watched else serving.updated_at
        return attendance

    def _attend(self, serving: Serving, head: BlockRef) -> None:
        """Bring one serving one step on. What goes wrong with it stays with it: others, and their pay, do not wait."""
        attendance = self._attendances[serving.key]

        def attend() -> None:
            if not self._may_act(serving, attendance, head):
                return
            if is_live(serving, attendance.lease):
                self._step_on(serving, attendance, head)
            else:
                self._end(serving, attendance, head)

        apart("serving", serving.lease, attend, None)

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
            self._stop_job(attendance, head)
            if not attendance.is_running:
                self._capacity.end(serving.key)
            return
        if attendance.is_stopped and serving.state is ServingState.RUNNING and not attendance.is_running:
            # A reorganisation took its opening away, and gave it back in the same second: the work is not done, so it begins again.
            attendance.reset_run()
        is_before_end = serving.state in (ServingState.SEEN, ServingState.RUNNING)
        if is_before_end and self._steering.is_leaving:
            self._timekeeper.leave(serving, attendance, lease, head, must_end=self._steering.must_hand_back)
        if is_before_end and lease.status is LeaseStatus.CLAIMED:
            self._timekeeper.claimed_by_hand(serving, attendance, lease, head)
            return
        self._run_parts(self._rest[serving.state], serving, attendance, lease, head)

    def _run_parts(
        self, parts: Sequence[Part], serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef
    ) -> None:
        """One after the other, each for itself; those of a state that it has left are not for it any more."""
        now = serving
        for name, advance in parts:
            now = apart(name, now.lease, partial(advance, now, attendance, lease, head), now)
            if now.state is not serving.state:
                return

    def _end(self, serving: Serving, attendance: Attendance, head: BlockRef) -> None:
        """The newest block says that it is over: stop the job at once; close the serving when that is confirmed."""
        self._stop_job(attendance, head)
        if self.openings.cursor is None or not self._is_confirmed_over(serving, attendance, self.openings.cursor):
            return
        ending = self.openings.ending(serving)
        exit_name = type(ending).__name__ if ending else "not seen"
        why = f"declined: {attendance.obstacle}" if attendance.obstacle else serving.note
        note = "; ".join(filter(None, (exit_name, why)))
        self._tools.journal.advance(serving, ServingState.CLOSED, at=self.openings.cursor.timestamp, note=note)
        paid = str(getattr(ending, "paid", 0))
        _log.info("serving.closed", lease=serving.lease, exit=exit_name, paid=paid, why=why)
        self._handover.begin(serving, self._attendances.pop(serving.key), ending, self.openings.cursor)

    def _is_confirmed_over(self, serving: Serving, attendance: Attendance, cursor: BlockRef) -> bool:
        """Whether confirmed blocks say so, too: by an event, or, where an earlier agent has read that, by its state at two of them."""
        if self.openings.has_ended(serving):
            return True
        since, market = attendance.over.since, self._tools.market
        return (since is not None and cursor.number > since.number) and attendance.confirmed_over.is_sure(
            cursor, lambda at: not is_live(serving, market.lease_again(serving.lease, at))
        )

    def _stop_job(self, attendance: Attendance, head: BlockRef) -> None:
        self._attendant.started(attendance, head)
        if attendance.is_running:
            _log.info("job.stopping", folder=attendance.folder.name)
            attendance.stop()

    def _settle(self, head: BlockRef) -> None:
        servings = self._tools.journal.servings(*LIVE)
        pairs = [(serving, self._attendances[serving.key]) for serving in servings if serving.key in self._attendances]
        live = [pair for pair in pairs if is_live(pair[0], pair[1].lease)]
        self._settler.settle([pair for pair in live if pair[0].state is ServingState.SETTLING], head)
        self._progress.settle(live, head)


@dataclass(frozen=True, slots=True)
class _Wakeup:
    """What ends a wait for the next block before there is one."""

    has_news: Callable[[], bool]
    stop: Signal

    def is_set(self) -> bool:
        return self.stop.is_set() or self.has_news()
