"""The desk's questions about an order agree with the contract's rules in the domain, at every boundary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import InvalidField, Refused
from marketplace.domain.fills import LAST_INSTANT
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.leases import NO_LEASE, Lease, LeaseStatus
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.services.order_checks import OrderFacts, check_order

CLIENT, OPENER, ARBITER, PROVIDER = (Address("0x" + digit * 40) for digit in "1234")
NOW = UnixTime(1_800_000_000)
ORDER = Order(
    client=CLIENT, classes=0b10, offer=OfferId(0), gpus=GpuCount(2), max_seconds=Seconds(3600), min_seconds=Seconds(0),
    max_price=PricePerGpuHour(100), min_bond_bps=Bps(0), starts_at=UnixTime(0), expires_at=UnixTime(NOW + 1),
    tip=TokenUnits(7), opener=OPENER, acceptor=ZERO_ADDRESS, arbiter=ARBITER, spec=Bytes32("0x" + "5" * 64), salt=1,
)  # fmt: skip
OFFER = Offer(
    OfferId(3), PROVIDER, ClassNumber(1), GpuCount(2), GpuCount(2), Bps(500), UnixTime(NOW + 1), ARBITER, PricePerGpuHour(100),
    Seconds(0), Bytes32("0x" + "6" * 64),
)  # fmt: skip
FACTS = OrderFacts(BlockRef(9, Bytes32("0x" + "7" * 64), NOW), NO_LEASE, None, TokenUnits(207), OPENER)


def refusal(order: Order, facts: OrderFacts = FACTS) -> tuple[Refusal, str] | None:
    """The reason against the order and the field at fault; None when it is taken."""
    try:
        check_order(order, facts)
    except Refused as error:
        return error.refusal, error.field
    return None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"expires_at": NOW}, (Refusal.OrderExpired, "order.expiresAt")),
        ({"expires_at": NOW + 1}, None),
        ({"starts_at": NOW}, None),
        ({"starts_at": NOW + 1, "opener": ZERO_ADDRESS, "tip": 0}, None),
        ({"starts_at": NOW + 1}, (Refusal.OpenerNotAllowed, "order.opener")),
        ({"min_seconds": 3600}, None),
        ({"min_seconds": 3601}, (Refusal.BadAmounts, "order.minSeconds")),
        ({"max_price": 1}, None),
        ({"max_price": 0}, (Refusal.PriceOutOfBounds, "order.maxPrice")),
        ({"tip": 8}, (Refusal.ClientBalanceTooLow, "order.client")),
        ({"gpus": 3}, (Refusal.ClientBalanceTooLow, "order.client")),
        ({"max_price": 1, "max_seconds": LAST_INSTANT}, (Refusal.ClientBalanceTooLow, "order.client")),
        ({"min_bond_bps": 10_000}, None),
        ({"min_bond_bps": 10_001}, (Refusal.BondTooSmall, "order.minBondBps")),
        ({"opener": CLIENT}, (Refusal.OpenerNotAllowed, "order.opener")),
        ({"opener": ZERO_ADDRESS, "tip": 0}, None),
    ],
    ids=str,
)
def test_boundaries(changed: dict[str, Any], expected: tuple[Refusal, str] | None) -> None:
    """One step on either side of each rule."""
    assert refusal(replace(ORDER, **changed)) == expected


def test_a_term_lease_is_left_to_providers_and_ordered_before_it_begins() -> None:
    """Its opener is nobody in particular, or the pinned offer's provider; and it expires before anybody else could open it (P-21)."""
    later = replace(
        ORDER, starts_at=UnixTime(NOW + 50), expires_at=UnixTime(NOW + 50), opener=ZERO_ADDRESS, tip=TokenUnits(0)
    )
    pinned, facts = replace(later, offer=OFFER.id), replace(FACTS, offer=OFFER)

    assert refusal(later) is None
    assert refusal(pinned, facts) is None
    assert refusal(replace(pinned, opener=PROVIDER, tip=TokenUnits(7)), facts) is None
    assert refusal(replace(pinned, opener=OPENER), facts) == (Refusal.OpenerNotAllowed, "order.opener")
    with pytest.raises(InvalidField) as told:
        check_order(replace(later, expires_at=UnixTime(NOW + 51)), FACTS)
    assert told.value.field == "order.expiresAt"


def test_a_tip_is_charged_once() -> None:
    """A declined order's tip is paid already (P-24): its next opening costs T alone."""
    declined = replace(NO_LEASE, tip_paid=True, opened_at=UnixTime(NOW - 1))
    facts = replace(FACTS, lease=declined, client_free=TokenUnits(200))

    assert refusal(ORDER, facts) is None
    assert refusal(ORDER, replace(facts, client_free=TokenUnits(199))) == (Refusal.ClientBalanceTooLow, "order.client")
    just_now = replace(declined, opened_at=NOW)
    assert refusal(ORDER, replace(facts, lease=just_now)) == (Refusal.TooSoon, "order.salt")


@pytest.mark.parametrize(
    ("lease", "expected"),
    [
        (replace(NO_LEASE, status=LeaseStatus.OPEN), Refusal.OrderLive),
        (replace(NO_LEASE, status=LeaseStatus.CLAIMED), Refusal.OrderLive),
        (replace(NO_LEASE, status=LeaseStatus.DISPUTED), Refusal.OrderLive),
        (replace(NO_LEASE, status=LeaseStatus.CLOSED), Refusal.OrderClosed),
        (replace(NO_LEASE, no_reopen=True), Refusal.OrderClosed),
    ],
    ids=str,
)
def test_what_the_chain_knows_decides(lease: Lease, expected: Refusal) -> None:
    """Live and closed orders are not for the book."""
    assert refusal(ORDER, replace(FACTS, lease=lease)) == (expected, "order.salt")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"free": 0}, None),
        ({"gpus": 1, "free": 1}, Refusal.NotEnoughGpus),
        ({"expires_at": NOW}, Refusal.OfferNotAlive),
        ({"price": 101}, Refusal.PriceOutOfBounds),
        ({"arbiter": OPENER}, Refusal.WrongArbiter),
        ({"provider": ARBITER}, Refusal.WrongArbiter),
        ({"gpu_class": 0}, Refusal.ClassNotAccepted),
        ({"min_seconds": 1}, Refusal.MinSecondsTooSmall),
    ],
    ids=str,
)
def test_a_pinned_offer_that_is_busy_is_waited_for(changed: dict[str, Any], expected: Refusal | None) -> None:
    """What time alone can mend is no reason; everything else about the one offer is."""
    facts = replace(FACTS, offer=replace(OFFER, **changed))
    found = refusal(replace(ORDER, offer=OFFER.id), facts)

    assert (found and found[0]) == expected
    assert refusal(replace(ORDER, offer=OFFER.id), FACTS) == (Refusal.OfferNotAlive, "order.offer")
