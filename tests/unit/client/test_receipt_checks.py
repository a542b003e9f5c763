"""When a client signs a receipt, and when never: each rule that stands between a provider's word and the client's money."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.api.receipts import ReceiptTold
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.signing import SigningDomain
from marketplace.client.receipt_checks import OpenServing, check_progress, check_receipt, check_result
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import HashMismatch, InvalidField
from marketplace.domain.ids import ZERO_BYTES32, Address, Bytes32, OfferId, Sha256, bytes32_of, sha256_of
from marketplace.domain.leases import NO_LEASE, LeaseStatus
from marketplace.domain.limits import PART_BYTES, most_bundle_bytes, most_sealed_bytes
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedReason, LogFile, Output, Result
from marketplace.domain.spec import JobSpec
from marketplace.domain.units import PricePerGpuHour, Seconds, UnixTime
from marketplace.domain.work import Sealed, Work
from tests.unit.engine.markets import an_order
from tests.works import SOME_WORK

PROVIDER, OTHER = ANVIL_KEYS[2], ANVIL_KEYS[3]
DOMAIN = SigningDomain(31_337, Address("0x" + "d" * 40))
ID, RESULT = Bytes32("0x" + "5" * 64), Bytes32("0x" + "7" * 64)
ORDER = replace(an_order().signed.order, max_seconds=Seconds(600), max_price=PricePerGpuHour(100))
LEASE = replace(
    NO_LEASE, status=LeaseStatus.OPEN, offer=OfferId(3), price=PricePerGpuHour(100), opened_at=UnixTime(1_000),
    paid_seconds=Seconds(50),
)  # fmt: skip
SERVING = OpenServing(ID, ORDER, LEASE, PROVIDER.address, BlockRef(9, ID, UnixTime(1_200)))
LAST = Receipt(ID, OfferId(3), UnixTime(1_000), Seconds(200), RESULT, True)
PROGRESS = replace(LAST, result=ZERO_BYTES32, last=False)


def told(receipt: Receipt, key: Any = PROVIDER) -> ReceiptTold:
    return ReceiptTold.of("provider", receipt, key.sign_receipt(receipt, DOMAIN), UnixTime(1_200))


def with_lease(**changed: Any) -> OpenServing:
    return replace(SERVING, lease=replace(LEASE, **changed))


NOT_OURS: list[tuple[str, dict[str, Any]]] = [
    ("lease", {"lease": RESULT}), ("offer", {"offer": OfferId(4)}), ("opened_at", {"opened_at": UnixTime(999)}),
    ("usedSeconds", {"used_seconds": Seconds(201)}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "changed"), [*NOT_OURS, ("usedSeconds", {"used_seconds": Seconds(49)}), ("last", {"last": False})]
)
def test_a_last_receipt_is_of_this_serving_and_closes_it(field: str, changed: dict[str, Any]) -> None:
    """Another lease, offer or serving, a second that has not passed or is paid already, and one that closes nothing."""
    check_receipt(told(LAST), SERVING, DOMAIN)
    with pytest.raises(InvalidField) as caught:
        check_receipt(told(replace(LAST, **changed)), SERVING, DOMAIN)

    assert caught.value.field == f"receipt.{field}"


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        *NOT_OURS,
        ("usedSeconds", {"used_seconds": Seconds(50)}),
        ("result", {"last": True}),
        ("result", {"result": RESULT}),
    ],
)
def test_a_progress_receipt_pays_for_new_seconds_and_closes_nothing(field: str, changed: dict[str, Any]) -> None:
    """One that pays what is paid, names a result, or is a last one in disguise is not signed."""
    check_progress(told(PROGRESS), SERVING, DOMAIN, Seconds(0))
    with pytest.raises(InvalidField) as caught:
        check_progress(told(replace(PROGRESS, **changed)), SERVING, DOMAIN, Seconds(0))

    assert caught.value.field == f"receipt.{field}"


def test_nothing_is_signed_twice_or_at_a_higher_price() -> None:
    """What was signed for before is as good as paid; the lease's price is the contract's, and held against the order's all the same."""
    check_progress(told(PROGRESS), SERVING, DOMAIN, Seconds(199))
    with pytest.raises(InvalidField, match=r"receipt\.usedSeconds"):
        check_progress(told(PROGRESS), SERVING, DOMAIN, Seconds(200))
    with pytest.raises(InvalidField, match="is at 101; 100 was signed"):
        check_progress(told(PROGRESS), with_lease(price=PricePerGpuHour(101)), DOMAIN, Seconds(0))


@pytest.mark.parametrize("status", LeaseStatus)
def test_only_a_lease_at_work_is_signed_for(status: LeaseStatus) -> None:
    """The last receipt of an open or claimed one; on the way only of an open one."""
    serving = with_lease(status=status, claimed_seconds=Seconds(200))
    for check, allowed in (
        (lambda: check_receipt(told(LAST), serving, DOMAIN), {LeaseStatus.OPEN, LeaseStatus.CLAIMED}),
        (lambda: check_progress(told(PROGRESS), serving, DOMAIN, Seconds(0)), {LeaseStatus.OPEN}),
    ):
        if status in allowed:
            check()
            continue
        with pytest.raises(InvalidField, match=rf"receipt\.lease: is {status.name.lower()}"):
            check()


def test_the_signature_is_the_providers_own() -> None:
    """Neither another's, nor one under other seconds."""
    with pytest.raises(InvalidField, match=r"receipt\.signature"):
        check_receipt(told(LAST, OTHER), SERVING, DOMAIN)
    with pytest.raises(InvalidField, match=r"receipt\.signature"):
        check_progress(told(PROGRESS, OTHER), SERVING, DOMAIN, Seconds(0))
    other = ReceiptTold.of(
        "provider", LAST, PROVIDER.sign_receipt(replace(LAST, used_seconds=Seconds(60)), DOMAIN), UnixTime(1)
    )
    with pytest.raises(InvalidField, match=r"receipt\.signature"):
        check_receipt(other, SERVING, DOMAIN)


PARTS = tuple(Sha256(f"{number:064x}") for number in range(2))
ASKED = replace(SOME_WORK, outputs=("/job/out", "/job/more"))
SPEC = JobSpec(ASKED.name)


def result(*outputs: tuple[str, int], log_bytes: int = 1) -> bytes:
    """A document with outputs of so many bytes; of parts it names as many as there must be."""
    made = tuple(Output(path, size, PARTS[:1] * -(-size // PART_BYTES)) for path, size in outputs)
    return Result(0, EndedReason.EXITED, made, LogFile(PARTS[1], log_bytes)).canonical()


def checked(content: bytes, work: Work = ASKED) -> Result:
    return check_result(content, bytes32_of(sha256_of(content)), SPEC, work)


def test_a_result_is_what_the_receipt_names_and_no_more_than_was_asked_for() -> None:
    """Another document, an output nobody asked for, one twice, and a log that is longer than is kept."""
    good = result(("/job/out", 10), ("/job/more", 0))
    assert [one.path for one in checked(good).outputs] == ["/job/out", "/job/more"]

    with pytest.raises(HashMismatch, match="the result document"):
        check_result(good, RESULT, SPEC, ASKED)
    for outputs in ([("/job/else", 10)], [("/job/out", 10), ("/job/out", 10)]):
        with pytest.raises(InvalidField, match=r"result\.outputs"):
            checked(result(*outputs))
    checked(result(log_bytes=PART_BYTES))
    with pytest.raises(InvalidField):
        checked(result(log_bytes=PART_BYTES + 1))


@pytest.mark.parametrize("sealed", [None, Sealed("age1", Sha256("c" * 64))])
def test_a_result_is_no_larger_than_the_orders_disk(sealed: Sealed | None) -> None:
    """As bundles of so many bytes are at most, and sealed ones a little more."""
    work = replace(ASKED, sealed=sealed)
    most = most_bundle_bytes(SPEC.resources.disk_mib << 20)
    most = most_sealed_bytes(most) if sealed else most

    with pytest.raises(InvalidField, match=rf"{most} at most"):
        checked(result(("/job/out", most), ("/job/more", 1)), work)
