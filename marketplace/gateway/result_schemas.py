"""The shapes of receipts' submission and of results, as ``schemas`` has the others'."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from marketplace.domain.results import EndedBy, EndedReason
from marketplace.gateway.schemas import BlobText, HexText, Receipt, Shape, WordText


class LeftOut(Shape):
    """What an output holds and its bundle does not."""

    path: str
    why: str


class Output(Shape):
    """A declared output: a tar archive in parts of 64 MiB, each a blob."""

    path: str
    bytes: int
    parts: list[BlobText]
    left_out: list[LeftOut]


class Ended(Shape):
    by: EndedBy
    reason: EndedReason


class LogFile(Shape):
    sha256: BlobText
    bytes: int
    missing_from: int
    missing_bytes: int


class ResultDocument(Shape):
    """Its canonical JSON hashes to the receipt's ``result``."""

    version: Literal[2]
    exit_code: int | None = Field(ge=0, le=255)
    ended: Ended
    outputs: list[Output]
    log: LogFile


class ReceiptSubmission(Shape):
    receipt: Receipt
    role: Literal["provider", "client"]
    signature: HexText
    resultDocument: ResultDocument | None = None


class OutputsAnswer(Shape):
    lease: WordText
    resultSha256: BlobText
    result: ResultDocument
    blobs: dict[str, bool]
