"""Explanations against the rules: reasons recomputed in plain words for every order of wild markets, and sentences held against the plan's numbers."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings

from marketplace.domain.book import BookOrder, Explanation, RejectionReason
from marketplace.domain.fitting import Pair, reason_against
from marketplace.domain.ids import Bytes32
from marketplace.domain.offers import Offer
from marketplace.domain.units import GpuCount, text_from_units
from scheduler.engine.clear import clear
from scheduler.engine.documents.plan import Plan
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.explain import NEARNESS
from scheduler.engine.funds.balances import Remaining
from scheduler.engine.matching.checks import reason_against_order
from tests.unit.engine.wild import group_of, wild_market, wild_markets

R = RejectionReason
MANY = settings(max_examples=150, deadline=None)


@MANY
@given(wild_markets())
def test_the_reasons_are_those_that_the_rules_give(snapshot: Snapshot) -> None:
    """Offer by offer: the first check that fails, then room and price; and what became of those that fit."""
    plan = clear(snapshot)
    left = Remaining(snapshot)
    left.take_all(plan.fills)
    placed = {fill.signed.id for fill in plan.fills}

    for order in snapshot.view.orders:
        told = plan.explanation(order.id)
        hopeless = reason_against_order(snapshot, order)
        if hopeless:
            assert dict(told.reasons) == {hopeless: 1}
        elif group_of(order) is None:
            assert Counter(told.reasons) == _expected(snapshot, order, left, is_placed=order.id in placed)


@MANY
@given(wild_markets())
def test_a_placement_is_told_with_the_numbers_of_its_fill(snapshot: Snapshot) -> None:
    """The offer, the price, how many offers could have served it, and its ask where that is another price."""
    plan, offers = clear(snapshot), {offer.id: offer for offer in snapshot.view.offers}

    for fill in plan.fills:
        told, fits = (
            plan.explanation(fill.signed.id),
            len(offers) - sum(plan.explanation(fill.signed.id).reasons.values()),
        )
        assert told.placed_on == fill.offer
        assert told.nearest_miss.startswith(f"offer {fill.offer} at {_price(snapshot, fill.price)}, ")
        assert ("the only offer" if fits == 1 else f"among {fits} offers") in told.nearest_miss
        ask = offers[fill.offer].price
        assert (f"it asks {_price(snapshot, ask)}, such GPUs cleared at " in told.nearest_miss) == (fill.price != ask)


@MANY
@given(wild_markets())
def test_the_nearest_miss_is_the_nearest_and_counts_are_those_of_the_reasons(snapshot: Snapshot) -> None:
    """Every offer is counted once; limits and asks are as people write them, at six decimals and at eighteen."""
    plan = clear(snapshot)

    for told in plan.rejections:
        assert sum(told.reasons.values()) in (1, len(snapshot.view.offers))
        if sum(told.reasons.values()) == len(snapshot.view.offers) and set(told.reasons) <= set(NEARNESS):
            assert next(iter(told.reasons)) == min(told.reasons, key=NEARNESS.index)
        _check_words(snapshot, plan, told)


def _check_words(snapshot: Snapshot, plan: Plan, told: Explanation) -> None:
    order = next(order for order in snapshot.view.orders if order.id == told.order)
    asks = [_price(snapshot, offer.price) for offer in snapshot.view.offers]
    limit = text_from_units(order.signed.order.max_price, snapshot.terms.token_decimals)
    dear = re.match(r"cheapest feasible offer asks (.*?), your limit is ([\d.]+)", told.nearest_miss)
    if dear:
        assert dear[1] in asks
        assert dear[2] == limit
    outbid = re.match(r"(\d+) feasible offers?, from (.*?), went to", told.nearest_miss)
    if outbid:
        assert int(outbid[1]) == told.reasons[R.OUTBID]
        assert outbid[2] in asks


def test_an_order_that_is_not_on_the_book_has_no_explanation() -> None:
    """It raises KeyError."""
    with pytest.raises(KeyError):
        clear(wild_market(random.Random(1))).explanation(Bytes32("0x" + "00" * 32))


def test_a_price_below_the_clearing_price_is_explained_by_the_limit_that_holds_it_down() -> None:
    """At least one fill of many markets pays its own limit and is told so; nothing else holds a price down."""
    said = Counter[str]()
    for seed in range(300):
        snapshot = wild_market(random.Random(seed))
        plan = clear(snapshot)
        for fill in plan.fills:
            words = plan.explanation(fill.signed.id).nearest_miss
            said["limit"] += (is_limit := "what your limit allows" in words)
            assert not is_limit or fill.price == fill.signed.order.max_price

    assert said["limit"] > 0


def _price(snapshot: Snapshot, units: int) -> str:
    return f"{text_from_units(units, snapshot.terms.token_decimals)} {snapshot.terms.token_symbol}/GPU-h"


def _expected(snapshot: Snapshot, order: BookOrder, left: Remaining, *, is_placed: bool) -> Counter[RejectionReason]:
    found = Counter[RejectionReason]()
    at_first = Remaining(snapshot)
    for offer in snapshot.view.offers:
        reason = _against(snapshot, order, offer, at_first.free_of(offer.id))
        if reason is None and not is_placed:
            reason = left.reason_against(order.signed, offer, offer.price)
            if reason is R.OVER_BUDGET:
                return Counter({R.OVER_BUDGET: 1})
            reason = R.OUTBID if reason in (None, R.NOT_ENOUGH_GPUS) else reason
        if reason:
            found[reason] += 1
    return found


def _against(snapshot: Snapshot, order: BookOrder, offer: Offer, free: GpuCount) -> RejectionReason | None:
    """The rulebook's first reason against this pair."""
    given = snapshot.circumstances
    declined = {who for who, at in snapshot.declines_of(order).items() if given.is_declined_lately(at)}
    refused = {row.offer for row in snapshot.view.refused.get(order.id, ()) if given.is_refused_lately(row)}
    return reason_against(Pair.of(order, snapshot.offer_row(replace(offer, free=free))), given, declined, refused)
