"""What holds for every plan, whatever the market and wherever orders sat before: checked against the contract's own rules, applied fill by fill."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.domain.book import BookOrder
from marketplace.domain.fills import Fill, FillFacts, refusal_of_fill
from marketplace.domain.fitting import Pair, reason_against, reason_against_order
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.leases import NO_LEASE
from marketplace.domain.offers import Offer
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import UnixTime
from scheduler.engine.clear import clear
from scheduler.engine.documents.plan import Plan
from scheduler.engine.documents.snapshot import Snapshot
from tests.unit.engine.markets import NOW, TERMS, snapshots

MANY = settings(max_examples=200, deadline=None)


@dataclass
class Book:
    """A slow, independent twin of the contract's books: what is free after some fills."""

    offers: dict[OfferId, Offer]
    balances: dict[Address, int]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Book:
        book = cls({offer.id: offer for offer in snapshot.view.offers}, dict(snapshot.view.accounts))
        for fill in snapshot.posted:
            book.open(snapshot, fill)
        return book

    def refusal_of(self, snapshot: Snapshot, fill: Fill, at: UnixTime) -> Refusal | None:
        offer = self.offers.get(fill.offer)
        lease = _lease(snapshot, fill)
        free, provider = self.balances.get(fill.signed.order.client, 0), offer.provider if offer else None
        facts = FillFacts(at, snapshot.opener, lease, offer, free, self.balances.get(provider, 0))
        return refusal_of_fill(fill, facts, TERMS)

    def open(self, snapshot: Snapshot, fill: Fill) -> None:
        """Lock as ``open`` does, but keep the tip from the opener."""
        order, offer = fill.signed.order, self.offers[fill.offer]
        tip = 0 if _lease(snapshot, fill).tip_paid else order.tip
        locked = lock_of(order, fill.price)
        self.balances[order.client] = self.balances.get(order.client, 0) - locked - tip
        bond = bond_of(locked, offer.bond_bps, TERMS.bond_floor)
        self.balances[offer.provider] = self.balances.get(offer.provider, 0) - bond
        self.offers[offer.id] = replace(offer, free=offer.free - order.gpus)


def _lease(snapshot: Snapshot, fill: Fill) -> Any:
    record = snapshot.view.leases.get(fill.signed.id)
    return record.lease if record else NO_LEASE


def _times(snapshot: Snapshot) -> tuple[UnixTime, UnixTime]:
    now = snapshot.head.timestamp if snapshot.head else NOW
    return UnixTime(now + 1), UnixTime(now + 5)


@MANY
@given(snapshots())
def test_every_order_ends_in_exactly_one_placement_or_explanation(snapshot: Snapshot) -> None:
    """No order is lost, none is answered twice, and none is invented."""
    plan = clear(snapshot)

    answered = [fill.signed.id for fill in plan.fills] + [why.order for why in plan.rejections]
    assert sorted(order.id for order in snapshot.view.orders) == sorted(answered)
    assert answered == [why.order for why in plan.explanations]
    assert [why.order for why in plan.rejections] == sorted(why.order for why in plan.rejections)


@MANY
@given(snapshots())
def test_every_fill_would_be_taken_by_the_contract_in_the_order_of_the_plan(snapshot: Snapshot) -> None:
    """P-20 holds for each fill after those before it, at the earliest and at the latest second of its mining."""
    plan = clear(snapshot)

    for at in _times(snapshot):
        book = Book.of(snapshot)
        for fill in plan.fills:
            assert book.refusal_of(snapshot, fill, at) is None
            book.open(snapshot, fill)


@MANY
@given(snapshots())
def test_a_plan_never_uses_more_gpus_than_are_free(snapshot: Snapshot) -> None:
    """I-3: the GPUs of all fills on an offer, those posted before included, fit into what was free."""
    plan = clear(snapshot)

    for offer in snapshot.view.offers:
        planned = sum(fill.signed.order.gpus for fill in plan.fills if fill.offer == offer.id)
        posted = sum(fill.signed.order.gpus for fill in snapshot.posted if fill.offer == offer.id)
        assert planned == 0 or planned + posted <= offer.free


@MANY
@given(snapshots())
def test_prices_stay_between_ask_and_limit(snapshot: Snapshot) -> None:
    """I-4: never below what the offer asks, never above what the order allows."""
    asks = {offer.id: offer.price for offer in snapshot.view.offers}
    plan = clear(snapshot)

    for fill in plan.fills:
        assert asks[fill.offer] <= fill.price <= fill.signed.order.max_price


@MANY
@given(snapshots())
def test_a_plan_never_spends_more_than_an_account_has(snapshot: Snapshot) -> None:
    """All locks, tips and bonds of one address together, in whatever roles, are covered by its balance."""
    plan = clear(snapshot)

    book = Book.of(snapshot)
    before = dict(book.balances)
    for fill in plan.fills:
        book.open(snapshot, fill)
    for who, left in book.balances.items():
        assert left >= 0 or left == before.get(who, 0)


@MANY
@given(snapshots(), st.randoms(use_true_random=False))
def test_equal_snapshots_give_equal_bytes_whatever_the_order_of_their_rows(
    snapshot: Snapshot, shuffler: random.Random
) -> None:
    """A round can be replayed bit for bit from its rows, and its hash is the same."""
    plan, replayed = clear(snapshot), clear(_shuffled(snapshot, shuffler))

    assert (plan.fills, plan.prices, plan.explanations) == (replayed.fills, replayed.prices, replayed.explanations)
    assert plan.canonical() == replayed.canonical()
    assert plan.round == replayed.round


@MANY
@given(snapshots())
def test_an_order_waits_only_if_no_single_offer_is_left_for_it(snapshot: Snapshot) -> None:
    """Maximality, by brute force: after the plan, no offer that is left holds for a waiting order at what its equals cost, or at its own ask
    where none of them sold."""
    plan = clear(snapshot)
    book, posted = Book.of(snapshot), {fill.signed.id for fill in snapshot.posted}
    for fill in plan.fills:
        book.open(snapshot, fill)
    waiting = {why.order for why in plan.rejections} - posted

    for order in snapshot.view.orders:
        if order.id in waiting:
            left = [offer for offer in snapshot.view.offers if _could_serve(snapshot, book, plan, order, offer)]
            # An offer that asks more than its equals cost would make them dearer, for orders that may not be able to pay that.
            assert not [offer.id for offer in left if offer.price <= _cost_of_such(snapshot, plan, offer)]


def _cost_of_such(snapshot: Snapshot, plan: Plan, offer: Offer) -> int:
    """The highest price paid on offers of its class; its ask where none was."""
    offers = {one.id: one for one in snapshot.view.offers}
    paid = [fill.price for fill in plan.fills if offers[fill.offer].gpu_class == offer.gpu_class]
    return max(paid, default=offer.price)


@MANY
@given(snapshots())
def test_the_reasons_of_a_waiting_order_count_every_offer_once(snapshot: Snapshot) -> None:
    """An explanation accounts for every offer, or names the one reason that makes offers irrelevant."""
    plan = clear(snapshot)

    for why in plan.rejections:
        assert sum(why.reasons.values()) in (1, len(snapshot.view.offers))
        assert why.nearest_miss


def _shuffled(snapshot: Snapshot, shuffler: random.Random) -> Snapshot:
    def mixed(rows: Mapping[Any, Any]) -> dict[Any, Any]:
        return dict(shuffler.sample(list(rows.items()), len(rows)))

    view = snapshot.view
    changed = replace(
        view, orders=tuple(shuffler.sample(view.orders, len(view.orders))), accounts=mixed(view.accounts),
        offers=tuple(shuffler.sample(view.offers, len(view.offers))), heartbeats=mixed(view.heartbeats),
        leases=mixed(view.leases), machines=mixed(view.machines),
        refused={order: tuple(reversed(rows)) for order, rows in mixed(view.refused).items()},
    )  # fmt: skip
    return replace(snapshot, view=changed, posted=tuple(reversed(snapshot.posted)), declined=mixed(snapshot.declined))


def _could_serve(snapshot: Snapshot, book: Book, plan: Plan, order: BookOrder, offer: Offer) -> bool:
    """The whole question in one plain place, without the engine."""
    price = max(offer.price, min(order.signed.order.max_price, _cost_of_such(snapshot, plan, offer)))
    fill = Fill(order.signed, offer.id, price)
    if any(book.refusal_of(snapshot, fill, at) for at in _times(snapshot)):
        return False
    given, refused = snapshot.circumstances, snapshot.view.refused.get(order.id, ())
    declined = {who for who, at in snapshot.declines_of(order).items() if given.is_declined_lately(at)}
    lately = {row.offer for row in refused if given.is_refused_lately(row)}
    return (
        reason_against_order(order, snapshot.view, snapshot.lease_of(order.id), refused, given) is None
        and reason_against(Pair.of(order, snapshot.offer_row(book.offers[offer.id])), given, declined, lately) is None
    )
