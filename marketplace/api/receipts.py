"""Receipts, as one side hands them to the other."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, UnsetType, field

from marketplace.api.documents import ResultDocument, named_by_hash
from marketplace.api.fields import Moment, SignatureText, Uint32, Uint40, Word, WordText
from marketplace.api.record import BlockTold, Document, Record, iso
from marketplace.domain.ids import OfferId
from marketplace.domain.receipts import Receipt
from marketplace.domain.units import Seconds, UnixTime

Side = Literal["provider", "client"]


class ReceiptDocument(Document, frozen=True):
    """EIP-712 type ``Receipt``."""

    lease: WordText
    offer: Uint40
    opened_at: Uint40
    used_seconds: Uint32
    result: WordText
    last: bool

    @classmethod
    def of(cls, receipt: Receipt) -> ReceiptDocument:
        return cls(
            receipt.lease, Uint40(receipt.offer), Uint40(receipt.opened_at), Uint32(receipt.used_seconds), receipt.result, receipt.last
        )  # fmt: skip

    @property
    def receipt(self) -> Receipt:
        opened_at, used_seconds = UnixTime(int(self.opened_at)), Seconds(int(self.used_seconds))
        return Receipt(self.lease, OfferId(int(self.offer)), opened_at, used_seconds, self.result, self.last)


class ReceiptSubmission(Document, frozen=True):
    """A provider's last receipt brings the result document whose canonical form hashes to ``receipt.result``."""

    receipt: ReceiptDocument
    role: Side
    signature: SignatureText
    result_document: Annotated[Raw, named_by_hash(ResultDocument)] | UnsetType = UNSET


class ReceiptTold(Record, frozen=True):
    """A receipt with the signature of one side. A gateway has checked it; who reads it checks again."""

    role: Side
    document: ReceiptDocument = field(name="receipt")
    signature: SignatureText
    at: Moment
    """Block time at which it came."""
    at_time: Word | None = None

    @classmethod
    def of(cls, role: Side, receipt: Receipt, signature: str, at: UnixTime) -> ReceiptTold:
        return cls(role, ReceiptDocument.of(receipt), signature, at, iso(at))

    @property
    def receipt(self) -> Receipt:
        return self.document.receipt


class ReceiptsAnswer(Record, frozen=True):
    """Both sides' receipts of one serving, oldest first."""

    receipts: Annotated[list[ReceiptTold], Meta(max_length=10_000)]
    block: BlockTold
