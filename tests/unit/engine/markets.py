"""Small markets for the engine's tests: builders whose defaults fit together, and a strategy for whole snapshots."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, BookView, RefusedFill
from marketplace.domain.classes import GpuClass
from marketplace.domain.fills import Fill
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId, bytes32_of
from marketplace.domain.leases import NO_LEASE, LeaseStatus
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.refusals import Refusal
from marketplace.domain.spec import Constraints, JobSpec, Machine, Resources
from marketplace.domain.units import Seconds, TokenUnits, UnixTime
from scheduler.engine.documents.snapshot import Snapshot
from tests.works import WORK

DOLLAR = 1_000_000
NOW = UnixTime(1_000_000)
BLOCK = BlockRef(100, Bytes32("0x" + "b1" * 32), NOW)
PEOPLE = tuple(Address("0x" + f"{n:02x}" * 20) for n in range(1, 7))
OPENER, ARBITER = Address("0x" + "0e" * 20), Address("0x" + "a1" * 20)
TERMS = MarketTerms(
    chain_id=31337, market=Address("0x" + "33" * 20), token=Address("0x" + "44" * 20), token_symbol="tUSD",
    token_decimals=6, deployed_at_block=1, start_grace=Seconds(5), claim_grace=Seconds(15),
    challenge_window=Seconds(15), ruling_window=Seconds(30), bond_floor=TokenUnits(DOLLAR // 10),
)  # fmt: skip
CLASSES = (GpuClass(ClassNumber(0), "SMALL", 24_576), GpuClass(ClassNumber(1), "LARGE", 81_920))
MACHINE = Machine("eu", "SMALL", 24_576, 8, 32, 65_536, 1_000_000)
FAR_MACHINE = Machine("us", "LARGE", 81_920, 8, 64, 131_072, 2_000_000)
MACHINES = {machine.sha256: machine for machine in (MACHINE, FAR_MACHINE)}
SPEC = JobSpec(WORK)


def an_offer(number: int = 1, **changes: Any) -> Offer:
    """Four small GPUs at one dollar, of the first person."""
    offer = Offer(
        id=OfferId(number), provider=PEOPLE[0], gpu_class=ClassNumber(0), gpus=4, free=4, bond_bps=1_000,
        expires_at=UnixTime(NOW + 10_000), arbiter=ARBITER, price=DOLLAR, min_seconds=0,
        spec=bytes32_of(MACHINE.sha256),
    )  # fmt: skip
    return replace(offer, **changes)


def an_order(name: str = "order", *, spec: JobSpec = SPEC, accepted_at: int = NOW - 10, **changes: Any) -> BookOrder:
    """One GPU of any class for an hour at up to two dollars, of the last person. ``name`` makes its id."""
    order = Order(
        client=PEOPLE[-1], classes=3, offer=OfferId(0), gpus=1, max_seconds=3_600, min_seconds=0, max_price=2 * DOLLAR,
        min_bond_bps=0, starts_at=UnixTime(0), expires_at=UnixTime(NOW + 1_000), tip=TokenUnits(0), opener=ZERO_ADDRESS,
        acceptor=ZERO_ADDRESS, arbiter=ARBITER, spec=bytes32_of(spec.sha256), salt=1,
    )  # fmt: skip
    identifier = Bytes32("0x" + hashlib.sha256(name.encode()).hexdigest())
    return BookOrder(SignedOrder(identifier, replace(order, **changes), "0x"), spec, UnixTime(accepted_at))


def a_snapshot(orders: Sequence[BookOrder] = (), offers: Sequence[Offer] = (), **changes: Any) -> Snapshot:
    """Everybody is rich, every provider was heard this second. ``changes`` go to the view or the snapshot."""
    ours = {
        name: changes.pop(name)
        for name in ("opener", "policy", "classes", "head", "posted", "declined")
        if name in changes
    }
    view = BookView(
        block=BLOCK, orders=tuple(orders), offers=tuple(offers), leases={}, machines=MACHINES,
        accounts=dict.fromkeys(PEOPLE, TokenUnits(1_000 * DOLLAR)), heartbeats=dict.fromkeys(PEOPLE, NOW),
    )  # fmt: skip
    return Snapshot(**{"view": replace(view, **changes), "opener": OPENER, "terms": TERMS, "classes": CLASSES} | ours)


def a_record(order: BookOrder, *, provider: Address = PEOPLE[0], exit_event: str = "", **lease: Any) -> LeaseRecord:
    """What the chain knows of an order that was opened before."""
    word = replace(NO_LEASE, **lease)
    return LeaseRecord(order.id, order.signed.order, word, provider, provider, 90, exit=exit_event)


# Whole markets --------------------------------------------------------------------------------------------------------
#
# Drawn by a seed and not choice by choice: Hypothesis prefers small and equal choices, and a market of equal rows, all
# refused, tests nothing. Rows are sound and compete for few GPUs and little money; some have one trouble each.

_DEMANDS = (
    JobSpec(WORK, resources=Resources(vram_mib=40_000)),
    JobSpec(WORK, resources=Resources(cpus=48, memory_mib=100_000)),
    JobSpec(WORK, constraints=Constraints(regions=("eu",))),
    JobSpec(WORK, constraints=Constraints(providers=PEOPLE[:2])),
    JobSpec(WORK, constraints=Constraints(exclude_providers=PEOPLE[:1])),
    JobSpec(WORK, constraints=Constraints(min_reliability_bps=9_001)),
)
_OFFER_TROUBLES: tuple[dict[str, Any], ...] = (
    *[{"expires_at": UnixTime(NOW + late)} for late in (0, 1, 5, 6)],
    {"min_seconds": 60},
    {"arbiter": PEOPLE[5]},
    {"price": 3 * DOLLAR},
    {"spec": Bytes32("0x" + "77" * 32)},
    {"free": 0},
)
_ORDER_TROUBLES: tuple[dict[str, Any], ...] = (
    *[{"spec": spec} for spec in _DEMANDS],
    *[{"expires_at": UnixTime(NOW + late)} for late in (0, 1, 5, 6)],
    {"classes": 4},
    {"offer": OfferId(1)},
    {"gpus": 0},
    {"max_price": 1},
    {"min_bond_bps": 1_000},
    {"starts_at": UnixTime(NOW + 2)},
    {"tip": TokenUnits(DOLLAR), "opener": ZERO_ADDRESS},
    {"opener": PEOPLE[2]},
)


def snapshots() -> st.SearchStrategy[Snapshot]:
    """Tiny markets with scarce GPUs and money, overlapping roles, and every kind of trouble somewhere."""
    return st.integers(0, 2**32).map(lambda seed: market_of(random.Random(seed)))


def market_of(draw: random.Random) -> Snapshot:
    """The market that this generator draws: up to 5 offers, up to 8 orders."""
    offers = [_offer_drawn(draw, number) for number in range(1, draw.choice([5, 5, 4, 4, 3, 2, 1, 0]) + 1)]
    orders = [_order_drawn(draw, number) for number in range(draw.randint(1, 8))]
    everybody = (*PEOPLE, OPENER)
    rich = draw.choice([1_000, 50, 20])
    return a_snapshot(
        orders,
        offers,
        accounts={who: TokenUnits(draw.choice([rich, rich, rich, 2, 0]) * DOLLAR) for who in everybody},
        heartbeats={who: UnixTime(NOW - draw.choice([0] * 8 + [20, 21])) for who in everybody},
        leases={order.id: _past_of(draw, order) for order in orders if draw.random() < 0.12},
        refused={order.id: _refusals_drawn(draw, offers) for order in orders if draw.random() < 0.12},
        posted=_posted_drawn(draw, offers),
        head=draw.choice([None, BlockRef(102, Bytes32("0x" + "b2" * 32), UnixTime(NOW + 2))]),
        declined={order.id: {PEOPLE[1]: NOW} for order in orders if draw.random() < 0.1},
    )


def _offer_drawn(draw: random.Random, number: int) -> Offer:
    sound = {
        "provider": draw.choice(PEOPLE[:4]),
        "gpu_class": ClassNumber(draw.randint(0, 1)),
        "gpus": 4,
        "free": draw.randint(1, 4),
        "bond_bps": draw.choice([0, 1_000, 10_000]),
        "price": draw.choice([1, DOLLAR // 2, DOLLAR, DOLLAR, 3 * DOLLAR // 2]),
        "spec": bytes32_of(draw.choice(sorted(MACHINES))),
    }
    return an_offer(number, **sound | draw.choice([{}, {}, {}, {}, draw.choice(_OFFER_TROUBLES)]))


def _order_drawn(draw: random.Random, number: int) -> BookOrder:
    sound = {
        "client": draw.choice([*PEOPLE, OPENER]),
        "classes": draw.choice([1, 2, 3, 3, 3, 3]),
        "gpus": draw.choice([1, 1, 2, 3]),
        "max_seconds": draw.choice([1, 60, 3_600, 36_000]),
        "max_price": draw.choice([DOLLAR, 3 * DOLLAR // 2, 2 * DOLLAR, 2 * DOLLAR, 3 * DOLLAR]),
        "salt": number,
        **draw.choice([{}, {}, {"opener": OPENER}, {"opener": OPENER, "tip": TokenUnits(DOLLAR)}]),
    }
    trouble = draw.choice([{}, {}, draw.choice(_ORDER_TROUBLES)])
    return an_order(f"order {number}", accepted_at=NOW - draw.randint(0, 3), **sound | trouble)


def _past_of(draw: random.Random, order: BookOrder) -> LeaseRecord:
    """Declined lately, long ago or in this very second; being served; over; or cancelled."""
    declined = {
        "provider": draw.choice(PEOPLE[:4]), "exit_event": "LeaseDeclined", "tip_paid": True, "charged": draw.choice([False, True]),
    }  # fmt: skip
    pasts: tuple[dict[str, Any], ...] = (
        *[declined | {"opened_at": UnixTime(NOW + when)} for when in (0, -700, 1)],
        {"status": LeaseStatus.OPEN, "opened_at": NOW, "offer": OfferId(1), "tip_paid": True},
        {"status": LeaseStatus.CLOSED, "opened_at": NOW, "tip_paid": True},
        {"no_reopen": True},
    )
    return a_record(order, **draw.choice(pasts))


def _refusals_drawn(draw: random.Random, offers: list[Offer]) -> tuple[RefusedFill, ...]:
    reasons = (Refusal.NotEnoughGpus, Refusal.ProviderBalanceTooLow, Refusal.BadSignature)
    return tuple(RefusedFill(offer.id, draw.choice(reasons), draw.randint(94, 100)) for offer in offers[:2])


def _posted_drawn(draw: random.Random, offers: list[Offer]) -> tuple[Fill, ...]:
    """Perhaps one fill of ours that the view does not show yet."""
    one = an_order("posted a moment ago", client=PEOPLE[4])
    return tuple(
        Fill(one.signed, offer.id, offer.price) for offer in draw.sample(offers, min(len(offers), draw.randint(0, 1)))
    )
