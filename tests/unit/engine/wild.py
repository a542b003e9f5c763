"""Markets in which everything that a round looks at is used, up to the largest values that the contract knows. Drawn by a seed, as in ``markets``."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder
from marketplace.domain.budgets import NO_BUDGET, Budget
from marketplace.domain.fills import Fill, FillFacts, refusal_of_fill, refusal_of_signer
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId, bytes32_of
from marketplace.domain.offers import Offer
from marketplace.domain.pricing import bond_of, lock_of, worst_cost_of
from marketplace.domain.reputation import Outcome, Reputation, Tally
from marketplace.domain.spec import Constraints, Group, JobSpec, Machine, Resources
from marketplace.domain.units import GpuCount, TokenUnits, UnixTime
from scheduler.engine.documents.snapshot import Snapshot
from tests.unit.engine.markets import (
    BLOCK,
    MACHINES,
    NOW,
    OPENER,
    PEOPLE,
    TERMS,
    a_snapshot,
    an_offer,
    an_order,
    market_of,
)
from tests.works import WORK

DELEGATES = (Address("0x" + "d1" * 20), Address("0x" + "d2" * 20))
UNHEARD_OF = Address("0x" + "99" * 20)
UNDESCRIBED = Bytes32("0x" + "77" * 32)
SMALL_DISK = Machine("eu", "SMALL", 24_576, 8, 1, 512, 1_024)
SCALES = (10**6, 10**6, 10**18)
"""Token units of one token: six or eighteen decimals."""
RELIABLE, FLAKY = (
    Reputation(UnixTime(NOW - 50), {Outcome.CLAIMED: Tally(9, 10**12)}, 10**12),
    Reputation(UnixTime(NOW - 50), {Outcome.AT_FAULT: Tally(3, 10**11)}, 0),
)
PLAIN = JobSpec(WORK)
SPECS = (
    JobSpec(WORK, resources=Resources(vram_mib=40_000)),
    JobSpec(WORK, resources=Resources(cpus=48, memory_mib=100_000)),
    JobSpec(WORK, resources=Resources(disk_mib=1_500_000)),
    JobSpec(WORK, constraints=Constraints(regions=("eu", "nowhere"))),
    JobSpec(WORK, constraints=Constraints(providers=(PEOPLE[0], UNHEARD_OF))),
    JobSpec(WORK, constraints=Constraints(exclude_providers=PEOPLE[:1])),
    JobSpec(WORK, constraints=Constraints(min_reliability_bps=9_000)),
    JobSpec(WORK, constraints=Constraints(min_reliability_bps=9_500)),
    JobSpec(WORK, constraints=Constraints(prefer_regions=("us",))),
    JobSpec(WORK, resources=Resources(vram_mib=24_577), constraints=Constraints(prefer_regions=("eu",))),
)


def wild_markets() -> st.SearchStrategy[Snapshot]:
    """Small markets with delegates, groups, reputations and huge numbers beside all that ``markets`` has."""
    return st.integers(0, 2**32).map(lambda seed: wild_market(random.Random(seed)))


def wild_market(draw: random.Random) -> Snapshot:
    """The market that this generator draws: up to 8 offers, up to 16 orders."""
    unit = draw.choice(SCALES)
    plain = market_of(draw)
    offers = [_offer(draw, number, unit) for number in range(1, draw.randint(1, 8) + 1)]
    orders = [_order(draw, number, unit) for number in range(draw.randint(1, 12))]
    orders += _group(draw, unit) if draw.random() < 0.4 else []
    rich = draw.choice([2**100, 1_000 * unit, 30 * unit])
    money = {
        who: TokenUnits(draw.choice([rich, rich, rich, rich, rich, rich, 3 * unit, 1, 0])) for who in (*PEOPLE, OPENER)
    }
    budgets = {
        (client, delegate): Budget(TokenUnits(draw.choice([2**100, 5 * unit, 2 * unit, 0])), _until(draw))
        for client in PEOPLE
        for delegate in DELEGATES
        if draw.random() < 0.8
    }
    market = a_snapshot(
        orders,
        offers,
        accounts=money,
        machines=MACHINES | {SMALL_DISK.sha256: SMALL_DISK},
        heartbeats=plain.view.heartbeats,
        leases={
            order.id: replace(record, id=order.id, order=order.signed.order)
            for order, record in zip(orders, plain.view.leases.values(), strict=False)
        },
        refused={order.id: rows for order, rows in zip(orders, plain.view.refused.values(), strict=False)},
        budgets=budgets,
        reputations={who: draw.choice([RELIABLE, FLAKY]) for who in PEOPLE if draw.random() < 0.4},
        head=draw.choice([None, BlockRef(102, Bytes32("0x" + "b2" * 32), UnixTime(NOW + 2))]),
        declined={order.id: {PEOPLE[1]: UnixTime(NOW - draw.choice([0, 599, 601]))} for order in orders[:1]},
    )
    return replace(market, terms=replace(TERMS, token_decimals=len(str(unit)) - 1, bond_floor=TokenUnits(unit // 10)))


def _until(draw: random.Random) -> UnixTime:
    return UnixTime(NOW + draw.choice([1_000, 1_000, 1_000, 8, 6, 5, 1, 0]))


def _offer(draw: random.Random, number: int, unit: int) -> Offer:
    gpus = draw.choice([1, 2, 4, 4, 8, 8, 65_535])
    sound: dict[str, Any] = {
        "provider": draw.choice(PEOPLE[:4]),
        "gpu_class": ClassNumber(draw.choice([0, 0, 1, 1, 255])),
        "gpus": gpus,
        "free": draw.choice([gpus, gpus, gpus, max(0, gpus - 1)]),
        "bond_bps": draw.choice([0, 1_000, 10_000]),
        "price": draw.choice(
            [0, 1, unit // 2, unit // 2, unit, unit, unit, unit + 1, 5 * unit // 2, 5 * unit // 2 + 1]
        ),
        "spec": bytes32_of(draw.choice([*sorted(MACHINES), *sorted(MACHINES), SMALL_DISK.sha256])),
    }
    troubles: tuple[dict[str, Any], ...] = (
        *[{"expires_at": UnixTime(NOW + late)} for late in (0, 1, 5, 6, 7, 8)],
        {"min_seconds": 60},
        {"min_seconds": 2**32 - 1},
        {"arbiter": PEOPLE[5]},
        {"price": 2**80 - 1},
        {"price": 2**79},
        {"spec": UNDESCRIBED},
        {"free": 0},
    )
    return an_offer(number, **sound | draw.choice([{}, {}, {}, {}, {}, draw.choice(troubles)]))


def _order(draw: random.Random, number: int, unit: int, **changes: Any) -> BookOrder:
    sound: dict[str, Any] = {
        "client": draw.choice([*PEOPLE, OPENER]),
        "classes": draw.choice([1, 2, 3, 3, 3, 2**256 - 1]),
        "gpus": draw.choice([1, 1, 1, 2, 3, 4, 8]),
        "max_seconds": draw.choice([1, 60, 3_600, 3_600, 36_000]),
        "max_price": draw.choice([1, unit, unit, unit + 1, 2 * unit, 5 * unit // 2, 3 * unit, 2**80 - 1]),
        "salt": number,
        "spec": draw.choice([PLAIN, PLAIN, draw.choice(SPECS)]),
        **draw.choice([{}, {}, {"opener": OPENER}, {"opener": OPENER, "tip": TokenUnits(draw.choice([1, unit]))}]),
    }
    troubles: tuple[dict[str, Any], ...] = (
        *[{"expires_at": UnixTime(NOW + late)} for late in (0, 1, 5, 6, 7, 8, 2**39)],
        {"offer": OfferId(draw.randint(1, 3))},
        {"offer": OfferId(2**40 - 1)},
        {"gpus": draw.choice([0, 65_535])},
        {"max_seconds": 2**32 - 1},
        {"min_bond_bps": draw.choice([1_000, 10_000, 10_001])},
        {"min_seconds": draw.choice([1, 60, 2**32 - 1])},
        {"starts_at": UnixTime(NOW + draw.choice([0, 1, 2, 3, 4]))},
        {"tip": TokenUnits(2**96 - 1), "opener": draw.choice([OPENER, ZERO_ADDRESS])},
        {"opener": PEOPLE[2]},
        {"arbiter": draw.choice([ZERO_ADDRESS, PEOPLE[5], PEOPLE[0]])},
    )
    trouble = draw.choice([{}, {}, {}, {}, {}, draw.choice(troubles)])
    order = an_order(f"order {number}", accepted_at=NOW - draw.choice([1, 2, 9_000]), **sound | trouble | changes)
    return replace(order, delegate=draw.choice([None, None, None, *DELEGATES]))


def _group(draw: random.Random, unit: int) -> list[BookOrder]:
    """A group of two or three, perhaps with one missing or of another client."""
    size = draw.choice([2, 3])
    linked = [
        _order(
            draw,
            100 + rank,
            unit,
            client=PEOPLE[5],
            gpus=draw.choice([1, 2, 4]),
            max_price=draw.choice([unit, 3 * unit, 2**80 - 1]),
            spec=JobSpec(WORK, group=Group("ab" * 32, size, rank)),
        )
        for rank in range(size)
    ]
    return linked if draw.random() < 0.8 else linked[1:]


def group_of(order: BookOrder) -> tuple[Address, str] | None:
    """The client and the name of its group, if it has one."""
    group = order.spec.group
    return (order.signed.order.client, group.id) if group else None


def time_of(snapshot: Snapshot) -> tuple[int, int]:
    """Number and time of the newest block: the snapshot's head, or the view's block."""
    block = snapshot.head or BLOCK
    return block.number, block.timestamp


def refusals_of(snapshot: Snapshot, fills: Iterable[Fill]) -> list[str]:
    """What the contract would refuse of these fills, opened one after the other at the earliest and at the latest second: a slow twin of its books."""
    found = list[str]()
    for at in snapshot.mining_times:
        offers, money = {offer.id: offer for offer in snapshot.view.offers}, dict(snapshot.view.accounts)
        budgets = dict(snapshot.view.budgets)
        delegates = {order.id: order.delegate for order in snapshot.view.orders}
        for fill in fills:
            order, offer, lease = fill.signed.order, offers[fill.offer], snapshot.lease_of(fill.signed.id)
            client, provider = money.get(order.client, TokenUnits(0)), money.get(offer.provider, TokenUnits(0))
            refusal = refusal_of_fill(
                fill, FillFacts(at, snapshot.opener, lease, offer, client, provider), snapshot.terms
            )
            delegate = delegates[fill.signed.id]
            if delegate is not None and order.client != snapshot.opener:
                budget = budgets.get((order.client, delegate), NO_BUDGET)
                refusal = refusal or refusal_of_signer(order, delegate, budget, at, charged=lease.charged)
                cost = 0 if lease.charged else worst_cost_of(order)
                budgets[order.client, delegate] = replace(budget, left=TokenUnits(budget.left - cost))
            if refusal:
                found.append(f"{fill.signed.id} on {fill.offer}: {refusal.name}")
            locked = lock_of(order, fill.price)
            money[order.client] = TokenUnits(client - locked - (0 if lease.tip_paid else order.tip))
            bond = bond_of(locked, offer.bond_bps, snapshot.terms.bond_floor)
            money[offer.provider] = TokenUnits(money.get(offer.provider, 0) - bond)
            offers[fill.offer] = replace(offer, free=GpuCount(offer.free - order.gpus))
    return found
