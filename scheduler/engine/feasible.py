"""Which offers could serve an order, looking at each pair alone. Every "no" has a typed reason.

A check is a function of (snapshot, order, offer) that answers with the reason against the pair, or None; the tables
at the end are the documentation. Checks know nothing of the round's other orders: who gets what is for the clearing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from marketplace.domain.book import BookOrder, RejectionReason
from marketplace.domain.fills import refusal_of_offer, refusal_of_order
from marketplace.domain.models import Offer
from marketplace.domain.refusals import Refusal
from marketplace.domain.spec import Resources
from marketplace.domain.units import GpuCount
from scheduler.engine.snapshot import Snapshot

Check = Callable[[Snapshot, BookOrder, Offer], RejectionReason | None]
Judgement = tuple[tuple[Offer, ...], tuple[tuple[Offer, RejectionReason], ...]]
"""The offers that fit, and those that do not with the reason."""

ABOUT_THE_ORDER = frozenset(
    {
        Refusal.BadSignature, Refusal.OverBudget, Refusal.OrderLive, Refusal.OrderClosed, Refusal.OrderExpired,
        Refusal.OpenerNotAllowed, Refusal.TipWithoutOpener, Refusal.BadAmounts, Refusal.TooSoon,
    }
)  # fmt: skip
"""Refused with one of these on one offer, an order would be refused on every other."""

_NO_DEMANDS = Resources()
"""What a spec asks for when it says nothing. Every machine is taken to have that much, described or not."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An order that may be opened, the offers that fit it, cheapest first, and the reason against each of the rest."""

    order: BookOrder
    fitting: tuple[Offer, ...]
    against: tuple[tuple[Offer, RejectionReason], ...]


def reason_against_order(snapshot: Snapshot, order: BookOrder) -> RejectionReason | None:
    """The reason, if any, for which no offer at all could serve this order in this round."""
    lease = snapshot.lease_of(order.id)
    for at in snapshot.mining_times:
        refusal = refusal_of_order(order.signed.order, lease, at, snapshot.opener)
        if refusal:
            return RejectionReason.of(refusal)
    recent = _recent_refusals(snapshot, order)
    return next((RejectionReason.of(reason) for _, reason in sorted(recent) if reason in ABOUT_THE_ORDER), None)


def candidates_of(snapshot: Snapshot, orders: list[BookOrder], offers: list[Offer]) -> Iterator[Candidate]:
    """Judge every pair, stage by stage. Orders that ask for the same thing are judged once."""
    judged: dict[object, Judgement] = {}
    for order in orders:
        fitting, against, asked = tuple(offers), list[tuple[Offer, RejectionReason]](), tuple[object, ...]()
        for asks, checks in STAGES:
            asked = (*asked, asks(order))
            if asked not in judged:
                judged[asked] = _judge(snapshot, order, fitting, checks)
            fitting, more = judged[asked]
            against.extend(more)
        yield Candidate(order, fitting, tuple(against))


def _judge(snapshot: Snapshot, order: BookOrder, offers: Iterable[Offer], checks: Iterable[Check]) -> Judgement:
    fitting, against = list[Offer](), list[tuple[Offer, RejectionReason]]()
    for offer in offers:
        reason = _first_reason(snapshot, order, offer, checks)
        if reason is None:
            fitting.append(offer)
        else:
            against.append((offer, reason))
    return tuple(sorted(fitting, key=_cheapest_first)), tuple(against)


def _cheapest_first(offer: Offer) -> tuple[int, int, int]:
    """By ask; of equal asks the one with the fewest GPUs free, so that whole machines stay whole for gangs."""
    return offer.price, offer.free, offer.id


def _first_reason(
    snapshot: Snapshot, order: BookOrder, offer: Offer, checks: Iterable[Check]
) -> RejectionReason | None:
    return next((reason for check in checks if (reason := check(snapshot, order, offer)) is not None), None)


# The checks -----------------------------------------------------------------------------------------------------------


def _terms(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    """The contract's own rules, for any price and any number of GPUs: these two are asked last, order by order."""
    asked = replace(order.signed.order, max_price=offer.price, gpus=GpuCount(0))
    for at in snapshot.mining_times:
        refusal = refusal_of_offer(asked, offer, at, snapshot.opener)
        if refusal:
            return RejectionReason.of(refusal)
    return None


def _provider(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    wanted = order.spec.constraints
    is_wanted = not wanted.providers or offer.provider in wanted.providers
    return None if is_wanted and offer.provider not in wanted.exclude_providers else RejectionReason.PROVIDER_EXCLUDED


def _reliability(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    """What the provider's leases came to so far; a newcomer has the prior's score."""
    asked = order.spec.constraints.min_reliability_bps
    is_low = asked and snapshot.view.reliability_of(offer.provider) < asked
    return RejectionReason.RELIABILITY_TOO_LOW if is_low else None


def _description(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    """A machine without a description is good enough for an order that asks nothing of it."""
    asked = order.spec.resources
    asks = bool(order.spec.constraints.regions) or any(
        getattr(asked, name) > getattr(_NO_DEMANDS, name) for name in ("cpus", "memory_mib", "disk_mib")
    )
    return RejectionReason.MACHINE_UNKNOWN if asks and snapshot.machine_of(offer) is None else None


def _region(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    regions, machine = order.spec.constraints.regions, snapshot.machine_of(offer)
    return RejectionReason.WRONG_REGION if regions and machine and machine.region not in regions else None


def _vram(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    """The machine's own word, else what its class promises; unknown where the catalogue lacks the class too."""
    asked, machine = order.spec.resources.vram_mib, snapshot.machine_of(offer)
    promised = (row.vram_mib for row in snapshot.classes if row.number == offer.gpu_class)
    found = machine.vram_mib if machine else next(promised, None)
    if not asked:
        return None
    if found is None:
        return RejectionReason.MACHINE_UNKNOWN
    return RejectionReason.NOT_ENOUGH_VRAM if found < asked else None


def _enough(name: str, reason: RejectionReason) -> Check:
    def check(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
        machine = snapshot.machine_of(offer)
        return reason if machine and getattr(machine, name) < getattr(order.spec.resources, name) else None

    return check


def _heartbeat(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    """Providers that went away take money and time from their clients before the bond pays them back."""
    last = snapshot.view.heartbeats.get(offer.provider)
    is_heard = last is not None and snapshot.now.timestamp - last <= snapshot.policy.heartbeat_seconds
    return None if is_heard else RejectionReason.PROVIDER_SILENT


def _room(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    """A gang runs on one machine: all GPUs of an order on one offer."""
    return RejectionReason.NOT_ENOUGH_GPUS if offer.free < order.signed.order.gpus else None


def _price(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    return RejectionReason.PRICE_OUT_OF_BOUNDS if offer.price > order.signed.order.max_price else None


def _not_refused(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    """The contract knows best. Its refusal of a pair holds for a while: we do not pay for the same answer again."""
    recent = {refused for refused, _ in _recent_refusals(snapshot, order)}
    return RejectionReason.RECENTLY_REFUSED if offer.id in recent else None


def _not_declined(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    """An order fails over to the next best provider; back to one that declined it only after a while."""
    at = snapshot.declines_of(order).get(offer.provider)
    is_recent = at is not None and snapshot.now.timestamp - at < snapshot.policy.decline_cooldown_seconds
    return RejectionReason.DECLINED_BEFORE if is_recent else None


def _recent_refusals(snapshot: Snapshot, order: BookOrder) -> list[tuple[int, Refusal]]:
    oldest = snapshot.now.number - snapshot.policy.refusal_cooldown_blocks
    rows = snapshot.view.refused.get(order.id, ())
    return [(row.offer, row.reason) for row in rows if row.block_number > oldest]


# The stages -----------------------------------------------------------------------------------------------------------


def _terms_of(order: BookOrder) -> object:
    terms = order.signed.order
    return terms.classes, terms.offer, terms.min_seconds, terms.min_bond_bps, terms.starts_at, terms.arbiter


def _demands_of(order: BookOrder) -> object:
    return order.spec.resources, order.spec.constraints


def _size_of(order: BookOrder) -> object:
    return order.signed.order.gpus, order.signed.order.max_price


def _id_of(order: BookOrder) -> object:
    return order.id


STAGES: tuple[tuple[Callable[[BookOrder], object], tuple[Check, ...]], ...] = (
    (_terms_of, (_terms,)),
    (
        _demands_of,
        (
            _provider,
            _reliability,
            _description,
            _region,
            _vram,
            _enough("cpus", RejectionReason.NOT_ENOUGH_CPUS),
            _enough("memory_mib", RejectionReason.NOT_ENOUGH_MEMORY),
            _enough("disk_mib", RejectionReason.NOT_ENOUGH_DISK),
            _heartbeat,
        ),
    ),
    (_size_of, (_room, _price)),
    (_id_of, (_not_declined, _not_refused)),
)
"""All of an order that the checks look at, and the checks. From "not the right thing" to "nearly": the first reason found is told, so
the last ones are the nearest misses."""
