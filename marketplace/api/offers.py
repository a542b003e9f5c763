"""What is offered, one class's side of the market, and what a class costs."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from msgspec import Raw, field
from msgspec.structs import asdict

from marketplace.api.documents import MachineDocument, named_by_hash
from marketplace.api.fields import (
    AddressText,
    Count,
    Cursor,
    Duration,
    GpuClassNumber,
    Gpus,
    Instant,
    Moment,
    OfferNumber,
    Share,
    Uint,
    Uint80,
    Word,
    WordText,
)
from marketplace.api.reading import as_answer
from marketplace.api.record import BlockTold, Record, iso, money, price_text
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder
from marketplace.domain.classes import GpuClass
from marketplace.domain.errors import InvalidField
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.policy import is_silent
from marketplace.domain.spec import Machine, read_machine
from marketplace.domain.units import Bps, GpuSeconds, PricePerGpuHour, TokenUnits, UnixTime

NOTHING = Raw(b"null")


class OfferTold(Record, frozen=True):
    """An offer, with what is known of its machine and its provider. ``machine`` is the provider's own document."""

    id: OfferNumber
    provider: AddressText
    gpu_class: GpuClassNumber = field(name="class")
    class_name: Word
    gpus: Gpus
    free: Gpus
    bond_bps: Share
    expires_at: Instant
    listed: bool
    """On the market: it has not expired. Whether somebody is there, ``silent`` says."""
    silent: bool
    """Its provider gave no sign of life for longer than the market's ``maxSilenceSeconds``: it gets no new work now."""
    arbiter: AddressText
    price: Uint80
    """Token units per GPU-hour."""
    min_seconds: Duration
    spec: WordText
    """Names the machine's description."""
    reliability_bps: Share
    """The provider's score."""
    document: Annotated[Raw, named_by_hash(MachineDocument, or_null=True)] = field(name="machine")
    last_heartbeat: Moment | None = None
    price_human: Word = ""
    expires_time: Word | None = None
    last_heartbeat_time: Word | None = None

    @classmethod
    def of(
        cls, offer: Offer, gpu_class: GpuClass | None, machine: Machine | None, last_heartbeat: UnixTime | None, reliability_bps: Bps,
        now: UnixTime, terms: MarketTerms,
    ) -> OfferTold:  # fmt: skip
        return cls(
            id=offer.id, provider=offer.provider, gpu_class=offer.gpu_class, gpus=offer.gpus, free=offer.free, bond_bps=offer.bond_bps,
            class_name=gpu_class.name if gpu_class else f"class {offer.gpu_class}", expires_at=offer.expires_at,
            listed=offer.is_alive(now), silent=is_silent(last_heartbeat, now), arbiter=offer.arbiter, price=Uint80(offer.price), min_seconds=offer.min_seconds, spec=offer.spec,
            reliability_bps=reliability_bps, document=_as_written(machine), last_heartbeat=last_heartbeat,
            price_human=price_text(offer.price, terms), expires_time=iso(offer.expires_at), last_heartbeat_time=iso(last_heartbeat),
        )  # fmt: skip

    @property
    def offer(self) -> Offer:
        return Offer(
            id=self.id, provider=self.provider, gpu_class=self.gpu_class, gpus=self.gpus, free=self.free, bond_bps=self.bond_bps,
            expires_at=self.expires_at, arbiter=self.arbiter, price=PricePerGpuHour(int(self.price)), min_seconds=self.min_seconds,
            spec=self.spec,
        )  # fmt: skip

    @property
    def machine(self) -> Machine | None:
        """What the provider says about it. Raises UnreadableAnswer."""
        return _machine(bytes(self.document))


@lru_cache(maxsize=4096)
def _as_written(machine: Machine | None) -> Raw:
    return NOTHING if machine is None else Raw(machine.canonical())


@lru_cache(maxsize=1024)
def _machine(document: bytes) -> Machine | None:
    try:
        return None if document == b"null" else read_machine(document)
    except InvalidField as exc:
        raise as_answer(exc) from None


class OfferAnswer(OfferTold, frozen=True, kw_only=True):
    """One offer, as of a block."""

    block: BlockTold

    @classmethod
    def at(cls, told: OfferTold, block: BlockRef) -> OfferAnswer:
        return cls(**asdict(told), block=BlockTold.of(block))


class OfferPage(Record, frozen=True):
    items: list[OfferTold]
    block: BlockTold
    next: Cursor = None


class BidTold(Record, frozen=True):
    """A waiting order, without its signature: who wants it has the order's id, and the opener has the journal."""

    id: WordText
    client: AddressText
    gpus: Gpus
    max_seconds: Duration
    max_price: Uint80
    expires_at: Instant
    accepted_at: Moment
    """Block time at which the gateway took it."""
    max_price_human: Word = ""
    expires_time: Word | None = None
    accepted_time: Word | None = None

    @classmethod
    def of(cls, entry: BookOrder, terms: MarketTerms) -> BidTold:
        order = entry.signed.order
        return cls(
            entry.id, order.client, order.gpus, order.max_seconds, Uint80(order.max_price), order.expires_at, entry.accepted_at,
            price_text(order.max_price, terms), iso(order.expires_at), iso(entry.accepted_at),
        )  # fmt: skip


class BookAnswer(Record, frozen=True):
    """One class's side of the market: the asks, cheapest first, and the orders that would take this class, best first; as many of both as
    were asked for."""

    gpu_class: GpuClassNumber = field(name="class")
    class_name: Word
    asks: list[OfferTold]
    bids: list[BidTold]
    block: BlockTold
    asks_in_all: Count
    bids_in_all: Count
    gpus_wanted: Count
    """By all of them."""
    next: Cursor = None
    """From where the bids go on."""

    @property
    def items(self) -> list[BidTold]:
        return self.bids


class PriceAnswer(Record, frozen=True):
    """What a class has cost: the contract's own cumulative volume, and the cheapest ask that is to be had now.

    Informational: self-trading moves the volume for the price of gas.
    """

    gpu_class: GpuClassNumber = field(name="class")
    class_name: Word
    paid: Uint
    gpu_seconds: Count
    average: Uint | None
    """Token units per GPU-hour over all time, rounded down; null before the first payment."""
    lowest_ask: Uint80 | None
    """Of the offers that have a GPU free and whose provider is not silent."""
    gpus_free: Count
    """Of these offers."""
    block: BlockTold
    paid_human: Word = ""
    average_human: Word | None = None
    lowest_ask_human: Word | None = None

    @classmethod
    def of(
        cls, gpu_class: GpuClass, paid: TokenUnits, gpu_seconds: GpuSeconds, lowest_ask: PricePerGpuHour | None, gpus_free: int,
        block: BlockRef, terms: MarketTerms,
    ) -> PriceAnswer:  # fmt: skip
        average = paid * 3600 // gpu_seconds if gpu_seconds else None
        return cls(
            gpu_class=gpu_class.number, class_name=gpu_class.name, paid=Uint(paid), gpu_seconds=gpu_seconds,
            average=None if average is None else Uint(average), lowest_ask=None if lowest_ask is None else Uint80(lowest_ask),
            gpus_free=gpus_free, block=BlockTold.of(block), paid_human=money(paid, terms),
            average_human=None if average is None else price_text(average, terms),
            lowest_ask_human=None if lowest_ask is None else price_text(lowest_ask, terms),
        )  # fmt: skip
