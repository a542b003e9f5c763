"""Fairness over many rounds: nobody starves who would pay the price, equal offers have equal shares, and names and pieces gain nothing."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Bytes32, ClassNumber
from marketplace.domain.offers import Offer
from marketplace.domain.policy import Policy
from marketplace.domain.spec import Group, JobSpec
from marketplace.domain.units import Bps, Seconds, TokenUnits, UnixTime
from scheduler.engine.clear import clear
from scheduler.engine.documents.snapshot import Snapshot
from tests.unit.engine.markets import BLOCK, DOLLAR, NOW, PEOPLE, a_snapshot, an_offer, an_order
from tests.works import WORK

ROUND_SECONDS = 600
PATIENT = Policy(patience_seconds=Seconds(3_600), credit_bps=Bps(10_000))
"""Its overdue orders may cost the whole market: when they are placed is decided by their turn alone."""
NEVER_OLD = Policy(patience_seconds=Seconds(10**9))
ROUNDS_OF_PATIENCE = PATIENT.patience_seconds // ROUND_SECONDS


def block_of(turn: int) -> BlockRef:
    word = Bytes32("0x" + hashlib.sha256(str(turn).encode()).hexdigest())
    return BlockRef(BLOCK.number + turn, word, UnixTime(NOW + turn * ROUND_SECONDS))


def snapshot_of(turn: int, orders: Sequence[BookOrder], offers: Sequence[Offer], policy: Policy) -> Snapshot:
    """The market of one round: everybody is rich and alive."""
    block = block_of(turn)
    offers = [replace(offer, expires_at=UnixTime(block.timestamp + 10_000)) for offer in offers]
    accounts = dict.fromkeys(PEOPLE, TokenUnits(10**6 * DOLLAR))
    return a_snapshot(
        orders, offers, block=block, accounts=accounts, heartbeats=dict.fromkeys(PEOPLE, block.timestamp), policy=policy
    )


def served_in(
    waiting: Sequence[BookOrder],
    newcomers: Callable[[int], list[BookOrder]],
    offers: Sequence[Offer],
    policy: Policy,
    rounds: int = 40,
) -> dict[Bytes32, int]:
    """Round by round: who of ``waiting`` was served in which. Newcomers that are not served go away; leases last a round."""
    turns, left = dict[Bytes32, int](), list(waiting)
    for turn in range(rounds):
        plan = clear(snapshot_of(turn, [*left, *newcomers(turn)], offers, policy))
        placed = {fill.signed.id for fill in plan.fills}
        turns |= {order.id: turn for order in left if order.id in placed}
        left = [order for order in left if order.id not in placed]
    return turns


def _new(turn: int, count: int, **changes: Any) -> list[BookOrder]:
    at = NOW + turn * ROUND_SECONDS
    return [
        an_order(f"new {turn} {n}", client=PEOPLE[4], accepted_at=at, expires_at=UnixTime(at + 999), **changes)
        for n in range(count)
    ]


def _waiting(count: int, name: str = "waiting", **changes: Any) -> list[BookOrder]:
    return [
        an_order(f"{name} {n}", accepted_at=NOW - count + n, expires_at=UnixTime(NOW + 10**7), **changes)
        for n in range(count)
    ]


STREAMS: dict[str, tuple[dict[str, Any], int, dict[str, Any]]] = {
    # What waits; how many come in each round, and what they are. There are two machines of four GPUs.
    "small behind small": ({}, 8, {"max_price": 2 * DOLLAR + 1}),
    "small behind large": ({}, 2, {"gpus": 4, "max_price": 2 * DOLLAR + 1}),
    "a gang behind small": ({"gpus": 4}, 8, {"max_price": 2 * DOLLAR + 1}),
    "a gang behind gangs": ({"gpus": 3}, 2, {"gpus": 4, "max_price": 3 * DOLLAR}),
}


@pytest.mark.parametrize("stream", STREAMS)
def test_nobody_starves_whose_limit_meets_the_price(stream: str) -> None:
    """The n-th of those who wait, by age, is served within rounds of patience + ceil(n / overdue orders a round) + 1, counted from its acceptance, if its credit covers it.

    Overdue orders a round: max(1, placements × elders_per_thousand / 1,000), here one; n also counts those who pay more and are not placed yet. All newcomers pay more than any who waits, and take all
    there is: without ageing none who waits is ever served. The highest limit left out is the price, so theirs meet it.
    """
    changes, count, others = STREAMS[stream]
    waiting, offers = _waiting(3, **changes), [an_offer(1), an_offer(2)]

    turns = served_in(waiting, lambda turn: _new(turn, count, **others), offers, PATIENT)
    assert len(turns) == 3
    for n, order in enumerate(waiting, 1):
        assert turns[order.id] <= ROUNDS_OF_PATIENCE + n + 1
    assert served_in(waiting, lambda turn: _new(turn, count, **others), offers, NEVER_OLD) == {}


def test_of_equal_limits_the_larger_ids_are_served_in_time_too() -> None:
    """Ties break by id: a stream of smaller ids would keep a larger one out for ever."""
    (last,) = _waiting(1)
    last = BookOrder(replace(last.signed, id=Bytes32("0x" + "ff" * 32)), last.spec, last.accepted_at)
    offers = [an_offer(1)]

    turns = served_in([last], lambda turn: _new(turn, 5), offers, PATIENT)
    assert turns[last.id] <= ROUNDS_OF_PATIENCE + 2
    assert served_in([last], lambda turn: _new(turn, 5), offers, NEVER_OLD) == {}


def test_an_order_does_not_starve_behind_a_stream_of_groups() -> None:
    """Groups are placed before the auction, but not before those who have waited too long."""
    (single,), offers = _waiting(1), [an_offer(1), an_offer(2)]

    def groups(turn: int) -> list[BookOrder]:
        at, name = NOW + turn * ROUND_SECONDS, hashlib.sha256(str(turn).encode()).hexdigest()
        return [
            an_order(f"{name} {rank}", client=PEOPLE[4], gpus=4, accepted_at=at, max_price=3 * DOLLAR,
                     expires_at=UnixTime(at + 999), spec=JobSpec(WORK, group=Group(name, 2, rank)))
            for rank in range(2)
        ]  # fmt: skip

    assert served_in([single], groups, offers, PATIENT)[single.id] <= ROUNDS_OF_PATIENCE + 2
    assert served_in([single], groups, offers, NEVER_OLD) == {}


def test_a_group_does_not_starve_behind_a_stream_of_groups() -> None:
    """An old one is placed before younger ones that pay more."""
    offers = [an_offer(1), an_offer(2)]

    def group(name: str, at: int, limit: int) -> list[BookOrder]:
        word = hashlib.sha256(name.encode()).hexdigest()
        return [
            an_order(f"{name} {rank}", client=PEOPLE[4], gpus=4, accepted_at=at, max_price=limit,
                     expires_at=UnixTime(NOW + 10**7), spec=JobSpec(WORK, group=Group(word, 2, rank)))
            for rank in range(2)
        ]  # fmt: skip

    def newcomers(turn: int) -> list[BookOrder]:
        return group(f"new {turn}", NOW + turn * ROUND_SECONDS, 3 * DOLLAR)

    old = group("old", NOW, 2 * DOLLAR)
    turns = served_in(old, newcomers, offers, PATIENT)
    assert set(turns.values()) == {ROUNDS_OF_PATIENCE + 1}
    assert served_in(old, newcomers, offers, NEVER_OLD) == {}


def test_an_overdue_order_is_served_when_its_credit_covers_what_that_costs_and_not_before() -> None:
    """To push out a gang of four would cost 3 of the 64 that the market is worth: 4.7 %, ten credits of half a hundredth."""
    usual = Policy()
    (single,) = _waiting(1, classes=1)
    offers = [an_offer(1), *(an_offer(n, gpu_class=ClassNumber(1)) for n in range(2, 17))]

    def gangs(turn: int) -> list[BookOrder]:
        return [*_new(turn, 1, gpus=4, classes=1), *_others(turn)]

    def _others(turn: int) -> list[BookOrder]:
        at = NOW + turn * ROUND_SECONDS
        return [
            an_order(f"other {turn} {n}", client=PEOPLE[3], gpus=4, classes=2, accepted_at=at, expires_at=UnixTime(at + 999))
            for n in range(15)
        ]  # fmt: skip

    turns = served_in([single], gangs, offers, usual, rounds=20)
    waited = turns[single.id] * ROUND_SECONDS + NOW - single.accepted_at - usual.patience_seconds
    assert 1 + waited // usual.credit_seconds == 10


def test_who_would_not_pay_the_price_is_not_served_for_its_age() -> None:
    """An overdue order meets the price of its round like everybody: what others left out would pay."""
    (cheap,) = _waiting(1, max_price=DOLLAR)

    assert served_in([cheap], lambda turn: _new(turn, 9), [an_offer(1), an_offer(2)], PATIENT) == {}


def test_overdue_orders_take_a_small_share() -> None:
    """Of forty placements one is an overdue order's in a round, though forty would like to be: ageing cannot turn the market into a queue."""
    offers = [an_offer(n) for n in range(1, 11)]
    waiting = [replace(order, accepted_at=UnixTime(NOW - 9_000)) for order in _waiting(40)]
    plan = clear(snapshot_of(0, [*waiting, *_new(0, 40, max_price=2 * DOLLAR + 1)], offers, PATIENT))
    placed = {fill.signed.id for fill in plan.fills}

    assert len(placed & {order.id for order in waiting}) == 1


def test_an_overdue_order_pushes_no_other_aside() -> None:
    """Where all have waited too long the highest limits come first: ageing costs nothing there, and those who are served are out of the way."""
    old = [replace(order, accepted_at=UnixTime(NOW - 9_000)) for order in _waiting(9, max_price=2 * DOLLAR)]
    (keen,) = _waiting(1, "keen", max_price=3 * DOLLAR)
    keen = replace(keen, accepted_at=UnixTime(NOW - 5_000))
    plan = clear(snapshot_of(0, [*old, keen], [an_offer(1, free=1)], PATIENT))

    assert _ids(plan.fills) == {keen.id}
    assert clear(snapshot_of(0, [*old, keen], [an_offer(1, free=2)], PATIENT)).fills[1].signed.id in {
        one.id for one in old
    }


# Shares ---------------------------------------------------------------------------------------------------------------


def _for_long(count: int) -> list[BookOrder]:
    return [_whole(str(n)) for n in range(count)]


def _whole(name: str) -> BookOrder:
    """It takes a whole machine, and does not expire in these rounds."""
    return an_order(name, gpus=4, expires_at=UnixTime(NOW + 10**7))


def _sold(offers: Sequence[Offer], orders: list[BookOrder], rounds: int) -> Counter[str]:
    """GPUs sold by each provider in so many blocks."""
    providers, sold = {offer.id: offer.provider for offer in offers}, Counter[str]()
    for turn in range(rounds):
        for fill in clear(snapshot_of(turn, orders, offers, NEVER_OLD)).fills:
            sold[providers[fill.offer]] += fill.signed.order.gpus
    return sold


def test_equal_offers_of_several_providers_have_even_shares() -> None:
    """Four providers with a machine each and work for two: over 200 blocks each sells a quarter, within what chance allows (chi² of 3, 0.001)."""
    offers = [an_offer(n + 1, provider=PEOPLE[n]) for n in range(4)]
    sold = _sold(offers, _for_long(2), 200)
    expected = sum(sold.values()) / 4

    assert sum(sold.values()) == 200 * 8
    assert sum((sold[who] - expected) ** 2 / expected for who in PEOPLE[:4]) / 4 < 16.27


def test_shares_are_in_proportion_to_gpus() -> None:
    """Whoever has three of four equal machines sells three quarters, within five hundredths."""
    offers = [an_offer(n + 1, provider=PEOPLE[0] if n < 3 else PEOPLE[1]) for n in range(4)]
    sold = _sold(offers, _for_long(1), 400)

    assert abs(sold[PEOPLE[0]] / sum(sold.values()) - 0.75) < 0.05


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_machine_offered_in_pieces_earns_no_more(size: int) -> None:
    """Of machines at one ask, eight GPUs at once against pieces, over sixty markets of small and large gangs: pieces lose the large ones."""
    earned = [0, 0]
    for seed in range(60):
        draw = random.Random(seed)
        others = [an_offer(n, provider=PEOPLE[n % 3], gpus=8, free=8) for n in range(1, 7)]
        sizes = draw.choices([1, 2, 4, 8], [5, 2, 2, 2], k=draw.choice([6, 12, 24]))
        orders = [an_order(f"{seed} {n}", gpus=gpus, client=PEOPLE[4]) for n, gpus in enumerate(sizes)]
        pieces = [an_offer(50 + n, provider=PEOPLE[3], gpus=size, free=size) for n in range(8 // size)]
        for at, mine in enumerate(([an_offer(50, provider=PEOPLE[3], gpus=8, free=8)], pieces)):
            snapshot = snapshot_of(seed, orders, [*others, *mine], NEVER_OLD)
            earned[at] += sum(fill.price * fill.signed.order.gpus for fill in clear(snapshot).fills if fill.offer >= 50)

    assert 0 < earned[1] <= earned[0]


def test_the_ids_of_equal_orders_decide_and_nothing_else() -> None:
    """Not when they came, to which gateway, or in which order the rows stand."""
    orders = [an_order(str(n), accepted_at=NOW - n) for n in range(8)]
    offers = [an_offer(1), an_offer(2, provider=PEOPLE[1], gpu_class=ClassNumber(1), free=1)]
    expected = {order.id for order in sorted(orders, key=lambda order: order.id)[:5]}

    for seed in range(10):
        rows = random.Random(seed).sample(orders, len(orders))
        assert _ids(clear(a_snapshot(rows, offers)).fills) == expected


def test_an_order_in_pieces_gains_little() -> None:
    """Four GPUs asked for together or one by one, on a hundred scarce markets: the client gains as much, but for three hundredths.

    Pieces fit where the whole does not.
    """
    gained = [0, 0]
    for seed in range(100):
        draw = random.Random(seed)
        offers = [
            an_offer(n, price=DOLLAR + draw.randrange(DOLLAR // 2), gpus=8, free=draw.choice([2, 4, 8]))
            for n in range(1, 7)
        ]
        sizes, limit = draw.choices([1, 2, 4, 8], [2, 1, 1, 1], k=20), draw.randint(3 * DOLLAR // 2, 5 * DOLLAR // 2)
        others = [
            an_order(f"{seed} {n}", client=PEOPLE[4], gpus=gpus, max_price=draw.randint(DOLLAR, 3 * DOLLAR))
            for n, gpus in enumerate(sizes)
        ]
        whole, pieces = (
            [an_order("whole", gpus=4, max_price=limit)],
            [an_order(f"piece {n}", max_price=limit) for n in range(4)],
        )
        for at, mine in enumerate((whole, pieces)):
            gained[at] += _surplus(clear(a_snapshot([*others, *mine], offers)).fills)

    assert 0 < gained[1] <= gained[0] * 103 // 100


def _ids(fills: Sequence[Fill]) -> set[Bytes32]:
    return {fill.signed.id for fill in fills}


def _surplus(fills: Sequence[Fill]) -> int:
    mine = [fill for fill in fills if fill.signed.order.client == PEOPLE[-1]]
    return sum(fill.signed.order.gpus * (fill.signed.order.max_price - fill.price) for fill in mine)
