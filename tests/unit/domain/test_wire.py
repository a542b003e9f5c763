"""Orders and receipts on the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import Explanation, RejectionReason
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import Order
from marketplace.domain.receipts import Receipt
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.domain.wire import (
    MAX_SIGNATURE_BYTES,
    ORDER_FIELDS,
    explanation_from_wire,
    explanation_to_wire,
    lease_from_wire,
    lease_to_wire,
    offer_from_wire,
    offer_to_wire,
    order_from_wire,
    order_to_wire,
    receipt_from_wire,
    receipt_to_wire,
    signature_from_wire,
)
from tests.unit.engine.markets import a_record, an_offer, an_order

addresses = st.integers(0, 2**160 - 1).map(lambda n: Address(f"0x{n:040x}"))
words = st.integers(0, 2**256 - 1).map(lambda n: Bytes32(f"0x{n:064x}"))


def below(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


orders = st.builds(
    Order, client=addresses, classes=below(256), offer=below(40).map(OfferId), gpus=below(16).map(GpuCount),
    max_seconds=below(32).map(Seconds), min_seconds=below(32).map(Seconds), max_price=below(80).map(PricePerGpuHour),
    min_bond_bps=below(16).map(Bps), starts_at=below(40).map(UnixTime), expires_at=below(40).map(UnixTime),
    tip=below(96).map(TokenUnits), opener=addresses, acceptor=addresses, arbiter=addresses, spec=words, salt=below(256),
)  # fmt: skip


@given(orders)
def test_an_order_survives_the_wire(order: Order) -> None:
    """Every order that fits the ABI is read as it was written."""
    assert order_from_wire(order_to_wire(order)) == order


@given(orders, st.sampled_from(sorted(ORDER_FIELDS)), st.sampled_from(["\n", "0", "x", "1\n2", "00", " ", "\u0661"]))
def test_an_order_in_capitals_is_read_and_one_with_another_sign_is_not(order: Order, name: str, sign: str) -> None:
    """Hex digits may be of either case; nothing may stand behind a field's text, not the end of a line either."""
    wire = order_to_wire(order)
    capitals = {field: "0x" + text[2:].upper() if text.startswith("0x") else text for field, text in wire.items()}

    assert order_from_wire(capitals) == order
    with pytest.raises(InvalidField, match=f"order.{name}"):
        order_from_wire(wire | {name: wire[name] + sign + "9" * 78})


@given(words, below(40), below(32), words, st.booleans())
def test_a_receipt_survives_the_wire(lease: Bytes32, offer: int, used: int, result: Bytes32, last: bool) -> None:
    """Every receipt is read as it was written."""
    receipt = Receipt(lease, OfferId(offer), UnixTime(used), Seconds(used), result, last)

    assert receipt_from_wire(receipt_to_wire(receipt)) == receipt


def test_offers_and_leases_survive_the_wire() -> None:
    """What one process of the market tells another: all of it, money as text."""
    record = a_record(
        an_order(),
        status=LeaseStatus.CLAIMED,
        tip_paid=True,
        offer=OfferId(3),
        price=PricePerGpuHour(2**80 - 1),
        opened_at=UnixTime(5),
    )
    records = [
        record,
        replace(record, order=None),
        replace(record, result=Bytes32("0x" + "5e" * 32), paid=TokenUnits(2**128), exit="LeaseSettled"),
    ]

    assert offer_from_wire(offer_to_wire(an_offer())) == an_offer()
    assert offer_to_wire(an_offer())["price"] == "1000000"
    assert [lease_from_wire(lease_to_wire(one)) for one in records] == records
    assert lease_to_wire(record)["status"] == "Claimed"


def test_a_signature_may_be_as_long_as_is_said_and_no_longer() -> None:
    """Capitals are read as small letters."""
    longest = "0x" + "AB" * MAX_SIGNATURE_BYTES

    assert signature_from_wire(longest) == longest.lower()
    with pytest.raises(InvalidField):
        signature_from_wire(longest + "ab")


A = "0x" + "a" * 40
GOOD = order_to_wire(
    Order(Address(A), 1, OfferId(0), GpuCount(1), Seconds(60), Seconds(0), PricePerGpuHour(10), Bps(0), UnixTime(0), UnixTime(99),
          TokenUnits(0), Address(A), Address(A), Address(A), Bytes32("0x" + "b" * 64), 7)
)  # fmt: skip

BAD_NUMBERS: list[Any] = [
    1,
    -1,
    "-1",
    "1.0",
    "01",
    " 1",
    "1 ",
    "+1",
    "1e3",
    "0x10",
    "",
    "١",
    True,
    None,
    [],
    "9" * 80,
    "NaN",
]


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=repr)
def test_a_number_that_is_not_a_plain_decimal_string_is_refused(value: Any) -> None:
    """JSON numbers, signs, spaces, other digits and other bases name the field and the rule."""
    with pytest.raises(InvalidField) as caught:
        order_from_wire(GOOD | {"maxPrice": value})

    assert caught.value.field == "order.maxPrice"


WIDTHS = {"offer": 40, "gpus": 16, "maxSeconds": 32, "minSeconds": 32, "maxPrice": 80, "minBondBps": 16, "startsAt": 40,
          "expiresAt": 40, "tip": 96, "classes": 256, "salt": 256}  # fmt: skip


@pytest.mark.parametrize(("name", "bits"), WIDTHS.items())
def test_a_number_that_does_not_fit_its_field_is_refused(name: str, bits: int) -> None:
    """2^n does not fit n bits; 2^n - 1 does."""
    order_from_wire(GOOD | {name: str(2**bits - 1)})

    with pytest.raises(InvalidField) as caught:
        order_from_wire(GOOD | {name: str(2**bits)})

    assert caught.value.field == f"order.{name}"


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_field_is_named(name: str) -> None:
    """No field of an order has a default."""
    with pytest.raises(InvalidField) as caught:
        order_from_wire({key: value for key, value in GOOD.items() if key != name})

    assert caught.value.field == f"order.{name}"


def test_an_unknown_field_is_named() -> None:
    """A field that nothing obeys misleads."""
    with pytest.raises(InvalidField) as caught:
        order_from_wire(GOOD | {"priority": "1"})

    assert caught.value.field == "order.priority"


@pytest.mark.parametrize("value", ["", "0x1", "0xzz", 5, None, "0x" + "00" * 5000])
def test_a_signature_is_hex_of_bounded_length(value: Any) -> None:
    """Anything else is refused before it reaches a parser that is less careful."""
    with pytest.raises(InvalidField):
        signature_from_wire(value)


def test_an_explanation_survives_the_way_to_json_and_back() -> None:
    """With its block, which is told with its time in words, too."""
    explanation = Explanation(
        Bytes32("0x" + "1a" * 32), BlockRef(7, Bytes32("0x" + "2b" * 32), UnixTime(1_800_000_000)), OfferId(3),
        {RejectionReason.PROVIDER_SILENT: 2}, "1 more GPU", {RejectionReason.PROVIDER_SILENT: (OfferId(4), OfferId(5))},
    )  # fmt: skip
    told = json.loads(json.dumps(explanation_to_wire(explanation)))

    assert explanation_from_wire(told) == explanation
    assert told["block"]["time"] == "2027-01-15T08:00:00Z"
