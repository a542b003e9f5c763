"""Records and the domain: there and back again, over the wire, without losing anything."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from marketplace.api.accounts import ProviderAnswer
from marketplace.api.leases import DeclineTold, LeaseAnswer, OutputsAnswer
from marketplace.api.offers import OfferTold
from marketplace.api.orders import ExplanationTold, OrderAnswer, OrderDocument
from marketplace.api.reading import asked_in, read
from marketplace.api.receipts import ReceiptDocument
from marketplace.api.record import to_json
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import Explanation, RejectionReason
from marketplace.domain.classes import GpuClass
from marketplace.domain.declines import Decline, ObstacleReason, SignedDecline
from marketplace.domain.errors import InvalidField, UnreadableAnswer
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId, Sha256
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.reputation import NEWCOMER, Outcome, Tally
from marketplace.domain.results import EndedReason, LogFile, Output, Result
from marketplace.domain.spec import Machine
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime

WORD, WHO = Bytes32("0x" + "ab" * 32), Address("0x" + "cd" * 20)
NOW = UnixTime(1_700_000_000)
BLOCK = BlockRef(7, WORD, NOW)
TERMS = MarketTerms(
    1, WHO, WHO, "tUSD", 6, 1, Seconds(60), Seconds(60), Seconds(60), Seconds(60), TokenUnits(1_000_000)
)
ORDER = Order(
    WHO, (1 << 256) - 1, OfferId((1 << 40) - 1), GpuCount(65_535), Seconds((1 << 32) - 1), Seconds(0), PricePerGpuHour((1 << 80) - 1),
    Bps(65_535), UnixTime(0), UnixTime((1 << 40) - 1), TokenUnits((1 << 96) - 1), WHO, WHO, WHO, WORD, (1 << 256) - 1,
)  # fmt: skip
LEASE = Lease(
    status=LeaseStatus.CLAIMED, tip_paid=True, no_reopen=False, assigned=True, by_acceptor=False, charged=True, offer=OfferId(3),
    price=PricePerGpuHour(400_000), opened_at=NOW, paid_seconds=Seconds(5), claimed_seconds=Seconds(9), changed_at=NOW,
)  # fmt: skip
MACHINE = Machine("eu", "RTX", 24_000, 1, 4, 9_000, 9_000)
OFFER = Offer(
    id=OfferId(3), provider=WHO, gpu_class=ClassNumber(2), gpus=GpuCount(4), free=GpuCount(1), bond_bps=Bps(1000),
    expires_at=UnixTime((1 << 40) - 1), arbiter=WHO, price=PricePerGpuHour(400_000), min_seconds=Seconds(60), spec=WORD,
)  # fmt: skip


def test_an_order_is_the_same_after_the_wire() -> None:
    """As wide as the contract has each field, with the ABI's names and integers as decimal strings."""
    wire = to_json(OrderDocument.of(ORDER))

    assert read(OrderDocument, wire).order == ORDER
    assert json.loads(wire)["maxPrice"] == str((1 << 80) - 1)
    assert list(json.loads(wire))[:4] == ["client", "classes", "offer", "gpus"]


def test_a_receipt_is_the_same_after_the_wire() -> None:
    """To the last field."""
    receipt = Receipt(WORD, OfferId(1), NOW, Seconds(9), WORD, True)

    assert read(ReceiptDocument, to_json(ReceiptDocument.of(receipt))).receipt == receipt


@pytest.mark.parametrize("status", LeaseStatus)
def test_a_lease_is_the_same_after_the_wire(status: LeaseStatus) -> None:
    """In every status, with its order; a deadline beyond every calendar has no twin for people."""
    record = LeaseRecord(WORD, ORDER, replace(LEASE, status=status), WHO, WHO, 5, TokenUnits(1), exit="", result=WORD)
    told = LeaseAnswer.of(record, BLOCK, UnixTime((1 << 40) - 1), NOW, TERMS)

    back = read(LeaseAnswer, to_json(told))

    assert (back.record, back.block.ref, back) == (record, BLOCK, told)
    assert (back.deadline_time, back.last_heartbeat_time) == (None, "2023-11-14T22:13:20Z")


@pytest.mark.parametrize("machine", [MACHINE, None])
def test_an_offer_is_the_same_after_the_wire(machine: Machine | None) -> None:
    """With its machine's own document byte for byte, or without one; the price for people, too."""
    told = OfferTold.of(OFFER, GpuClass(ClassNumber(2), "H100", 80_000), machine, NOW, Bps(9_800), NOW, TERMS)

    back = read(OfferTold, to_json(told))

    assert (back.offer, back.machine, back.price_human) == (OFFER, machine, "0.40 tUSD/GPU-h")
    assert machine is None or bytes(back.document) == machine.canonical()


def test_an_offer_with_a_wrong_machine_is_unreadable() -> None:
    """What the provider wrote is read as strictly as everything else."""
    told = json.loads(to_json(OfferTold.of(OFFER, None, MACHINE, None, Bps(0), NOW, TERMS)))
    told["machine"]["cpus"] = 0

    with pytest.raises(UnreadableAnswer, match="cpus"):
        _ = read(OfferTold, json.dumps(told).encode()).machine


def test_where_an_order_stands_is_told_with_its_explanation() -> None:
    """The reasons by name, and the block that each is as of."""
    outbid = RejectionReason.OUTBID
    explanation = Explanation(WORD, BLOCK, None, {outbid: 3}, "2.00 more", {outbid: (OfferId(2), OfferId(7))})
    signed = SignedOrder(WORD, ORDER, "0x00")
    told = OrderAnswer.of(signed, "book", NOW, None, replace(LEASE, status=LeaseStatus.NONE), explanation, BLOCK, TERMS)

    back = read(OrderAnswer, to_json(told))

    assert (back.order, back.withdrawn, back.lease) == (ORDER, False, None)
    assert back.explanation == ExplanationTold.of(explanation)
    assert json.loads(to_json(told))["explanation"]["nearestMiss"] == "2.00 more"
    assert json.loads(to_json(told))["explanation"]["offers"] == {"Outbid": [2, 7]}


def test_a_reputation_and_a_decline_are_the_same_after_the_wire() -> None:
    """With the evidence; a decline for a reason that we do not know is none."""
    known = replace(NEWCOMER, as_of=NOW, tallies={Outcome.SETTLED: Tally(2, 10**18)}, heard=10**18)
    declined = SignedDecline(Decline(WORD, NOW, ObstacleReason.MACHINE_BUSY, "later"), "0x00")
    provider = ProviderAnswer.of(WHO, [], 1, known, BLOCK, None, TERMS)

    assert read(ProviderAnswer, to_json(provider)).reputation == known
    told = read(DeclineTold, to_json(DeclineTold.of(declined)))
    assert told.signed == declined
    assert read(DeclineTold, to_json(told).replace(b"machine_busy", b"moon_full")).signed is None


def test_a_result_keeps_the_bytes_that_its_hash_names() -> None:
    """However it was spaced on the way."""
    result = Result(
        0, EndedReason.EXITED, (Output("/job/out", 7, (Sha256("ab" * 32),)),), LogFile(Sha256("cd" * 32), 5)
    )
    told = OutputsAnswer.of(WORD, result.sha256, result, {})

    spaced = json.dumps(json.loads(to_json(told)), indent=2).encode()

    assert read(OutputsAnswer, spaced).content == result.canonical()
    assert read(OutputsAnswer, spaced).result == result


def test_a_request_names_what_is_wrong_with_it() -> None:
    """The field and the rule, as for everything that comes from outside."""
    wire = json.loads(to_json(OrderDocument.of(ORDER)))

    assert asked_in(OrderDocument, wire).order == ORDER
    for change, field in (({"tip": str(1 << 96)}, "tip"), ({"more": 1}, "more"), ({"opener": "0x"}, "opener")):
        with pytest.raises(InvalidField) as refused:
            asked_in(OrderDocument, wire | change)
        assert refused.value.field == field
