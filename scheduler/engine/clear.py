"""One round: snapshot in, plan out. Every order of the book ends in exactly one placement or one explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from marketplace.domain.book import BookOrder, Explanation, RejectionReason
from marketplace.domain.models import Fill, Offer
from scheduler.engine.explain import explain_order, explain_placed, explain_waiting
from scheduler.engine.feasible import Candidate, candidates_of, reason_against_order
from scheduler.engine.plan import Placement, Plan
from scheduler.engine.price import fill_price
from scheduler.engine.remaining import Remaining
from scheduler.engine.snapshot import Snapshot


class Clearing(Protocol):
    """How a round chooses among feasible pairs. It decides who gets what; what is feasible was decided before."""

    def place(self, snapshot: Snapshot, candidates: Sequence[Candidate]) -> tuple[Fill, ...]:
        """At most ``policy.max_fills`` fills, at most one per candidate on its fitting offers, that hold in this order.

        ``candidates`` come by order id, so that equal snapshots ask the same question.
        """
        ...


class GreedyClearing:
    """Price priority, then time: the order with the highest limit takes the cheapest offer that is left for it.

    Correct and quick, not optimal: where gangs of different sizes compete it misses a few percent of the best surplus.
    What it leaves unplaced really has no offer left (maximality), because what remains only ever shrinks.
    """

    def place(self, snapshot: Snapshot, candidates: Sequence[Candidate]) -> tuple[Fill, ...]:
        remaining, fills = Remaining(snapshot), list[Fill]()
        for candidate in sorted(candidates, key=_priority):
            if len(fills) >= snapshot.policy.max_fills:
                break
            fill = _cheapest_that_holds(candidate, remaining)
            if fill is not None:
                remaining.take(fill)
                fills.append(fill)
        return tuple(fills)


GREEDY = GreedyClearing()


def _priority(candidate: Candidate) -> tuple[int, int, str]:
    """Highest limit first, then who came first; then the id, so that equal books give equal plans."""
    order = candidate.order
    return -order.signed.order.max_price, order.accepted_at, order.id


def _cheapest_that_holds(candidate: Candidate, remaining: Remaining) -> Fill | None:
    signed = candidate.order.signed
    for offer in candidate.fitting:
        price = fill_price(offer)
        if remaining.reason_against(signed, offer, price) is None:
            return Fill(signed, offer.id, price)
    return None


def clear(snapshot: Snapshot, clearing: Clearing = GREEDY) -> Plan:
    """The plan of this round. Equal snapshots give equal plans, bit for bit, in whatever order their rows come."""
    offers = _offers_left(snapshot)
    turned_away, open_orders = _orders_by_standing(snapshot)
    candidates = list(candidates_of(snapshot, open_orders, offers))
    fills = clearing.place(snapshot, candidates)
    placements, waiting = _told(snapshot, candidates, fills)
    return Plan(
        block=snapshot.view.block,
        chain_id=snapshot.terms.chain_id,
        market=snapshot.terms.market,
        opener=snapshot.opener,
        snapshot=snapshot.sha256,
        placements=placements,
        rejections=tuple(sorted((*turned_away, *waiting), key=lambda why: why.order)),
    )


def _offers_left(snapshot: Snapshot) -> list[Offer]:
    """The offers by number, less the GPUs that our own latest fills took."""
    remaining = Remaining(snapshot)
    offers = sorted(snapshot.view.offers, key=lambda offer: offer.id)
    return [replace(offer, free=remaining.free_of(offer.id)) for offer in offers]


def _orders_by_standing(snapshot: Snapshot) -> tuple[list[Explanation], list[BookOrder]]:
    """Those that no offer could serve now, explained; and the rest, by id."""
    posted = {fill.signed.id: fill.offer for fill in snapshot.posted}
    turned_away, rest = list[Explanation](), list[BookOrder]()
    for order in sorted(snapshot.view.orders, key=lambda order: order.id):
        reason = RejectionReason.ORDER_LIVE if order.id in posted else reason_against_order(snapshot, order)
        if reason is None:
            rest.append(order)
        else:
            turned_away.append(explain_order(snapshot, order, reason, posted.get(order.id)))
    return turned_away, rest


def _told(
    snapshot: Snapshot, candidates: list[Candidate], fills: tuple[Fill, ...]
) -> tuple[tuple[Placement, ...], list[Explanation]]:
    """Each candidate's story, judged by what is left after the whole plan."""
    by_order = {candidate.order.id: candidate for candidate in candidates}
    placements = tuple(Placement(fill, explain_placed(snapshot, by_order[fill.signed.id], fill)) for fill in fills)
    remaining, placed = Remaining(snapshot), {fill.signed.id for fill in fills}
    remaining.take_all(fills)
    is_full = len(fills) >= snapshot.policy.max_fills
    waiting = [candidate for candidate in candidates if candidate.order.id not in placed]
    return placements, [explain_waiting(snapshot, candidate, remaining, is_full) for candidate in waiting]
