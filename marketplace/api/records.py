"""The nouns of HTTP as they stand in answers. Field names and bounds here, conversions to the domain beside them.

An answer may have more members than we read: a newer gateway says more, and twins for people (``…Human``, ``…Time``) are not for
programs. What somebody signed has exactly its fields.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, field

from marketplace.api.fields import (
    AddressText,
    BlockNumber,
    Count,
    Duration,
    GpuClassNumber,
    Gpus,
    Instant,
    Moment,
    OfferNumber,
    Sentence,
    Share,
    SignatureText,
    Uint,
    Uint16,
    Uint32,
    Uint40,
    Uint80,
    Uint96,
    Uint128,
    Word,
    WordText,
)
from marketplace.domain import models
from marketplace.domain.ids import OfferId
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.reputation import Outcome, Reputation, Tally
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime

NOTHING = Raw(b"null")


class Record(Struct, frozen=True, rename="camel"):
    """What a gateway says."""


class Document(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What somebody signed."""


class Block(Record, frozen=True):
    number: BlockNumber
    hash: WordText
    timestamp: Moment

    def ref(self) -> models.BlockRef:
        return models.BlockRef(self.number, self.hash, self.timestamp)


class Token(Record, frozen=True):
    address: AddressText
    symbol: Annotated[str, Meta(max_length=64)]
    decimals: Annotated[int, Meta(ge=0, le=77)]


class MarketAnswer(Record, frozen=True):
    chain_id: Annotated[int, Meta(ge=1, lt=1 << 53)]
    market: AddressText
    token: Token
    catalogue: AddressText
    deployed_at_block: BlockNumber
    start_grace: Duration
    claim_grace: Duration
    challenge_window: Duration
    ruling_window: Duration
    bond_floor: Uint128
    opener: AddressText
    arbiter: AddressText
    block: Block

    def terms(self) -> models.MarketTerms:
        return models.MarketTerms(
            chain_id=self.chain_id, market=self.market, token=self.token.address, token_symbol=self.token.symbol,
            token_decimals=self.token.decimals, deployed_at_block=self.deployed_at_block, start_grace=self.start_grace,
            claim_grace=self.claim_grace, challenge_window=self.challenge_window, ruling_window=self.ruling_window,
            bond_floor=TokenUnits(self.bond_floor),
        )  # fmt: skip


class GpuClass(Record, frozen=True):
    gpu_class: GpuClassNumber = field(name="class")
    name: Word
    vram_mib: Annotated[int, Meta(ge=0, lt=1 << 32)]

    def row(self) -> models.GpuClass:
        return models.GpuClass(self.gpu_class, self.name, self.vram_mib)


class Order(Document, frozen=True):
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

    def order(self) -> models.Order:
        return models.Order(
            client=self.client, classes=int(self.classes), offer=OfferId(int(self.offer)), gpus=GpuCount(int(self.gpus)),
            max_seconds=Seconds(int(self.max_seconds)), min_seconds=Seconds(int(self.min_seconds)),
            max_price=PricePerGpuHour(int(self.max_price)), min_bond_bps=Bps(int(self.min_bond_bps)),
            starts_at=UnixTime(int(self.starts_at)), expires_at=UnixTime(int(self.expires_at)), tip=TokenUnits(int(self.tip)),
            opener=self.opener, acceptor=self.acceptor, arbiter=self.arbiter, spec=self.spec, salt=int(self.salt),
        )  # fmt: skip


class Receipt(Document, frozen=True):
    lease: WordText
    offer: Uint40
    opened_at: Uint40
    used_seconds: Uint32
    result: WordText
    last: bool

    def receipt(self) -> models.Receipt:
        opened_at, used_seconds = UnixTime(int(self.opened_at)), Seconds(int(self.used_seconds))
        return models.Receipt(self.lease, OfferId(int(self.offer)), opened_at, used_seconds, self.result, self.last)


class Offer(Record, frozen=True):
    id: OfferNumber
    provider: AddressText
    gpu_class: GpuClassNumber = field(name="class")
    class_name: Word
    gpus: Gpus
    free: Gpus
    bond_bps: Share
    expires_at: Instant
    arbiter: AddressText
    price: Uint80
    min_seconds: Duration
    spec: WordText

    def offer(self) -> models.Offer:
        return models.Offer(
            id=self.id, provider=self.provider, gpu_class=self.gpu_class, gpus=self.gpus, free=self.free, bond_bps=self.bond_bps,
            expires_at=self.expires_at, arbiter=self.arbiter, price=PricePerGpuHour(int(self.price)), min_seconds=self.min_seconds,
            spec=self.spec,
        )  # fmt: skip


class ListedOffer(Offer, frozen=True):
    """With what is known of its machine and its provider."""

    reliability_bps: Share
    machine: Raw = NOTHING
    """The provider's own document: ``domain.spec.read_machine`` reads it."""
    last_heartbeat: Moment | None = None


Next = Annotated[str, Meta(min_length=1, max_length=400)] | None
"""From where a list goes on."""


class OfferPage(Record, frozen=True):
    items: list[ListedOffer]
    next: Next = None


class ClassPage(Record, frozen=True):
    items: list[GpuClass]
    next: Next = None


class Bid(Record, frozen=True):
    id: WordText


class Book(Record, frozen=True):
    gpu_class: GpuClassNumber = field(name="class")
    bids: list[Bid]


class Quote(Record, frozen=True):
    offer: Offer
    class_name: Word
    locked: Uint | None
    bond: Uint | None
    reason: Word
    detail: Sentence


class Quotes(Record, frozen=True):
    quotes: list[Quote]


class OrderName(Record, frozen=True):
    """What the answer to a posted order is read for."""

    id: WordText


class OrderAnswer(Record, frozen=True):
    id: WordText
    state: Word
    order: Order
    accepted_at: Moment
    withdrawn_at: Moment | None = None


class Explanation(Record, frozen=True):
    order: WordText
    placed_on: OfferNumber | None
    reasons: Annotated[dict[Word, Count], Meta(max_length=200)]
    nearest_miss: Sentence
    block: Block


class LeaseAnswer(Record, frozen=True):
    id: WordText
    status: Literal["None", "Open", "Claimed", "Disputed", "Closed"]
    offer: OfferNumber
    provider: AddressText
    payee: AddressText
    price: Uint80
    opened_at: Moment
    paid_seconds: Duration
    claimed_seconds: Duration
    changed_at: Moment
    tip_paid: bool
    no_reopen: bool
    assigned: bool
    by_acceptor: bool
    charged: bool
    exit: Word
    paid: Uint128
    refund: Uint128
    compensation: Uint128
    opened_in_block: BlockNumber
    result: WordText | None
    order: Order | None
    block: Block
    deadline: Instant | None = None
    last_heartbeat: Moment | None = None

    def record(self) -> LeaseRecord:
        """The projection's row."""
        lease = models.Lease(
            status=models.LeaseStatus[self.status.upper()], tip_paid=self.tip_paid, no_reopen=self.no_reopen,
            assigned=self.assigned, by_acceptor=self.by_acceptor, charged=self.charged, offer=self.offer, price=PricePerGpuHour(int(self.price)),
            opened_at=self.opened_at, paid_seconds=self.paid_seconds, claimed_seconds=self.claimed_seconds,
            changed_at=self.changed_at,
        )  # fmt: skip
        return LeaseRecord(
            id=self.id, order=self.order.order() if self.order else None, lease=lease, payee=self.payee,
            provider=self.provider, opened_in_block=self.opened_in_block, paid=TokenUnits(int(self.paid)),
            refund=TokenUnits(int(self.refund)), compensation=TokenUnits(int(self.compensation)), exit=self.exit,
            result=self.result,
        )  # fmt: skip


class SignedReceipt(Record, frozen=True):
    role: Literal["provider", "client"]
    receipt: Receipt
    signature: SignatureText


class Receipts(Record, frozen=True):
    receipts: Annotated[list[SignedReceipt], Meta(max_length=10_000)]


class DeclineTold(Record, frozen=True):
    lease: WordText
    opened_at: Moment
    reason: Annotated[str, Meta(max_length=64)]
    detail: Annotated[str, Meta(max_length=400)]
    signature: SignatureText


class Declines(Record, frozen=True):
    declines: Annotated[list[DeclineTold], Meta(max_length=1_000)]


class JobKey(Record, frozen=True):
    lease: WordText
    key: Annotated[str, Meta(min_length=1, max_length=4096)]


class Outputs(Record, frozen=True):
    lease: WordText
    result: Raw
    """The provider's own document: ``domain.results.read_result`` reads it."""


class LogLength(Record, frozen=True):
    length: Count


class HeartbeatAnswer(Record, frozen=True):
    at: Moment


class SignedBeat(Record, frozen=True):
    provider: AddressText
    offer: OfferNumber
    at: Instant
    signature: SignatureText


class Heartbeats(Record, frozen=True):
    heartbeats: Annotated[list[SignedBeat], Meta(max_length=100)]


class AccountAnswer(Record, frozen=True):
    address: AddressText
    free: Uint
    block: Block | None = None


class TallyTold(Record, frozen=True):
    count: Count
    weight: Uint


class ReputationTold(Record, frozen=True):
    as_of: Moment
    outcomes: dict[Outcome, TallyTold]
    heard: Uint

    def reputation(self) -> Reputation:
        tallies = {outcome: Tally(tally.count, int(tally.weight)) for outcome, tally in self.outcomes.items()}
        return Reputation(self.as_of, tallies, int(self.heard))


class ProviderAnswer(Record, frozen=True):
    address: AddressText
    offers: list[ListedOffer]
    live_leases: Count
    reputation: ReputationTold
    block: Block
    last_heartbeat: Moment | None = None


class RoundEntry(Record, frozen=True):
    round: WordText
    block: BlockNumber
    bytes: Count


class RoundPage(Record, frozen=True):
    items: list[RoundEntry]
    next: Next = None


class LogPiece(Record, frozen=True):
    """An event of a log that is followed."""

    offset: Count
    text: str
    next: Count


class LogEnd(Record, frozen=True):
    length: Count


class Problem(Record, frozen=True):
    """RFC 9457, as much of it as is believed. Every member may be absent: a proxy between us has words of its own."""

    status: Annotated[int, Meta(ge=100, le=599)] = 500
    reason: Word = ""
    detail: Sentence = ""
    title: Sentence = ""
    field: Word = ""
    length: Count | None = None
    """Of the log, where an offset is refused."""
