"""Leases: where one stands, its log, its key, its declines, and what came of the job."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw, field
from msgspec.structs import asdict

from marketplace.api.documents import ResultDocument, named_by_hash
from marketplace.api.fields import (
    AddressText,
    BlobText,
    BlockNumber,
    Count,
    Cursor,
    Duration,
    Instant,
    Moment,
    OfferNumber,
    SignatureText,
    Uint80,
    Uint128,
    Word,
    WordText,
)
from marketplace.api.orders import OrderDocument
from marketplace.api.reading import as_answer
from marketplace.api.record import BlockTold, Document, Record, iso, money, price_text
from marketplace.domain.blocks import BlockRef
from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.declines import MOST_DETAIL, Decline, ObstacleReason, SignedDecline, one_line
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32, Sha256
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.limits import MAX_ENTRUSTED_LETTERS
from marketplace.domain.market import MarketTerms
from marketplace.domain.results import Result, read_result
from marketplace.domain.units import PricePerGpuHour, TokenUnits, UnixTime

StatusWord = Literal["None", "Open", "Claimed", "Disputed", "Closed"]


class LeaseTold(Record, frozen=True):
    """A lease, when it falls to ``expire``, and by when its GPUs are free again."""

    id: WordText
    status: StatusWord
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
    document: OrderDocument | None = field(name="order")
    deadline: Instant | None = None
    """Null where the order is not known, or the lease is not live."""
    ends_by: Instant | None = None
    """At the latest; null where it has none of them."""
    price_human: Word = ""
    paid_human: Word = ""
    refund_human: Word = ""
    compensation_human: Word = ""
    opened_time: Word | None = None
    deadline_time: Word | None = None
    ends_by_time: Word | None = None

    @classmethod
    def row(cls, record: LeaseRecord, deadline: UnixTime | None, terms: MarketTerms) -> LeaseTold:
        lease = record.lease
        ends_by = deadline if lease.status is LeaseStatus.OPEN else None
        return LeaseTold(
            id=record.id, status=lease.status.name.capitalize(), offer=lease.offer, provider=record.provider, payee=record.payee,  # type: ignore[arg-type]  # a test holds them together
            price=Uint80(lease.price), opened_at=lease.opened_at, paid_seconds=lease.paid_seconds, claimed_seconds=lease.claimed_seconds,
            changed_at=lease.changed_at, tip_paid=lease.tip_paid, no_reopen=lease.no_reopen, assigned=lease.assigned,
            by_acceptor=lease.by_acceptor, charged=lease.charged, exit=record.exit, paid=Uint128(record.paid), refund=Uint128(record.refund),
            compensation=Uint128(record.compensation), opened_in_block=record.opened_in_block, result=record.result,
            document=OrderDocument.of(record.order) if record.order else None, deadline=deadline, ends_by=ends_by, price_human=price_text(lease.price, terms), paid_human=money(record.paid, terms),
            refund_human=money(record.refund, terms), compensation_human=money(record.compensation, terms),
            opened_time=iso(lease.opened_at), deadline_time=iso(deadline), ends_by_time=iso(ends_by),
        )  # fmt: skip

    @property
    def record(self) -> LeaseRecord:
        """The projection's row."""
        lease = Lease(
            status=LeaseStatus[self.status.upper()], tip_paid=self.tip_paid, no_reopen=self.no_reopen,
            assigned=self.assigned, by_acceptor=self.by_acceptor, charged=self.charged, offer=self.offer, price=PricePerGpuHour(int(self.price)),
            opened_at=self.opened_at, paid_seconds=self.paid_seconds, claimed_seconds=self.claimed_seconds,
            changed_at=self.changed_at,
        )  # fmt: skip
        return LeaseRecord(
            id=self.id, order=self.document.order if self.document else None, lease=lease, payee=self.payee,
            provider=self.provider, opened_in_block=self.opened_in_block, paid=TokenUnits(int(self.paid)),
            refund=TokenUnits(int(self.refund)), compensation=TokenUnits(int(self.compensation)), exit=self.exit,
            result=self.result,
        )  # fmt: skip


class LeaseAnswer(LeaseTold, frozen=True, kw_only=True):
    """A lease as of a block, when it falls to ``expire``, and its provider's last sign of life."""

    block: BlockTold
    last_heartbeat: Moment | None = None
    last_heartbeat_time: Word | None = None

    @classmethod
    def of(
        cls, record: LeaseRecord, block: BlockRef, deadline: UnixTime | None, last_heartbeat: UnixTime | None, terms: MarketTerms
    ) -> LeaseAnswer:  # fmt: skip
        return cls(
            **asdict(LeaseTold.row(record, deadline, terms)), block=BlockTold.of(block), last_heartbeat=last_heartbeat,
            last_heartbeat_time=iso(last_heartbeat),
        )  # fmt: skip


class LeasePage(Record, frozen=True):
    """Somebody's leases, the newest openings first. A page may be short and lead on all the same."""

    items: list[LeaseTold]
    block: BlockTold
    next: Cursor = None


class DeclineTold(Record, frozen=True):
    """Why a lease was given back. ``signature`` is EIP-191 over a text that names all of it (docs/reference/http.md)."""

    lease: WordText
    opened_at: Moment
    reason: Annotated[str, Meta(max_length=64)]
    detail: Annotated[str, Meta(max_length=400)]
    signature: SignatureText

    @classmethod
    def of(cls, signed: SignedDecline) -> DeclineTold:
        told = signed.decline
        return cls(told.lease, told.opened_at, str(told.reason), told.detail, signed.signature)

    @property
    def signed(self) -> SignedDecline | None:
        """None for a reason that we do not know: a newer provider may have others."""
        if self.reason not in set(map(str, ObstacleReason)):
            return None
        said = Decline(self.lease, self.opened_at, ObstacleReason(self.reason), one_line(self.detail))
        return SignedDecline(said, self.signature)


class DeclinesAnswer(Record, frozen=True):
    declines: Annotated[list[DeclineTold], Meta(max_length=1_000)]


class DeclineDocument(Document, frozen=True):
    """The provider's signed word why it gives a lease back."""

    lease: WordText
    opened_at: Instant
    reason: ObstacleReason
    detail: Annotated[str, Meta(max_length=MOST_DETAIL, pattern=r"^([!-~]([ -~]*[!-~])?)?\Z")]
    """One printable line, without blanks around it. Letters beyond ASCII are taken too."""
    signature: SignatureText


class JobKeyDocument(Document, frozen=True):
    """The key of a sealed job, and a job's secrets, sealed to the recipient in the serving provider's machine description (age, armored)."""

    lease: WordText
    key: Annotated[str, Meta(min_length=1, max_length=MAX_ENTRUSTED_LETTERS, pattern=r"^[\x01-\x7f]*\Z")]


class JobKeyTold(Record, frozen=True):
    """As it was left: whose it is, and whether it is this job's, shows when it is opened."""

    lease: WordText
    key: Annotated[str, Meta(min_length=1, max_length=MAX_ENTRUSTED_LETTERS)]


class OutputsAnswer(Record, frozen=True):
    """The provider's result document for a lease, and which of the blobs that it names are here."""

    lease: WordText
    result_sha256: BlobText
    document: Annotated[Raw, named_by_hash(ResultDocument)] = field(name="result")
    blobs: dict[BlobText, bool]

    @classmethod
    def of(cls, lease: Bytes32, sha256: Sha256, result: Result, blobs: dict[Sha256, bool]) -> OutputsAnswer:
        return cls(lease, sha256, Raw(result.canonical()), blobs)

    def checked(self) -> OutputsAnswer:
        """Itself, where its document can be read. Raises UnreadableAnswer."""
        _ = self.result
        return self

    @property
    def content(self) -> bytes:
        """The document in its canonical form, which its hash names. Raises UnreadableAnswer."""
        try:
            return canonical_json(parse_json(bytes(self.document), field="result"))
        except InvalidField as exc:
            raise as_answer(exc) from None

    @property
    def result(self) -> Result:
        """The document, parsed. Raises UnreadableAnswer."""
        try:
            return read_result(self.content)
        except InvalidField as exc:
            raise as_answer(exc) from None


class LogLength(Record, frozen=True):
    """How long the log is now, in bytes."""

    length: Count


class LogPiece(Record, frozen=True):
    """An event of a log that is followed. Offsets are bytes."""

    offset: Count
    text: str
    next: Count
    """Where to go on."""


class LogEnd(Record, frozen=True):
    """The last event of a log: nothing will be appended any more."""

    length: Count
