"""What a provider's commands do: they speak to a running agent through its journal, and act themselves only where none runs.

One key has one writer. While an agent holds the home's lock, a command writes a wish into the journal and the agent heeds it at
its next step. Where none does, the command holds the lock itself while it sends, with the agent's own outbox.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from time import monotonic

from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.token import coin_of
from marketplace.chain.transactions import Sender
from marketplace.domain.blocks import BlockRef
from marketplace.domain.earnings import Earnings, earnings_of
from marketplace.domain.errors import ConfigError, HomeInUse, NotFound
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.leases import Lease
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.states import ServingState
from marketplace.domain.units import PricePerGpuHour, TokenUnits
from marketplace.provider.home import AgentHome, holder_of
from marketplace.provider.inventory import Inventory
from marketplace.provider.listing import Lister, Wanted
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.rows import Serving
from marketplace.store.journal.wishes import AgentReport, AgentStanding, AskedPrice, Wishes

HEEDED_SECONDS = 30.0
"""How long a command waits for the agent: a block or two, and the transaction."""
_LOOK_AGAIN_SECONDS = 0.1


class WishOutcome(Enum):
    """What became of a wish while the command waited."""

    HEEDED = "heeded"
    """The agent has acted on it: it is on the chain."""
    WAITING = "waiting"
    """The agent runs, and has not acted on it yet."""
    ALONE = "alone"
    """No agent runs: the command has done what there was to do."""


@dataclass(frozen=True, slots=True)
class Attended:
    """A serving, and the chain's word about its lease."""

    serving: Serving
    lease: Lease
    gpu_class: int | None
    held: TokenUnits
    """The bond that is at stake in it now."""


@dataclass(frozen=True, slots=True)
class Picture:
    """How a provider stands, from its journal and the chain; nobody else is asked."""

    block: BlockRef
    pid: str
    """The process of the agent that holds the home; empty where none runs."""
    report: AgentReport | None
    wishes: Wishes
    free: TokenUnits
    coin_wei: int
    offers: tuple[Offer, ...]
    leases: tuple[Attended, ...]
    """Those that are not over."""

    @property
    def held(self) -> TokenUnits:
        return TokenUnits(sum(one.held for one in self.leases))


class ProviderCommands:
    """One provider's, with its key and its home. Everything raises ChainUnavailable and StoreUnavailable."""

    def __init__(self, market: MarketContract, key: Key, journal: AgentJournal, sender: Sender, home: Path) -> None:
        self.market, self.key, self.journal, self.sender, self._home = market, key, journal, sender, home

    @property
    def terms(self) -> MarketTerms:
        return self.market.terms()

    @cached_property
    def account(self) -> Address:
        """The provider: the company that the home's agent serves as, if the key is its operator, else the key's own account."""
        report = self.journal.desk.report()
        told = Address(report.account) if report and report.account else self.key.address
        return told if self.market.companies.speaker_of(told) == self.key.address else self.key.address

    def is_pledged(self, at: BlockRef) -> bool:
        companies = self.market.companies
        return companies.is_company(self.account, at) and companies.creditor_of(self.account, at) is not None

    @property
    def desk(self) -> Address:
        return self.market.address if self.account == self.key.address else self.account

    def check_key(self) -> None:
        """Raises ConfigError where the home's agent has another key: what is asked here would be done with its offers."""
        report = self.journal.desk.report()
        if report and report.account and report.account != self.account:
            raise ConfigError(
                [f"the agent of {self._home} has the key of {report.account}, this one is {self.key.address}"]
            )

    # Looking

    def picture(self) -> Picture:
        """How everything stands at the newest block."""
        head, account = self.market.chain.head(), self.account
        desk = self.journal.desk
        return Picture(
            head, holder_of(self._home), desk.report(), desk.wishes(), self.market.balance_of(account, head),
            coin_of(self.market.chain, self.key.address, head), self._offers(head), self.leases(head),
        )  # fmt: skip

    def leases(self, at: BlockRef, *, with_closed: bool = False) -> tuple[Attended, ...]:
        """The servings in the journal, oldest first."""
        states = tuple(state for state in ServingState if with_closed or state is not ServingState.CLOSED)
        servings = self.journal.servings(*states)
        leases = self.market.leases_of([serving.lease for serving in servings], at)
        offers = self.market.offers_of(sorted({serving.offer for serving in servings}), at)
        return tuple(self._attended(serving, leases, offers) for serving in servings)

    def earnings(self, at: BlockRef) -> tuple[Earnings, TokenUnits]:
        """The books from all of the market's events up to this block, and what the contract says the balance is."""
        terms, follower = self.terms, EventFollower(self.market.chain, self.market.address, confirmations=1)
        events = follower.history(terms.deployed_at_block, at.number)
        return earnings_of(self.account, events, terms.bond_floor), self.market.balance_of(self.account, at)

    # Steering

    def stand(self, standing: AgentStanding) -> WishOutcome:
        """Open, pause or drain. Without an agent there is only to withdraw what is on offer."""
        wish = self.journal.desk.stand(standing)
        try:
            home = AgentHome(self._home)
        except HomeInUse:
            return self._heeded(wish)
        try:
            if standing is not AgentStanding.OPEN:
                self.journal.desk.stand(AgentStanding.PAUSED)
                self._lister().withdraw(self.market.chain.head())
        finally:
            home.close()
        return WishOutcome.ALONE

    def reprice(self, offer: OfferId, price: PricePerGpuHour | None) -> WishOutcome:
        """Ask another price for one of our offers, until the inventory's file declares another; None: the file's again. Raises NotFound."""
        report, desk = self.journal.desk.report(), self.journal.desk
        listed = next((one for one in self._offers(self.market.chain.head()) if one.id == offer), None)
        if listed is None:
            raise NotFound("offer of this provider", str(offer))
        declared = (report.declared if report else {}).get(offer, listed.price)
        wish = desk.ask(offer, None if price is None else AskedPrice(price, declared))
        try:
            home = AgentHome(self._home)
        except HomeInUse:
            return self._heeded(wish)
        try:
            head = self.market.chain.head()
            if listed.is_alive(head.timestamp):
                self._lister().reprice(listed, declared if price is None else price)
        finally:
            home.close()
        return WishOutcome.ALONE

    def await_end(self, seconds: float) -> bool:
        """Wait until no agent runs any more, at most so long; whether none does."""
        return _until(lambda: not holder_of(self._home), seconds)

    def _heeded(self, wish: Wishes) -> WishOutcome:
        def is_heeded() -> bool:
            report = self.journal.desk.report()
            return not holder_of(self._home) or (report is not None and report.heeded >= wish.number)

        return WishOutcome.HEEDED if _until(is_heeded, HEEDED_SECONDS) else WishOutcome.WAITING

    def _lister(self) -> Lister:
        return Lister(self, Wanted(Inventory(()), is_open=False))

    def _offers(self, head: BlockRef) -> tuple[Offer, ...]:
        found = self.market.offers_of([row.offer for row in self.journal.listings()], head)
        return tuple(offer for offer in found.values() if offer and offer.provider == self.account)

    def _attended(
        self, serving: Serving, leases: Mapping[Bytes32, Lease], offers: Mapping[OfferId, Offer | None]
    ) -> Attended:
        lease, offer = leases[serving.lease], offers[serving.offer]
        is_ours = lease.status.is_live and lease.opened_at == serving.opened_at
        lock = lock_of(serving.order, serving.price)
        held = bond_of(lock, offer.bond_bps, self.terms.bond_floor) if offer and is_ours else 0
        return Attended(serving, lease, offer.gpu_class if offer else None, TokenUnits(held))


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it comes true within so many seconds."""
    waiting, deadline = threading.Event(), monotonic() + seconds
    while not condition():
        if monotonic() >= deadline:
            return False
        waiting.wait(_LOOK_AGAIN_SECONDS)
    return True
