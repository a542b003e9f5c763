"""What a client signs for a term lease: the order, what is promised up front, and nothing that was paid before a second time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.api.receipts import ReceiptTold
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.signing import SigningDomain
from marketplace.client.receipt_checks import OpenServing, check_receipt, prepayment
from marketplace.client.request import JobRequest, order_for, terms_of
from marketplace.client.trust import Roles
from marketplace.client.vetting import require_term
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import ZERO_ADDRESS, ZERO_BYTES32, Address, Bytes32, OfferId, sha256_of
from marketplace.domain.leases import NO_LEASE, LeaseStatus
from marketplace.domain.receipts import Receipt
from marketplace.domain.units import PricePerGpuHour, Seconds, UnixTime

CLIENT, OPENER, ARBITER, MARKET = (Address("0x" + digit * 40) for digit in "abcd")
PROVIDER = ANVIL_KEYS[2]
ROLES = Roles(OPENER, ARBITER)
NOW = UnixTime(1_000)
REQUEST = JobRequest(
    command=(), gpus_of=("RTX4090",), max_price=PricePerGpuHour(100), max_time=Seconds(600), min_time=Seconds(300),
    starts_at=UnixTime(2_000), upfront=Seconds(120), retries=0, expires_in=Seconds(600),
)  # fmt: skip
ORDER = order_for(REQUEST, sha256_of(b"1"), client=CLIENT, roles=ROLES, now=NOW)
LEASE = replace(
    NO_LEASE, status=LeaseStatus.OPEN, offer=OfferId(3), price=PricePerGpuHour(90), opened_at=UnixTime(1_100)
)
ID = Bytes32("0x" + "5" * 64)
CASES = Path(__file__).with_name("receipt_seconds.json")
"""Of an order for 600 seconds from 2000 on: what is claimed (null: it is open), paid, and asked for, at which block time."""
SERVING = OpenServing(ID, ORDER, LEASE, PROVIDER.address, BlockRef(9, ID, UnixTime(1_200)))


def test_it_is_its_providers_to_open_and_expires_before_it_begins() -> None:
    """No scheduler is named, which could not open it, and from startsAt on nobody can (P-21)."""
    late = order_for(replace(REQUEST, expires_in=Seconds(5_000)), sha256_of(b"1"), client=CLIENT, roles=ROLES, now=NOW)

    assert (ORDER.opener, ORDER.starts_at, ORDER.expires_at) == (ZERO_ADDRESS, 2_000, 1_600)
    assert late.expires_at == late.starts_at == 2_000
    assert terms_of(REQUEST, Seconds(5)).upfront_seconds == 120


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({}, None),
        ({"upfront": Seconds(300)}, None),
        ({"upfront": Seconds(301)}, "upfront"),
        ({"min_time": Seconds(601), "upfront": Seconds(0)}, "min"),
        ({"starts_at": NOW}, "from"),
        ({"retries": 1}, "retries"),
        ({"starts_at": UnixTime(0)}, "upfront"),
    ],
    ids=str,
)
def test_what_the_contract_would_not_take_is_refused_before_it_is_signed(
    changed: dict[str, Any], field: str | None
) -> None:
    """A client signs ahead of the meter up to what it guarantees (settle's bound), and reserves what lies ahead."""
    request = replace(REQUEST, **changed)
    if field is None:
        require_term(request, NOW)
        return
    with pytest.raises(InvalidField) as told:
        require_term(request, NOW)
    assert told.value.field == field


def test_nodes_of_one_job_are_not_reserved_together() -> None:
    """Each order for a term lease is opened by itself, so that a group could be left with half of its machines."""
    with pytest.raises(InvalidField) as told:
        require_term(REQUEST, NOW, 2)

    assert told.value.field == "nodes"


@pytest.mark.parametrize(
    "changed",
    [
        {"status": LeaseStatus.CLAIMED},
        {"price": PricePerGpuHour(101)},
        {"paid_seconds": Seconds(120)},
        {"opened_at": UnixTime(2_000)},
    ],
    ids=str,
)
def test_the_upfront_part_is_signed_once_and_only_for_what_was_ordered(changed: dict[str, Any]) -> None:
    """Over the promised seconds of this very serving; not of a lease that is over, too dear, paid that far, or no term lease."""
    assert prepayment(SERVING, Seconds(120)) == Receipt(
        ID, OfferId(3), UnixTime(1_100), Seconds(120), ZERO_BYTES32, False
    )
    assert prepayment(replace(SERVING, lease=replace(LEASE, **changed)), Seconds(120)) is None
    assert prepayment(SERVING, Seconds(0)) is None
    assert prepayment(SERVING, Seconds(301)) is None


@pytest.mark.parametrize("row", json.loads(CASES.read_bytes()), ids=lambda row: row["case"])
def test_a_last_receipt_is_signed_for_no_second_that_costs_more_than_it_must(row: dict[str, Any]) -> None:
    """No more than the meter shows and is claimed, unless it is paid already; the page in a browser goes by the same table."""
    domain, claimed = SigningDomain(31_337, MARKET), row["claimed"]
    status = LeaseStatus.OPEN if claimed is None else LeaseStatus.CLAIMED
    lease = replace(LEASE, status=status, paid_seconds=Seconds(row["paid"]), claimed_seconds=Seconds(claimed or 0))
    serving = replace(SERVING, lease=lease, block=BlockRef(9, ID, UnixTime(row["now"])))
    last = Receipt(ID, OfferId(3), LEASE.opened_at, Seconds(row["used"]), Bytes32("0x" + "7" * 64), True)
    told = ReceiptTold.of("provider", last, PROVIDER.sign_receipt(last, domain), NOW)
    if row["isSigned"]:
        check_receipt(told, serving, domain)
        return
    with pytest.raises(InvalidField, match=r"receipt\.usedSeconds"):
        check_receipt(told, serving, domain)
