"""Rounds that go on from former seats: what they keep, what they give up, and how good they stay."""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import mean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.domain.book import BookOrder, Faults, RefusedFill
from marketplace.domain.ids import OfferId, bytes32_of
from marketplace.domain.refusals import Refusal
from marketplace.domain.spec import Constraints, Group
from marketplace.domain.units import GpuCount, TokenUnits, UnixTime
from scheduler.engine.clear import clear, hold_here
from scheduler.engine.columns import ColumnReader
from scheduler.engine.former import Former
from scheduler.engine.plan import Plan
from scheduler.engine.policy import Policy
from scripts.bench.bound import surplus_of, tight_bound
from scripts.bench.columns import columns_of
from scripts.bench.generators import Trace, Uniform
from tests.unit.engine.markets import (
    BLOCK,
    DOLLAR,
    FAR_MACHINE,
    NO_PLAN,
    NOW,
    PEOPLE,
    SPEC,
    a_snapshot,
    an_offer,
    an_order,
)
from tests.unit.engine.test_fairness import NEVER_OLD, block_of
from tests.unit.engine.test_shards import Apart
from tests.unit.engine.wild import refusals_of, wild_market

SMALL = Uniform(orders=600, offers=100)
MARKETS = (Uniform(orders=4_000, offers=2_100), Trace(orders=4_000, offers=2_100))


small_books_go_on = pytest.mark.usefixtures("small_books_go_on")


def seats_of(plan: Plan) -> set[tuple[str, int]]:
    return {(fill.signed.id, fill.offer) for fill in plan.fills}


def former_of(*seats: tuple[BookOrder, int]) -> Former:
    return Former.of(NO_PLAN, [order.id for order, _ in seats], [OfferId(offer) for _, offer in seats])


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: type(market).__name__)
def test_where_nothing_has_changed_nearly_everybody_stays(market: Uniform) -> None:
    """A round that goes on from its own plan has at least that plan's surplus, and nineteen in twenty of its seats.

    If there are no elders. Where there are, other ones may push aside who pays more.
    """
    snapshot = replace(market.snapshot(7), policy=NEVER_OLD)
    plan = clear(snapshot)
    later = clear(replace(snapshot, former=plan.former()))
    columns = columns_of(snapshot)

    assert surplus_of(columns, later.fills) >= surplus_of(columns, plan.fills)
    assert len(seats_of(later) & seats_of(plan)) >= 0.95 * len(plan.fills)


@small_books_go_on
@pytest.mark.parametrize("sits_on", [1, 2])
def test_who_sits_stays_where_another_seat_is_worth_as_much(sits_on: int) -> None:
    """Two like offers at one price: from nothing the block's lot decides, and here the former seat."""
    order = an_order()
    plan = clear(a_snapshot([order], [an_offer(1), an_offer(2)], former=former_of((order, sits_on))))

    assert [fill.offer for fill in plan.fills] == [sits_on]


@small_books_go_on
@pytest.mark.parametrize(
    ("order", "offer", "market"),
    [
        ({}, {"price": 2 * DOLLAR + 1}, {}),
        ({"gpus": 3}, {"free": GpuCount(2)}, {}),
        ({"spec": replace(SPEC, constraints=Constraints(regions=("us",)))}, {}, {}),
        ({"classes": 2}, {}, {}),
        ({"min_bond_bps": 2_000}, {}, {}),
        ({}, {"expires_at": UnixTime(NOW)}, {}),
        ({}, {}, {"declined": "provider"}),
        ({}, {}, {"refused": "pair"}),
    ],
)
def test_a_seat_that_cannot_be_had_any_more_is_given_up(
    order: dict[str, Any], offer: dict[str, Any], market: dict[str, Any]
) -> None:
    """The offer asks too much now, has less room, does not fit, is over, or the pair has had its chance: the order goes where it can."""
    moved = an_order(**order)
    fits = {"gpu_class": 1} if "classes" in order else {"bond_bps": 2_000} if "min_bond_bps" in order else {}
    spec = {"spec": bytes32_of(FAR_MACHINE.sha256)} if "spec" in order else {}
    other = an_offer(2, provider=PEOPLE[1], **fits, **spec)
    if "declined" in market:
        market = {"declined": {moved.id: {PEOPLE[0]: UnixTime(NOW - 1)}}}
    if "refused" in market:
        market = {"refused": {moved.id: (RefusedFill(OfferId(1), Refusal.NotEnoughGpus, BLOCK.number - 1),)}}
    snapshot = a_snapshot([moved], [an_offer(1, **offer), other], former=former_of((moved, 1)), **market)

    assert [fill.offer for fill in clear(snapshot).fills] == [2]


@small_books_go_on
@pytest.mark.parametrize("gone", ["offer", "order"])
def test_seats_of_who_is_gone_are_nobodys(gone: str) -> None:
    """Seats are known by names and not by places in a list: those of an offer or an order that is not there say nothing of the next one."""
    order, offers = an_order("m"), [an_offer(1), an_offer(3)]
    strangers = [an_order(name) for name in "abcdefgh"]
    former = (
        former_of((order, 2))
        if gone == "offer"
        else former_of(*((one, 1 + n % 2 * 2) for n, one in enumerate(strangers)))
    )
    chosen = set[int]()
    for turn in range(20):
        begins = a_snapshot(
            [order], offers, block=block_of(turn), heartbeats=dict.fromkeys(PEOPLE, block_of(turn).timestamp)
        )
        fills = clear(replace(begins, former=former)).fills
        chosen |= {fill.offer for fill in fills}

        assert fills == clear(begins).fills
    assert chosen == {1, 3}


@small_books_go_on
def test_an_order_that_has_expired_leaves_its_seat_to_others() -> None:
    """Its seat is as free as if it had never sat there."""
    late, other = an_order("late", gpus=4, expires_at=UnixTime(NOW), max_price=3 * DOLLAR), an_order("other", gpus=4)
    plan = clear(a_snapshot([late, other], [an_offer()], former=former_of((late, 1))))

    assert [fill.signed.id for fill in plan.fills] == [other.id]


@small_books_go_on
def test_where_too_many_sat_the_highest_limits_stay() -> None:
    """Three sat on an offer that has room for two now: the others go to the dearer one."""
    one, two, three, four = (an_order(str(limit), max_price=limit * DOLLAR) for limit in (5, 4, 3, 2))
    offers = [an_offer(1, free=GpuCount(2)), an_offer(2, price=2 * DOLLAR - 1)]
    sat = former_of((four, 1), (three, 1), (two, 1), (one, 1))
    plan = clear(a_snapshot([one, two, three, four], offers, former=sat))

    assert seats_of(plan) == {(one.id, 1), (two.id, 1), (three.id, 2), (four.id, 2)}


@small_books_go_on
def test_a_group_has_no_former_seats() -> None:
    """It sits together or not at all: seats with two providers, of a plan that nobody made, are none to keep."""
    linked = [
        an_order(str(rank), gpus=4, max_price=5 * DOLLAR, spec=replace(SPEC, group=Group("ab" * 32, 2, rank)))
        for rank in range(2)
    ]
    other, offers = an_order("other", gpus=4), [an_offer(1), an_offer(2, provider=PEOPLE[1])]
    plan = clear(a_snapshot([*linked, other], offers, former=former_of((linked[0], 1), (linked[1], 2))))

    assert [fill.signed.id for fill in plan.fills] == [other.id]


@small_books_go_on
def test_who_is_served_last_keeps_no_seat_that_another_wants() -> None:
    """Its client's fills have failed since: it takes what is left, though it sat and would pay more."""
    sits = an_order("sits", gpus=4, client=PEOPLE[4], max_price=3 * DOLLAR)
    other = an_order("other", gpus=4)
    faults = {PEOPLE[4]: Faults(Policy().strikes, BLOCK.number)}
    plan = clear(a_snapshot([sits, other], [an_offer()], faults=faults, former=former_of((sits, 1))))

    assert [fill.signed.id for fill in plan.fills] == [other.id]


@small_books_go_on
def test_whose_money_is_gone_has_no_seat() -> None:
    """A limit counts only as far as the client's money goes, whoever sat where."""
    order = an_order()
    poor = dict.fromkeys(PEOPLE, TokenUnits(1_000 * DOLLAR)) | {PEOPLE[-1]: TokenUnits(DOLLAR // 2)}

    assert not clear(a_snapshot([order], [an_offer()], accounts=poor, former=former_of((order, 1)))).fills


@small_books_go_on
def test_a_seat_is_no_defence_against_who_pays_more() -> None:
    """One machine, taken; an order with a higher limit comes and has it."""
    sits, comes = an_order("sits", gpus=4), an_order("comes", gpus=4, max_price=3 * DOLLAR)
    plan = clear(a_snapshot([sits, comes], [an_offer()], former=former_of((sits, 1))))

    assert [fill.signed.id for fill in plan.fills] == [comes.id]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_no_former_seats_make_a_plan_that_the_contract_refuses(seed: int) -> None:
    """Wild markets, and seats that make no sense: offers that are not there, strangers, far more on one machine than it has."""
    draw = random.Random(seed)
    snapshot = wild_market(draw)
    orders: list[BookOrder] = [*snapshot.view.orders, an_order("a stranger")]
    former = former_of(*((order, draw.randint(0, 9)) for order in orders if draw.random() < 0.8))
    going_on = replace(snapshot, former=former)
    turned = replace(going_on.view, orders=snapshot.view.orders[::-1], offers=snapshot.view.offers[::-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scheduler.engine.clear.LARGE", 1)
        plan = clear(going_on)

        assert refusals_of(going_on, plan.fills) == []
        assert plan.canonical() == clear(going_on, Apart(100)).canonical()
        assert plan.canonical() == clear(replace(going_on, view=turned)).canonical()


def test_of_a_plan_of_which_nobody_is_left_nothing_is_kept() -> None:
    """All of its orders have been opened and are gone: the round is one from nothing."""
    snapshot, gone = MARKETS[0].snapshot(1), clear(MARKETS[0].snapshot(2))

    assert clear(replace(snapshot, former=gone.former())).fills == clear(snapshot).fills


def test_a_small_book_begins_from_nothing() -> None:
    """Former seats would save it hardly anything, and be in the way of better ones: its plan has the fills of a round without them."""
    snapshot = SMALL.snapshot(1)
    later = replace(SMALL.churned(snapshot, 1, share=0.05), former=clear(snapshot).former())

    assert clear(later).fills == clear(replace(later, former=None)).fills


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: type(market).__name__)
def test_rounds_that_go_on_for_long_stay_good(market: Uniform) -> None:
    """Twenty of them, of a book of which a twentieth changes each time, are hardly worse than rounds from nothing; and a reader that has seen
    it all makes the plans of one that has not."""
    snapshot, reader = market.snapshot(3), ColumnReader()
    plan, ratios, anew = clear(snapshot, hold_here, reader), list[float](), list[float]()
    for turn in range(20):
        snapshot = replace(market.churned(snapshot, turn, share=0.05), former=plan.former())
        plan = clear(snapshot, hold_here, reader)
        if turn % 4 == 3:
            columns = columns_of(snapshot)
            bound = tight_bound(columns)
            ratios.append(surplus_of(columns, plan.fills) / bound)
            anew.append(surplus_of(columns, clear(replace(snapshot, former=None)).fills) / bound)
            assert clear(snapshot).canonical() == plan.canonical()

    assert mean(ratios) > mean(anew) - 0.004
    assert min(ratios) > 0.985
