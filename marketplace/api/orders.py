"""Orders: as they are signed, where one stands, and what the last round said about it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from marketplace.api.fields import (
    AddressText,
    BlobText,
    Count,
    Cursor,
    Duration,
    Moment,
    OfferNumber,
    Sentence,
    SignatureText,
    Uint,
    Uint16,
    Uint32,
    Uint40,
    Uint80,
    Uint96,
    Word,
    WordText,
)
from marketplace.api.record import BlockTold, Document, Record, iso, money, price_text
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import Explanation
from marketplace.domain.ids import Bytes32, OfferId, sha256_in
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.market import MarketTerms
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.pricing import worst_cost_of
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime

OrderWord = Literal["book", "withdrawn", "expired", "open", "claimed", "disputed", "closed"]


class OrderDocument(Document, frozen=True):
    """EIP-712 type ``Order``: the ABI's field names, integers as decimal strings."""

    client: AddressText
    classes: Uint
    offer: Uint40
    gpus: Uint16
    max_seconds: Uint32
    min_seconds: Uint32
    max_price: Uint80
    min_bond_bps: Uint16
    starts_at: Uint40
    expires_at: Uint40
    tip: Uint96
    opener: AddressText
    acceptor: AddressText
    arbiter: AddressText
    spec: WordText
    salt: Uint

    @classmethod
    def of(cls, order: Order) -> OrderDocument:
        return cls(
            client=order.client, classes=Uint(order.classes), offer=Uint40(order.offer), gpus=Uint16(order.gpus),
            max_seconds=Uint32(order.max_seconds), min_seconds=Uint32(order.min_seconds), max_price=Uint80(order.max_price),
            min_bond_bps=Uint16(order.min_bond_bps), starts_at=Uint40(order.starts_at), expires_at=Uint40(order.expires_at),
            tip=Uint96(order.tip), opener=order.opener, acceptor=order.acceptor, arbiter=order.arbiter, spec=order.spec,
            salt=Uint(order.salt),
        )  # fmt: skip

    @property
    def order(self) -> Order:
        return Order(
            client=self.client, classes=int(self.classes), offer=OfferId(int(self.offer)), gpus=GpuCount(int(self.gpus)),
            max_seconds=Seconds(int(self.max_seconds)), min_seconds=Seconds(int(self.min_seconds)),
            max_price=PricePerGpuHour(int(self.max_price)), min_bond_bps=Bps(int(self.min_bond_bps)),
            starts_at=UnixTime(int(self.starts_at)), expires_at=UnixTime(int(self.expires_at)), tip=TokenUnits(int(self.tip)),
            opener=self.opener, acceptor=self.acceptor, arbiter=self.arbiter, spec=self.spec, salt=int(self.salt),
        )  # fmt: skip


class OrderSubmission(Document, frozen=True):
    """An order, signed by the client, by a delegate within its budget, or as the client, a contract, takes it for its own."""

    order: OrderDocument
    signature: SignatureText


class LeaseInBrief(Record, frozen=True):
    """What the chain says of an order that was opened."""

    status: Word
    offer: OfferNumber
    price: Uint80
    opened_at: Moment
    paid_seconds: Duration
    price_human: Word = ""

    @classmethod
    def of(cls, lease: Lease, terms: MarketTerms) -> LeaseInBrief | None:
        """None where it never was."""
        if lease.status is LeaseStatus.NONE:
            return None
        return cls(
            lease.status.name.capitalize(), lease.offer, Uint80(lease.price), lease.opened_at, lease.paid_seconds,
            price_text(lease.price, terms),
        )  # fmt: skip


class ExplanationTold(Record, frozen=True):
    """Why an order stands where it stands: what the last round said about it, as of that round's block.

    ``block`` is None, and the rest says nothing, where no round has looked at the order yet, or what it said was forgotten.
    """

    order: WordText
    placed_on: OfferNumber | None
    reasons: Annotated[dict[Word, Count], Meta(max_length=200)]
    """How many offers fell for each reason."""
    nearest_miss: Sentence
    block: BlockTold | None
    offers: Annotated[dict[Word, Annotated[list[OfferNumber], Meta(max_length=100)]], Meta(max_length=200)] = field(
        default_factory=dict
    )
    """Which ones, the first of each reason by number; of a reason that is not about offers none."""

    @classmethod
    def none_yet(cls, order: Bytes32) -> ExplanationTold:
        return cls(order, None, {}, "", None)

    @classmethod
    def of(cls, told: Explanation) -> ExplanationTold:
        reasons = {reason.value: count for reason, count in told.reasons.items()}
        offers = {reason.value: list(offers) for reason, offers in told.offers.items()}
        return cls(told.order, told.placed_on, reasons, told.nearest_miss, BlockTold.of(told.block), offers)


class OrderAnswer(Record, frozen=True):
    """An order that the gateway keeps, and where it stands. Hints: what decides about money is read from the chain."""

    id: WordText
    state: OrderWord
    document: OrderDocument = field(name="order")
    spec: BlobText
    accepted_at: Moment
    """Block time at which the gateway took it."""
    worst_cost: Uint
    block: BlockTold
    lease: LeaseInBrief | None = None
    explanation: ExplanationTold | None = None
    withdrawn_at: Moment | None = None
    accepted_time: Word | None = None
    withdrawn_time: Word | None = None
    worst_cost_human: Word = ""
    max_price_human: Word = ""

    @classmethod
    def of(
        cls, signed: SignedOrder, state: OrderWord, accepted_at: UnixTime, withdrawn_at: UnixTime | None, lease: Lease,
        explanation: Explanation | None, block: BlockRef, terms: MarketTerms,
    ) -> OrderAnswer:  # fmt: skip
        order = signed.order
        worst = worst_cost_of(order)
        return cls(
            id=signed.id, state=state, document=OrderDocument.of(order), spec=sha256_in(order.spec), accepted_at=accepted_at,
            worst_cost=Uint(worst), block=BlockTold.of(block), lease=LeaseInBrief.of(lease, terms),
            explanation=ExplanationTold.of(explanation) if explanation else None, withdrawn_at=withdrawn_at,
            accepted_time=iso(accepted_at), withdrawn_time=iso(withdrawn_at), worst_cost_human=money(worst, terms),
            max_price_human=price_text(order.max_price, terms),
        )  # fmt: skip

    @property
    def order(self) -> Order:
        return self.document.order

    @property
    def withdrawn(self) -> bool:
        return self.withdrawn_at is not None


class OrderPage(Record, frozen=True):
    items: list[OrderAnswer]
    next: Cursor = None
