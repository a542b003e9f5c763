"""Rounds that go on from the seats of an earlier plan: what is kept of it, and what whoever replays such a round has to bring."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from marketplace.domain.canonical import canonical_json
from marketplace.domain.errors import DomainError, HashMismatch, InvalidField
from marketplace.domain.ids import Bytes32, OfferId, sha256_of
from scheduler.engine.clear import clear
from scheduler.engine.document import content
from scheduler.engine.former import Former
from scheduler.engine.plan import Plan
from scheduler.engine.reading import former_named, former_of, read_snapshot
from scheduler.engine.snapshot import Snapshot
from tests.unit.engine.markets import a_snapshot, an_offer, an_order
from tests.unit.engine.test_document import MANY, markets


def a_plan() -> Plan:
    """Six orders on two offers of four GPUs."""
    return clear(a_snapshot([an_order(str(n)) for n in range(6)], [an_offer(1), an_offer(2)]))


def a_later_round(plan: Plan) -> Snapshot:
    return a_snapshot([an_order(str(n)) for n in range(3, 9)], [an_offer(2), an_offer(3)], former=plan.former())


def test_a_former_plan_says_where_each_order_sat() -> None:
    """By the first eight bytes of the id, ascending."""
    plan = a_plan()
    former = plan.former()

    seats = sorted((int(fill.signed.id[2:18], 16), fill.offer) for fill in plan.fills)
    assert list(zip(former.orders.tolist(), former.offers.tolist(), strict=True)) == seats
    assert len(seats) == 6
    assert former.plan == plan.sha256
    assert (former.orders.dtype, former.offers.dtype) == (np.uint64, np.int64)


@MANY
@given(markets())
def test_a_plans_document_says_the_same_as_the_plan(snapshot: Snapshot) -> None:
    """The scheduler has the plan, an auditor its document: both begin the later round from the same seats."""
    plan = clear(snapshot)
    ours, theirs = plan.former(), former_of(plan.canonical())

    assert ours.plan == theirs.plan
    assert ours.orders.tolist() == theirs.orders.tolist()
    assert ours.offers.tolist() == theirs.offers.tolist()


def test_orders_whose_ids_begin_alike_have_no_former_seats() -> None:
    """Eight bytes can be made to collide, by somebody who tries: then it would depend on chance who of them is meant."""
    alike, other = ("0x" + "ab" * 8 + tail * 24 for tail in ("01", "02")), "0x" + "cd" * 32
    former = Former.of(sha256_of(b""), [Bytes32(name) for name in (*alike, other)], [OfferId(n) for n in (1, 2, 3)])

    assert (former.orders.tolist(), former.offers.tolist()) == ([int("cd" * 8, 16)], [3])


def test_a_snapshot_names_the_plan_that_it_goes_on_from() -> None:
    """By hash, in its document: another plan, or none, is another snapshot."""
    plan = a_plan()
    later = a_later_round(plan)

    assert json.loads(later.canonical())["former"] == plan.sha256
    assert json.loads(replace(later, former=None).canonical())["former"] is None
    assert later.sha256 != replace(later, former=None).sha256
    assert later.canonical() == canonical_json(content(later))
    assert (former_named(later.canonical()), former_named(plan.source.canonical())) == (plan.sha256, None)


def test_a_round_that_goes_on_is_replayed_from_its_snapshot_and_the_former_plan() -> None:
    """P-22: bit for bit, with the seats read from the former plan's document."""
    plan = a_plan()
    later = a_later_round(plan)
    again = read_snapshot(later.canonical(), plan.canonical())

    assert again.former
    assert later.former
    assert again.former.orders.tolist() == later.former.orders.tolist()
    assert again.former.offers.tolist() == later.former.offers.tolist()
    assert again.canonical() == later.canonical()
    assert clear(again).canonical() == clear(later).canonical()


def test_the_former_plan_has_to_be_the_one_that_the_snapshot_names() -> None:
    """Missing, another one, or one too many: each is a typed error that says so."""
    plan, document = a_plan(), a_later_round(a_plan()).canonical()
    begins = a_snapshot([an_order()], [an_offer()]).canonical()

    with pytest.raises(InvalidField, match=f"is the plan {plan.sha256}, whose document is needed, too"):
        read_snapshot(document)
    with pytest.raises(HashMismatch, match=plan.sha256):
        read_snapshot(document, plan.canonical() + b" ")
    with pytest.raises(InvalidField, match="names no plan"):
        read_snapshot(begins, plan.canonical())


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"version":2}'])
def test_what_is_no_plan_cannot_be_gone_on_from(text: bytes) -> None:
    """Not even when the snapshot names it by its right hash."""
    later = replace(a_later_round(a_plan()), former=Former.unseen(sha256_of(text)))

    with pytest.raises(InvalidField, match="plan"):
        read_snapshot(later.canonical(), text)


def test_a_plan_with_an_order_in_two_places_cannot_be_gone_on_from() -> None:
    """It would have two former seats."""
    document = json.loads(a_plan().canonical())
    document["placements"].append(document["placements"][0])

    with pytest.raises(DomainError, match=r"plan\.placements: has a row twice"):
        former_of(canonical_json(document))
