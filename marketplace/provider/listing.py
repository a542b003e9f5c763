"""Bringing the chain's listings in line with the inventory: list what is missing, reprice what changed, withdraw the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from marketplace.chain import verbs
from marketplace.chain.market import MarketContract
from marketplace.chain.transactions import Sender
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainUnavailable
from marketplace.domain.events import OfferListed
from marketplace.domain.ids import Address, OfferId, bytes32_of
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.pricing import bond_of, locked_rounded_up
from marketplace.domain.units import (
    SECONDS_PER_HOUR,
    GpuCount,
    PricePerGpuHour,
    Seconds,
    TokenUnits,
    UnixTime,
    text_from_units,
)
from marketplace.provider.inventory import Inventory, InventoryOffer
from marketplace.provider.twice_told import TwiceTold
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.wishes import AskedPrice

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be on offer: the inventory, at its prices or those that were asked for since, or nothing at all."""

    inventory: Inventory
    is_open: bool = True
    """Otherwise every offer is withdrawn, so that no lease opens on it; those that are open go on."""
    prices: Mapping[OfferId, AskedPrice] = field(default_factory=dict)
    unfit: frozenset[InventoryOffer] = frozenset()
    """Parts whose GPUs are not there, or not what they should be (``gpus.rig``): not on offer until they are."""

    def price_of(self, part: InventoryOffer, offer: OfferId) -> PricePerGpuHour:
        """The price asked for, until the inventory declares another than the one that it replaced."""
        asked = self.prices.get(offer)
        return asked.price if asked and asked.instead_of == part.price else part.price


class Tools(Protocol):
    """What listing takes of a ``Toolbox``: a command that lists has no more than this."""

    @property
    def market(self) -> MarketContract: ...
    @property
    def sender(self) -> Sender: ...
    @property
    def account(self) -> Address: ...
    @property
    def desk(self) -> Address: ...
    def is_pledged(self, at: BlockRef) -> bool: ...
    @property
    def journal(self) -> AgentJournal: ...
    @property
    def terms(self) -> MarketTerms: ...


@dataclass(frozen=True, slots=True)
class ListingPlan:
    """What is to be sent, and which listing stands for which part of the inventory already."""

    standing: tuple[tuple[InventoryOffer, Offer], ...]
    missing: tuple[InventoryOffer, ...]
    to_reprice: tuple[tuple[InventoryOffer, Offer], ...]
    to_withdraw: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class ListingReport:
    """How the listings stand, and whether the free balance can carry the bonds of leases on them."""

    wanted: Wanted
    """What they were brought in line with."""
    offers: tuple[tuple[InventoryOffer, Offer], ...]
    free_balance: TokenUnits
    advised_balance: TokenUnits
    """Enough for the bonds when every GPU is let, alone and for an hour. Longer leases lock more, in proportion."""

    @property
    def to_deposit(self) -> TokenUnits:
        return TokenUnits(max(0, self.advised_balance - self.free_balance))


def is_listing_of(offer: Offer, wanted: InventoryOffer) -> bool:
    """Whether this listing is that part of the inventory: all that ``reprice`` cannot change is equal."""
    return (offer.gpu_class, offer.gpus, offer.bond_bps, offer.arbiter, offer.min_seconds, offer.spec) == (
        wanted.gpu.number, wanted.count, wanted.bond_bps, wanted.arbiter, wanted.min_seconds, bytes32_of(wanted.machine.sha256),
    )  # fmt: skip


def plan_listings(wanted: Wanted, listed: Sequence[Offer], now: UnixTime) -> ListingPlan:
    """Compare; pure. Of several listings that fit, one that is alive is kept: its leases and its record are its own."""
    left = sorted(listed, key=lambda offer: (not offer.is_alive(now), offer.id))
    standing: list[tuple[InventoryOffer, Offer]] = []
    missing: list[InventoryOffer] = []
    for part in (part for part in wanted.inventory.offers if part not in wanted.unfit):
        found = next((offer for offer in left if is_listing_of(offer, part)), None)
        if found is None:
            missing.append(part)
        else:
            left.remove(found)
            standing.append((part, found))
    if not wanted.is_open:
        return ListingPlan(tuple(standing), (), (), tuple(offer for offer in listed if offer.is_alive(now)))
    changed = [pair for pair in standing if _terms(wanted, *pair, now) != (pair[1].price, pair[1].expires_at)]
    unwanted = [offer for offer in left if offer.is_alive(now)]
    return ListingPlan(tuple(standing), tuple(missing), tuple(changed), tuple(unwanted))


def _terms(wanted: Wanted, part: InventoryOffer, offer: Offer, now: UnixTime) -> tuple[int, UnixTime]:
    return wanted.price_of(part, offer.id), part.term.expiry(now, offer.expires_at)


def advised_balance(inventory: Inventory, terms: MarketTerms) -> TokenUnits:
    """The bonds of one hour-long lease on every single GPU of the inventory."""
    bonds = (
        offer.count * bond_of(_hour(offer), offer.bond_bps, terms.bond_floor) for offer in inventory.offers
    )  # fmt: skip
    return TokenUnits(sum(bonds))


def _hour(offer: InventoryOffer) -> TokenUnits:
    return locked_rounded_up(offer.price, GpuCount(1), Seconds(SECONDS_PER_HOUR))


class Lister:
    """Keeps one key's listings. ``bring_up_to_date`` is a chore: it sends, and waits until what it sent is mined."""

    def __init__(self, tools: Tools, wanted: Wanted) -> None:
        self._tools = tools
        self.wanted = wanted
        """May be another at any time; what is under way finishes with the one that it began with."""
        self._by_offer: dict[OfferId, InventoryOffer] = {}
        self._strangers: dict[OfferId, TwiceTold] = {}
        """Offers that are journalled as ours and that the contract says are somebody else's."""

    def standing(self) -> dict[OfferId, InventoryOffer]:
        """Which listing stands for which part of the inventory, as far as the last bringing up to date has come."""
        return dict(self._by_offer)

    def inventory_offer(self, offer: OfferId, gpus: GpuCount) -> InventoryOffer | None:
        """The part of the inventory that serves leases on this listing.

        A listing that was replaced since has no part of its own any more: leases on it are served by any part of its class.
        """
        found = self._by_offer.get(offer)
        if found is None:
            listed = self._tools.market.offer_of(offer)
            same = [part for part in self.wanted.inventory.offers if listed and part.gpu.number == listed.gpu_class]
            found = next((part for part in same if part.count >= gpus), None)
        return found if found and found.count >= gpus else None

    def bring_up_to_date(self, head: BlockRef) -> ListingReport:
        """List, reprice, withdraw; safe to repeat. Raises ChainError."""
        whole = self.wanted
        plan = plan_listings(whole, self._ours(head), head.timestamp)
        self._by_offer = {offer.id: wanted for wanted, offer in plan.standing}
        if self._tools.is_pledged(head):
            # All offers have expired, and none comes back until the creditor releases it.
            _log.info("company.pledged", company=self._tools.account)
            return self._report(whole, plan.standing)
        # The old go before the new come: capacity must not be on offer twice.
        for offer in plan.to_withdraw:
            self._reprice(offer, offer.price, head.timestamp, "offer.withdrawn")
        for wanted, offer in plan.to_reprice:
            self._reprice(offer, *_terms(whole, wanted, offer, head.timestamp), "offer.repriced")
        pairs = (*plan.standing, *((wanted, self._list(wanted, head.timestamp)) for wanted in plan.missing))
        self._by_offer = {offer.id: wanted for wanted, offer in pairs}
        return self._report(whole, pairs)

    def withdraw(self, head: BlockRef) -> tuple[OfferId, ...]:
        """Withdraw every live offer of the key that is journalled; which. Raises ChainError."""
        alive = [offer for offer in self._ours(head) if offer.is_alive(head.timestamp)]
        for offer in alive:
            self._reprice(offer, offer.price, head.timestamp, "offer.withdrawn")
        return tuple(offer.id for offer in alive)

    def reprice(self, offer: Offer, price: PricePerGpuHour) -> None:
        """Another price for a live offer. Raises ChainError."""
        self._reprice(offer, price, offer.expires_at, "offer.repriced")

    def _ours(self, head: BlockRef) -> list[Offer]:
        """The listings that are journalled, as the contract has them. One that it says twice is another's is dropped.

        Raises ChainUnavailable when it says so first: an offer of ours that were dropped by one false word would be listed again.
        """
        journal, account = self._tools.journal, self._tools.account
        found = self._tools.market.offers_of([row.offer for row in journal.listings()], head)
        for offer in [offer for offer in found.values() if offer and offer.provider != account]:
            doubt = self._strangers.setdefault(offer.id, TwiceTold())
            if not doubt.is_sure(head, lambda _: True):
                raise ChainUnavailable(
                    f"the node says that offer {offer.id}, journalled as ours, is {offer.provider}'s"
                )
            _log.warning("offer.not_ours", offer=offer.id, provider=offer.provider)
            journal.remove_listing(offer.id)
            del self._strangers[offer.id]
        ours = [offer for offer in found.values() if offer and offer.provider == account]
        for offer in ours:
            self._strangers.pop(offer.id, None)
        return ours

    def _list(self, wanted: InventoryOffer, now: UnixTime) -> Offer:
        call = verbs.list_offer(
            self._tools.desk, gpu_class=wanted.gpu.number, gpus=wanted.count, bond_bps=wanted.bond_bps,
            price=wanted.price, min_seconds=wanted.min_seconds, expires_at=wanted.term.expiry(now), arbiter=wanted.arbiter,
            spec=bytes32_of(wanted.machine.sha256),
        )  # fmt: skip
        # By what is listed: its expiry is another at every try, and a second offer of the same GPUs is one too many.
        mined = self._tools.sender.send(call, name=f"list {wanted.gpu.number} {wanted.count} {wanted.machine.sha256}")
        listed = (event.offer for event in mined.events if isinstance(event, OfferListed))
        offer = next((offer for offer in listed if offer.provider == self._tools.account), None)
        if offer is None:
            raise ChainUnavailable("the node tells of a listing without its event")
        self._tools.journal.add_listing(offer.id, wanted.machine.sha256)
        _log.info(
            "offer.listed",
            offer=offer.id,
            gpu=wanted.gpu.name,
            gpus=wanted.count,
            price=str(wanted.price),
        )
        return offer

    def _reprice(self, offer: Offer, price: int, expires_at: UnixTime, event: str) -> None:
        self._tools.sender.send(verbs.reprice(self._tools.desk, offer.id, PricePerGpuHour(price), expires_at))
        _log.info(event, offer=offer.id, price=str(price), expires_at=expires_at)

    def _report(self, wanted: Wanted, pairs: tuple[tuple[InventoryOffer, Offer], ...]) -> ListingReport:
        terms = self._tools.terms
        free = self._tools.market.balance_of(self._tools.account)
        report = ListingReport(wanted, pairs, free, advised_balance(wanted.inventory, terms))
        if report.to_deposit and wanted.is_open:
            _log.warning(
                "balance.low", free=text_from_units(free, terms.token_decimals), token=terms.token_symbol,
                deposit=text_from_units(report.to_deposit, terms.token_decimals),
                advice="deposit this much, or leases may find no bond and go elsewhere",
            )  # fmt: skip
        return report
