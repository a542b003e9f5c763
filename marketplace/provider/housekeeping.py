"""What an agent sees to beside its servings: listings, transactions that nobody waits for, its machine, its sign of life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import MarketplaceError
from marketplace.domain.units import UnixTime
from marketplace.provider.capacity import Capacity
from marketplace.provider.chores import Chore
from marketplace.provider.declines import DeclineNotices
from marketplace.provider.gas_funds import GasFunds
from marketplace.provider.gateways import AtEach, GatewayLine
from marketplace.provider.gpus.measuring import Measuring
from marketplace.provider.gpus.watching import GpuWatch
from marketplace.provider.heartbeats import Heartbeats
from marketplace.provider.images.announcing import ImageAnnouncer
from marketplace.provider.listing import Lister, ListingReport, Wanted
from marketplace.provider.reporter import Reporter
from marketplace.provider.reservations import Reservations
from marketplace.provider.steering import Steering
from marketplace.provider.toolbox import Toolbox

_log = structlog.get_logger()

UNFIT_SECONDS = 60
"""Block time after which a machine that could run no job is tried again."""
DESCRIBE_SECONDS = 60.0


class Housekeeping:
    """One step of it never waits, and never fails: whatever goes wrong is said, and tried again."""

    def __init__(
        self, tools: Toolbox, lister: Lister, steering: Steering, reporter: Reporter, capacity: Capacity
    ) -> None:
        self._tools, self._lister, self._steering, self._reporter = tools, lister, steering, reporter
        money, machine = tools.pools.money, tools.pools.machine
        self._listing: Chore[ListingReport] = Chore(money)
        self._tending: Chore[None] = Chore(money)
        self._describing: AtEach[bool] = AtEach(tools.gateways)
        self._heartbeats, self._images = Heartbeats(tools), ImageAnnouncer(tools)
        self._checking: Chore[bool] = Chore(machine)
        self.decline_notices = DeclineNotices(tools)
        self._gpus, self._measuring = GpuWatch(tools, capacity), Measuring(tools)
        self.gas_funds = GasFunds(tools.chain, tools.key.address, money)
        self._reservations = Reservations(tools, lister, lambda: self.gas_funds.wei_per_gas)
        self._list_at = self._check_at = UnixTime(0)
        self._described: set[GatewayLine] = set()
        """The gateways that have the descriptions of the machine."""
        self.is_fit = False
        """Jobs can run on this machine."""

    @property
    def trouble(self) -> str:
        """Why there are no offers, or fewer than the inventory has, where nobody wants that; empty where all is well."""
        return "; ".join(filter(None, (self.gas_funds.trouble, self._gpus.trouble)))

    def step(self, head: BlockRef, leases: int) -> None:
        """``leases``: how many have to be seen through."""
        self._count_coin(head, leases)
        self._tend(head)
        self._check_machine(head)
        self._look_at_gpus(head)
        self._keep_listed(head)
        self._keep_described(head)
        self._heartbeats.step(head)
        self._images.step(head)
        self._reservations.step(head)
        self.decline_notices.step(head)

    def has_news(self) -> bool:
        """Whether a chore has ended whose outcome a step should see at once."""
        chores = (self._listing, self._describing, self._heartbeats)
        return self._steering.has_news or any(chore.is_finished for chore in chores)

    def want(self, wanted: Wanted) -> None:
        """Other offers are wanted: the next step begins to bring them about. Without coin for gas there are none."""
        is_open, unfit = wanted.is_open and not self.gas_funds.is_short, self._gpus.unfit
        self._lister.wanted = replace(wanted, is_open=is_open, unfit=unfit)
        self._list_at, self._described = UnixTime(0), set()

    def _check_machine(self, head: BlockRef) -> None:
        """Nothing is listed before a job can run here; in the meantime what is owed is seen to."""
        if self.is_fit:
            return
        try:
            self.is_fit = self._checking.take(head.number) or False
        except MarketplaceError as exc:
            self._check_at = UnixTime(head.timestamp + UNFIT_SECONDS)
            _log.error("machine.cannot_run_jobs", reason=exc.reason, error=str(exc))
        if not self.is_fit and head.timestamp >= self._check_at:
            self._checking.begin(self._preflown, head.number)

    def _look_at_gpus(self, head: BlockRef) -> None:
        """What the offers are of may have changed: one whose GPUs are not fit any more is taken off the market, and put up again."""
        if self._gpus.step(head, self._steering.wanted.inventory.offers):
            self.want(self._steering.wanted)
        self._measuring.step(head, self._gpus, self._lister.standing())

    def _preflown(self) -> bool:
        self._tools.executor.preflight()
        return True

    def _keep_listed(self, head: BlockRef) -> None:
        """Listings do not wait for the description of the machine: the chain does not wait for files."""
        try:
            report = self._listing.take(head.number)
            if report is not None:
                # GPUs and coin change what is wanted as wishes do: what has changed since it began does not wait its turn.
                is_newest = self._reporter.listed(report) and report.wanted == self._lister.wanted
                self._list_at = UnixTime(head.timestamp + self._tools.policy.listing_seconds if is_newest else 0)
                _log.info(
                    "offers.standing", offers=[offer.id for _, offer in report.offers], free=str(report.free_balance)
                )
        except MarketplaceError as exc:
            _log.warning("offers.not_listed", reason=exc.reason, error=str(exc))
        wanted = self._lister.wanted
        may_list = not wanted.is_open or (self.is_fit and self._gpus.has_looked_at(wanted.inventory.offers))
        if head.timestamp >= self._list_at and may_list:
            self._reporter.listing_begins(is_new=not self._listing.is_under_way)
            self._listing.begin(lambda: self._lister.bring_up_to_date(head), head.number)

    def _keep_described(self, head: BlockRef) -> None:
        for answer in self._describing.answers(head.number):
            if answer.found:
                self._described.add(answer.line)
            else:
                _log.info("machine.not_described", gateway=answer.line.url, reason=str(answer.problem))
        machines = [offer.machine.canonical() for offer in self._steering.wanted.inventory.offers]
        self._describing.begin(
            lambda line: _described(line.api, machines), head.number, seconds=DESCRIBE_SECONDS, but=self._described
        )

    def _count_coin(self, head: BlockRef, leases: int) -> None:
        """What could still open on the offers has to be paid for, too."""
        offers = self._steering.wanted.inventory.offers
        may_open = sum(offer.count for offer in offers) if self._lister.wanted.is_open else 0
        if self.gas_funds.look(head, max(leases, may_open), len(offers)):
            self.want(self._steering.wanted)

    def _tend(self, head: BlockRef) -> None:
        """Look after our transactions, also those that nobody waits for."""
        try:
            self._tending.take(head.number)
        except MarketplaceError as exc:
            _log.info("transactions.not_tended", reason=exc.reason, error=str(exc))
        self._tending.begin(lambda: self._tools.sender.tend(head), head.number)


def _described(api: GatewayApi, machines: Sequence[bytes]) -> bool:
    """Upload the machine descriptions whose hashes the listings carry."""
    for machine in machines:
        api.put_blob(machine, public=True)
    return True
