"""Example rows for the tests of the stores: valid in form, of no chain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId, bytes32_of, sha256_of
from marketplace.domain.leases import NO_LEASE, LeaseStatus
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.spec import JobSpec, Machine
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.store.journal.rows import Serving
from tests.works import WORK

CLIENT = Address("0x" + "c1" * 20)
PROVIDER = Address("0x" + "b2" * 20)
OPENER = Address("0x" + "0e" * 20)
ARBITER = Address("0x" + "ab" * 20)
SPEC = JobSpec(WORK)
MACHINE = Machine("eu", "RTX4090", 24_576, 4, 32, 131_072, 1_000_000)


def word(number: int) -> Bytes32:
    return Bytes32(f"0x{number:064x}")


def block(number: int) -> BlockRef:
    return BlockRef(number, word(0xB10C0000 + number), UnixTime(1_700_000_000 + number))


def order(salt: int = 1, **changed: Any) -> Order:
    plain = Order(
        client=CLIENT,
        classes=2,
        offer=OfferId(0),
        gpus=GpuCount(1),
        max_seconds=Seconds(600),
        min_seconds=Seconds(0),
        max_price=PricePerGpuHour(2**80 - 1),
        min_bond_bps=Bps(0),
        starts_at=UnixTime(0),
        expires_at=UnixTime(2**40 - 1),
        tip=TokenUnits(0),
        opener=ZERO_ADDRESS,
        acceptor=ZERO_ADDRESS,
        arbiter=ARBITER,
        spec=bytes32_of(SPEC.sha256),
        salt=salt,
    )
    return replace(plain, **changed)


def signed(salt: int = 1, **changed: Any) -> SignedOrder:
    """The id stands for the digest: any word that differs with the order will do."""
    value = order(salt, **changed)
    return SignedOrder(bytes32_of(sha256_of(repr(value).encode())), value, "0x" + "51" * 65)


def book_order(salt: int = 1, **changed: Any) -> BookOrder:
    return BookOrder(signed(salt, **changed), SPEC, UnixTime(1_700_000_000 + salt))


def receipt(**changed: Any) -> Receipt:
    plain = Receipt(word(7), OfferId(1), UnixTime(1_700_000_000), Seconds(60), word(9), True)
    return replace(plain, **changed)


def offer(number: int = 1, **changed: Any) -> Offer:
    plain = Offer(
        id=OfferId(number),
        provider=PROVIDER,
        gpu_class=ClassNumber(1),
        gpus=GpuCount(4),
        free=GpuCount(4),
        bond_bps=Bps(1_000),
        expires_at=UnixTime(2**40 - 1),
        arbiter=ARBITER,
        price=PricePerGpuHour(2**80 - 1),
        min_seconds=Seconds(0),
        spec=bytes32_of(MACHINE.sha256),
    )
    return replace(plain, **changed)


def lease(waiting: SignedOrder, status: LeaseStatus, **changed: Any) -> LeaseRecord:
    state = replace(NO_LEASE, status=status, offer=OfferId(1), opened_at=UnixTime(1_700_000_000))
    return replace(LeaseRecord(waiting.id, waiting.order, state, PROVIDER, PROVIDER, 3), **changed)


def serving(**changed: Any) -> Serving:
    plain = Serving(
        lease=word(7),
        opened_at=UnixTime(1_700_000_000),
        offer=OfferId(1),
        price=PricePerGpuHour(2**80 - 1),
        order=order(),
        opened_in_block=5,
        updated_at=UnixTime(1_700_000_000),
    )
    return replace(plain, **changed)
