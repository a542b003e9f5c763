"""The rulebook: whether an offer could serve an order, looking at the pair alone. Every "no" has a typed reason.

Quotes ask it, and the bench; the engine judges a round's orders and offers in columns (``scheduler.engine.matching.checks``), and tests hold these
against it pair by pair, reason by reason. Who gets what, where several could, is for the round; whether it is opened, for the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, BookView, RefusedFill, RejectionReason
from marketplace.domain.budgets import NO_BUDGET
from marketplace.domain.classes import GpuClass
from marketplace.domain.fills import OFFER_RULES, refusal_of_order, refusal_of_signer
from marketplace.domain.ids import Address, OfferId, sha256_in
from marketplace.domain.leases import Lease
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.policy import DEFAULT, Policy, is_silent
from marketplace.domain.refusals import Refusal
from marketplace.domain.spec import Constraints, Machine, Resources
from marketplace.domain.units import Bps, UnixTime

R = RejectionReason

ABOUT_THE_ORDER = frozenset(
    {
        Refusal.BadSignature, Refusal.OverBudget, Refusal.OrderLive, Refusal.OrderClosed, Refusal.OrderExpired,
        Refusal.OpenerNotAllowed, Refusal.TipWithoutOpener, Refusal.BadAmounts, Refusal.TooSoon,
    }
)  # fmt: skip
"""Refused with one of these on one offer, an order would be refused on every other."""
_OF_THE_HOUR = frozenset({Refusal.PriceOutOfBounds, Refusal.NotEnoughGpus})
"""Asked last, and of the round's own count of what is free."""
_UNASKED = Resources()
"""What a spec asks for when it says nothing. Every machine is taken to have that much, described or not."""


@dataclass(frozen=True, slots=True)
class OfferRow:
    """An offer, what its provider says about the machine, the provider's last sign of life (block time), and its score."""

    offer: Offer
    gpu_class: GpuClass | None
    machine: Machine | None
    last_heartbeat: UnixTime | None
    reliability_bps: Bps

    @property
    def vram_mib(self) -> int | None:
        """Of a GPU: the machine's own word, else what its class promises; None where the catalogue lacks the class too."""
        told = self.machine or self.gpu_class
        return told.vram_mib if told else None


def offer_row(offer: Offer, gpu_class: GpuClass | None, view: BookView) -> OfferRow:
    """The offer with all that the view knows of it."""
    return OfferRow(
        offer,
        gpu_class,
        view.machines.get(sha256_in(offer.spec)),
        view.heartbeats.get(offer.provider),
        view.reliability_of(offer.provider),
    )


@dataclass(frozen=True, slots=True)
class Circumstances:
    """From which block on, by whose hand and by what policy a fill is opened."""

    block: BlockRef
    opener: Address
    policy: Policy = DEFAULT

    @property
    def mining_times(self) -> tuple[UnixTime, UnixTime]:
        """The earliest and the latest second at which it may be mined. It has to hold at both."""
        now = self.block.timestamp
        return UnixTime(now + 1), UnixTime(now + max(1, self.policy.mining_margin_seconds))

    def is_refused_lately(self, refused: RefusedFill) -> bool:
        """The contract knows best. Its refusal of a pair holds for a while: nobody pays for the same answer again."""
        return refused.block_number > self.block.number - self.policy.refusal_cooldown_blocks

    def is_declined_lately(self, at: UnixTime) -> bool:
        """An order fails over to the next best provider; back to one that declined it only after a while."""
        return at > self.block.timestamp - self.policy.decline_cooldown_seconds


@dataclass(frozen=True, slots=True)
class Pair:
    """An order, or what is known of one before it is signed, and an offer."""

    order: Order
    asked: Resources
    wanted: Constraints
    row: OfferRow

    @classmethod
    def of(cls, order: BookOrder, row: OfferRow) -> Pair:
        return cls(order.signed.order, order.spec.resources, order.spec.constraints, row)


# An order by itself ---------------------------------------------------------------------------------------------------


def reason_against_order(
    order: BookOrder, view: BookView, lease: Lease, refused: Iterable[RefusedFill], given: Circumstances
) -> RejectionReason | None:
    """The reason, if any, for which no offer at all could serve this order. ``refused``: what the contract said of it, on whatever offer."""
    terms = order.signed.order
    for at in given.mining_times:
        refusal = refusal_of_order(terms, lease, at, given.opener)
        if refusal is None and order.delegate is not None and given.opener != terms.client:
            budget = view.budgets.get((terms.client, order.delegate), NO_BUDGET)
            refusal = refusal_of_signer(terms, order.delegate, budget, at, charged=lease.charged)
        if refusal:
            return RejectionReason.of(refusal)
    recent = {row.offer: row.reason for row in refused if given.is_refused_lately(row)}
    return next((RejectionReason.of(reason) for _, reason in sorted(recent.items()) if reason in ABOUT_THE_ORDER), None)


# A pair ---------------------------------------------------------------------------------------------------------------


def mismatch(pair: Pair, given: Circumstances) -> RejectionReason | None:
    """The first reason, from "not the right thing" to "nearly", for which they do not match, however cheap and free the offer is.

    The contract's rules come first (P-20), at the earliest and the latest second of mining; then the spec's, and silence.
    """
    offer = pair.row.offer
    for refusal, is_broken in OFFER_RULES.items():
        if refusal not in _OF_THE_HOUR and any(
            is_broken(pair.order, offer, at, given.opener) for at in given.mining_times
        ):
            return RejectionReason.of(refusal)
    broken = next((reason for reason, is_broken in SPEC_RULES if is_broken(pair)), None)
    if broken:
        return broken
    return R.PROVIDER_SILENT if is_silent(pair.row.last_heartbeat, given.block.timestamp, given.policy) else None


def reason_against(
    pair: Pair, given: Circumstances, declined: Collection[Address] = (), refused: Collection[OfferId] = ()
) -> RejectionReason | None:
    """The first reason against this pair, room, price and past included. ``declined``: providers that declined the order lately;
    ``refused``: offers on which the contract refused it lately."""
    offer = pair.row.offer
    checks = (
        (offer.free < pair.order.gpus, R.NOT_ENOUGH_GPUS),
        (offer.price > pair.order.max_price, R.PRICE_OUT_OF_BOUNDS),
        (offer.provider in declined, R.DECLINED_BEFORE),
        (offer.id in refused, R.RECENTLY_REFUSED),
    )
    return mismatch(pair, given) or next((reason for is_broken, reason in checks if is_broken), None)


def _is_unwanted(pair: Pair) -> bool:
    wanted, provider = pair.wanted, pair.row.offer.provider
    return (bool(wanted.providers) and provider not in wanted.providers) or provider in wanted.exclude_providers


def _asks_of_machine(pair: Pair) -> bool:
    """A machine without a description is good enough for an order that asks nothing of it."""
    return bool(pair.wanted.regions) or any(
        getattr(pair.asked, name) > getattr(_UNASKED, name) for name in ("cpus", "memory_mib", "disk_mib", "egress_mib")
    )


def _is_elsewhere(pair: Pair) -> bool:
    machine, regions = pair.row.machine, pair.wanted.regions
    return machine is not None and bool(regions) and machine.region not in regions


def _has_too_little(name: str) -> Callable[[Pair], bool]:
    def is_broken(pair: Pair) -> bool:
        machine = pair.row.machine
        return machine is not None and getattr(machine, name) < getattr(pair.asked, name)

    return is_broken


SPEC_RULES: tuple[tuple[RejectionReason, Callable[[Pair], bool]], ...] = (
    (R.PROVIDER_EXCLUDED, _is_unwanted),
    (R.RELIABILITY_TOO_LOW, lambda pair: pair.row.reliability_bps < pair.wanted.min_reliability_bps),
    (R.MACHINE_UNKNOWN, lambda pair: pair.row.machine is None and _asks_of_machine(pair)),
    (R.WRONG_REGION, _is_elsewhere),
    (R.MACHINE_UNKNOWN, lambda pair: pair.asked.vram_mib > 0 and pair.row.vram_mib is None),
    (R.NOT_ENOUGH_VRAM, lambda pair: pair.row.vram_mib is not None and pair.row.vram_mib < pair.asked.vram_mib),
    (R.NOT_ENOUGH_CPUS, _has_too_little("cpus")),
    (R.NOT_ENOUGH_MEMORY, _has_too_little("memory_mib")),
    (R.NOT_ENOUGH_DISK, _has_too_little("disk_mib")),
    (R.NETWORK_NOT_OFFERED, _has_too_little("egress_mib")),
)
"""What specs ask of machines and of those who run them, and when that is not met."""
