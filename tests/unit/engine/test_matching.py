"""Every check by itself: one change to a pair that fits, and the reason that it gets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import RefusedFill, RejectionReason
from marketplace.domain.ids import ZERO_ADDRESS, Bytes32, ClassNumber, OfferId
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.refusals import Refusal
from marketplace.domain.spec import Constraints, Resources
from marketplace.domain.units import UnixTime
from scheduler.engine.clear import clear
from scheduler.engine.matching import bounds
from scheduler.engine.matching.demands import Demands
from scheduler.engine.tables.columns import ColumnReader
from scheduler.engine.tables.facts import Facts
from tests.unit.engine.markets import BLOCK, DOLLAR, NOW, PEOPLE, SPEC, a_record, a_snapshot, an_offer, an_order

R = RejectionReason
UNDESCRIBED = Bytes32("0x" + "77" * 32)


def _reasons(order: Any, offer: Any, **market: Any) -> dict[RejectionReason, int]:
    plan = clear(a_snapshot([order], [offer], **market))
    assert not plan.fills
    return dict(plan.rejections[0].reasons)


def test_a_pair_that_fits_is_placed() -> None:
    """The markets of these tests are sound before anything is changed."""
    plan = clear(a_snapshot([an_order()], [an_offer()]))

    assert [(fill.offer, fill.price) for fill in plan.fills] == [(1, DOLLAR)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gpus": 0}, R.BAD_AMOUNTS),
        ({"max_seconds": 0}, R.BAD_AMOUNTS),
        ({"min_seconds": 3_601}, R.BAD_AMOUNTS),
        ({"expires_at": UnixTime(NOW)}, R.ORDER_EXPIRED),
        ({"expires_at": UnixTime(NOW + 5)}, R.ORDER_EXPIRED),
        ({"opener": PEOPLE[2]}, R.OPENER_NOT_ALLOWED),
        ({"tip": 1}, R.TIP_WITHOUT_OPENER),
        ({"arbiter": ZERO_ADDRESS}, R.WRONG_ARBITER),
        ({"min_bond_bps": 10_001}, R.BOND_TOO_SMALL),
        ({"classes": 2}, R.CLASS_NOT_ACCEPTED),
        ({"offer": OfferId(2)}, R.WRONG_OFFER),
        ({"arbiter": PEOPLE[3]}, R.WRONG_ARBITER),
        ({"min_bond_bps": 1_001}, R.BOND_TOO_SMALL),
        ({"starts_at": UnixTime(NOW + 2)}, R.TERM_LEASE_NOT_BY_PROVIDER),
        ({"gpus": 5}, R.NOT_ENOUGH_GPUS),
        ({"max_price": DOLLAR - 1}, R.PRICE_OUT_OF_BOUNDS),
    ],
)
def test_an_order_that_the_contract_would_refuse_is_told_so_beforehand(
    changes: dict[str, Any], reason: RejectionReason
) -> None:
    """P-20, by the contract's own names, at the time of mining and not of planning."""
    assert _reasons(an_order(**changes), an_offer()) == {reason: 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expires_at": UnixTime(NOW + 5)}, R.OFFER_NOT_ALIVE),
        ({"min_seconds": 1}, R.MIN_SECONDS_TOO_SMALL),
        ({"arbiter": PEOPLE[0]}, R.WRONG_ARBITER),
        ({"free": 0}, R.NOT_ENOUGH_GPUS),
        ({"price": 2 * DOLLAR + 1}, R.PRICE_OUT_OF_BOUNDS),
    ],
)
def test_an_offer_that_the_contract_would_refuse_is_not_proposed(
    changes: dict[str, Any], reason: RejectionReason
) -> None:
    """The same from the offer's side."""
    assert _reasons(an_order(), an_offer(**changes)) == {reason: 1}


def test_what_expires_just_after_the_margin_is_served() -> None:
    """The margin for mining is five seconds and not more: half-open intervals (P-20)."""
    late = UnixTime(NOW + 6)
    plan = clear(a_snapshot([an_order(expires_at=late)], [an_offer(expires_at=late)]))

    assert len(plan.fills) == 1


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        (Resources(vram_mib=24_577), R.NOT_ENOUGH_VRAM),
        (Resources(cpus=33), R.NOT_ENOUGH_CPUS),
        (Resources(memory_mib=65_537), R.NOT_ENOUGH_MEMORY),
        (Resources(disk_mib=1_000_001), R.NOT_ENOUGH_DISK),
        (Resources(egress_mib=1), R.NETWORK_NOT_OFFERED),
    ],
)
def test_a_machine_must_have_what_the_spec_asks_for(resources: Resources, reason: RejectionReason) -> None:
    """Each resource by itself."""
    assert _reasons(an_order(spec=replace(SPEC, resources=resources)), an_offer()) == {reason: 1}


@pytest.mark.parametrize(
    ("constraints", "reason"),
    [
        (Constraints(regions=("us", "asia")), R.WRONG_REGION),
        (Constraints(providers=PEOPLE[1:3]), R.PROVIDER_EXCLUDED),
        (Constraints(exclude_providers=PEOPLE[:1]), R.PROVIDER_EXCLUDED),
        (Constraints(min_reliability_bps=9_001), R.RELIABILITY_TOO_LOW),
    ],
)
def test_a_job_runs_only_where_its_client_wants_it(constraints: Constraints, reason: RejectionReason) -> None:
    """Each constraint by itself."""
    assert _reasons(an_order(spec=replace(SPEC, constraints=constraints)), an_offer()) == {reason: 1}


@pytest.mark.parametrize(
    "spec",
    [
        replace(SPEC, constraints=Constraints(regions=("eu",))),
        replace(SPEC, resources=Resources(cpus=2)),
        replace(SPEC, resources=Resources(memory_mib=2_048)),
        replace(SPEC, resources=Resources(disk_mib=2_048)),
    ],
)
def test_a_machine_without_a_description_serves_no_order_that_asks_for_something(spec: Any) -> None:
    """Nobody guesses what a machine has."""
    assert _reasons(an_order(spec=spec), an_offer(spec=UNDESCRIBED)) == {R.MACHINE_UNKNOWN: 1}


def test_a_machine_without_a_description_serves_an_order_that_asks_for_nothing_special() -> None:
    """The class on the chain says enough for the rest, VRAM included."""
    orders = [an_order("plain"), an_order("vram", spec=replace(SPEC, resources=Resources(vram_mib=24_576)))]
    plan = clear(a_snapshot(orders, [an_offer(spec=UNDESCRIBED)]))

    assert len(plan.fills) == 2


def test_vram_of_an_unknown_class_is_unknown() -> None:
    """Neither the machine nor the catalogue says how much there is."""
    order = an_order(classes=1 << 9, spec=replace(SPEC, resources=Resources(vram_mib=1)))

    assert _reasons(order, an_offer(spec=UNDESCRIBED, gpu_class=ClassNumber(9))) == {R.MACHINE_UNKNOWN: 1}


@pytest.mark.parametrize(("last", "is_served"), [(NOW, True), (NOW - 20, True), (NOW - 21, False), (None, False)])
def test_a_provider_that_has_fallen_silent_gets_no_work(last: int | None, is_served: bool) -> None:
    """Twenty seconds of block time, and never heard is silent."""
    heartbeats = {} if last is None else {PEOPLE[0]: UnixTime(last)}
    plan = clear(a_snapshot([an_order()], [an_offer()], heartbeats=heartbeats))

    assert bool(plan.fills) is is_served
    assert is_served or dict(plan.rejections[0].reasons) == {R.PROVIDER_SILENT: 1}


@pytest.mark.parametrize(
    ("lease", "reason"),
    [
        ({"status": LeaseStatus.OPEN, "offer": OfferId(1)}, R.ORDER_LIVE),
        ({"status": LeaseStatus.CLAIMED, "offer": OfferId(1)}, R.ORDER_LIVE),
        ({"status": LeaseStatus.CLOSED}, R.ORDER_CLOSED),
        ({"no_reopen": True}, R.ORDER_CLOSED),
        ({"opened_at": UnixTime(NOW + 1)}, R.TOO_SOON),
    ],
)
def test_an_order_is_opened_only_when_its_lease_is_free(lease: dict[str, Any], reason: RejectionReason) -> None:
    """Live, over, cancelled, or declined in this very second."""
    order = an_order()

    assert _reasons(order, an_offer(), leases={order.id: a_record(order, **lease)}) == {reason: 1}


@pytest.mark.parametrize(("block_number", "is_served"), [(100, False), (96, False), (95, True)])
def test_a_refused_pair_is_left_alone_for_a_while(block_number: int, is_served: bool) -> None:
    """Five blocks by default; another offer may serve the order meanwhile."""
    order = an_order()
    refused = {order.id: (RefusedFill(OfferId(1), Refusal.ProviderBalanceTooLow, block_number),)}
    plan = clear(a_snapshot([order], [an_offer(1), an_offer(2, price=2 * DOLLAR)], refused=refused))

    assert [fill.offer for fill in plan.fills] == [1 if is_served else 2]


def test_the_cooldown_of_a_refusal_counts_blocks_of_the_head() -> None:
    """A projection that lags does not make a refusal last longer."""
    order, head = an_order(), BlockRef(105, BLOCK.hash, UnixTime(NOW + 5))
    refused = {order.id: (RefusedFill(OfferId(1), Refusal.NotEnoughGpus, 100),)}

    assert len(clear(a_snapshot([order], [an_offer()], refused=refused, head=head)).fills) == 1


def test_an_order_refused_for_its_own_sake_is_not_tried_on_other_offers() -> None:
    """A bad signature is as bad on the next offer."""
    order = an_order()
    refused = {order.id: (RefusedFill(OfferId(1), Refusal.BadSignature, 100),)}

    assert _reasons(order, an_offer(2), refused=refused) == {R.BAD_SIGNATURE: 1}


@pytest.mark.parametrize(("opened_at", "offer"), [(NOW, 2), (NOW - 599, 2), (NOW - 600, 1)])
def test_a_declined_order_fails_over_to_the_next_best_provider(opened_at: int, offer: int) -> None:
    """And does not go back to the one that declined it within ten minutes."""
    order = an_order()
    record = a_record(order, exit_event="LeaseDeclined", opened_at=UnixTime(opened_at), tip_paid=True)
    others = an_offer(2, provider=PEOPLE[1], price=2 * DOLLAR)
    plan = clear(a_snapshot([order], [an_offer(1), others], leases={order.id: record}))

    assert [fill.offer for fill in plan.fills] == [offer]


def test_all_providers_that_declined_are_remembered() -> None:
    """The chain's record names the last one only; the scheduler saw the others."""
    order = an_order()
    record = a_record(order, provider=PEOPLE[1], exit_event="LeaseDeclined", opened_at=NOW, tip_paid=True)
    offers = [an_offer(number + 1, provider=who) for number, who in enumerate(PEOPLE[:3])]
    known = {order.id: {PEOPLE[0]: UnixTime(NOW - 9)}}
    plan = clear(a_snapshot([order], offers, leases={order.id: record}, declined=known))

    assert [fill.offer for fill in plan.fills] == [3]
    assert dict(plan.explanation(plan.fills[0].signed.id).reasons) == {R.DECLINED_BEFORE: 2}


def test_a_book_in_which_everybody_wants_something_else_does_not_stop_the_market(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What most orders ask for is looked at first, then what the highest limits ask for; the others wait, and are told so."""
    monkeypatch.setattr(bounds, "MOST_DEMANDS", 2)
    common = [an_order(f"common {n}", max_price=2 * DOLLAR + n) for n in range(3)]
    pinned = [an_order(f"pinned {n}", offer=OfferId(n), max_price=(10 + n) * DOLLAR) for n in range(1, 5)]

    plan = clear(a_snapshot([*common, *pinned], [an_offer(n) for n in range(1, 5)]))

    assert {fill.signed.id for fill in plan.fills} == {order.id for order in [*common, pinned[-1]]}
    assert {fill.signed.id: fill.offer for fill in plan.fills}[pinned[-1].id] == 4
    assert {why.order: dict(why.reasons) for why in plan.rejections} == {
        order.id: {R.ROUND_FULL: 1} for order in pinned[:-1]
    }


def test_what_no_offer_can_tell_apart_is_one_demand() -> None:
    """Pins, classes, arbiters, regions and providers that are not there make no demands of their own, however many there are."""
    orders = [
        an_order(
            f"order {n}",
            offer=OfferId(100 + n % 7),
            classes=1 << n % 3 + 2,
            arbiter=PEOPLE[n % 3 + 1],
            spec=replace(
                SPEC, constraints=Constraints(regions=(f"region {n}",), exclude_providers=(PEOPLE[n % 5 + 1],))
            ),
        )
        for n in range(50)
    ]
    snapshot, reader = a_snapshot(orders, [an_offer()]), ColumnReader()
    facts = Facts(snapshot, reader.columns(snapshot.view))

    assert set(Demands(facts, np.arange(50)).of.tolist()) == {0}
