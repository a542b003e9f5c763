"""What is named by its hash and stands in answers byte for byte: how it looks, for OpenAPI. The domain's own readers read it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from marketplace.api.fields import (
    AddressText,
    BlobText,
    Count,
    GpuClassNumber,
    Gpus,
    OfferNumber,
    Sentence,
    Uint80,
    Word,
    WordText,
)
from marketplace.api.record import BlockTold
from marketplace.domain.results import EndedBy, EndedReason

Mib = Annotated[int, Meta(ge=0, le=1 << 53)]


def named_by_hash(kind: type[Struct], *, or_null: bool = False) -> Meta:
    """Marks a field that holds such a document."""
    shown = {"$ref": f"#/components/schemas/{kind.__name__}"}
    return Meta(extra_json_schema={"anyOf": [shown, {"type": "null"}]} if or_null else shown)


class HashedDocument(Struct, frozen=True):
    """Its names are as its writer hashed them."""


class GpuDocument(HashedDocument, frozen=True):
    model: Word
    vram_mib: Mib
    count: Gpus


class MachineDocument(HashedDocument, frozen=True):
    """What a provider says about its machine; ``measured`` false means that nobody looked."""

    version: Literal[1]
    region: Word
    gpu: GpuDocument
    cpus: Count
    memory_mib: Mib
    disk_mib: Mib
    measured: bool
    egress_mib: Mib = 0
    """How much a job may send and receive; 0: it has no network."""
    recipient: Sentence | None = None
    """To which the keys of sealed jobs are sealed (age)."""


class LeftOutDocument(HashedDocument, frozen=True):
    """What an output holds and its bundle does not."""

    path: Sentence
    why: Word


class OutputDocument(HashedDocument, frozen=True):
    """A declared output: a tar archive in parts of 64 MiB, each a blob."""

    path: Sentence
    bytes: Count
    parts: list[BlobText]
    left_out: list[LeftOutDocument]


class EndedDocument(HashedDocument, frozen=True):
    by: EndedBy
    reason: EndedReason


class LogDocument(HashedDocument, frozen=True):
    sha256: BlobText
    bytes: Count
    missing_from: Count
    missing_bytes: Count


class ResultDocument(HashedDocument, frozen=True):
    """What came of a job. Its canonical JSON hashes to the receipt's ``result``."""

    version: Literal[2]
    exit_code: Annotated[int, Meta(ge=0, le=255)] | None
    ended: EndedDocument
    outputs: list[OutputDocument]
    log: LogDocument


class PlacementDocument(HashedDocument, frozen=True):
    order: WordText
    offer: OfferNumber
    price: Uint80


class PlanPriceDocument(HashedDocument, frozen=True, rename="camel"):
    gpu_class: GpuClassNumber = field(name="class")
    first_offer: OfferNumber
    free: Count
    gpus: Count
    price: Uint80


class PlanDocument(HashedDocument, frozen=True, rename="camel"):
    """A round's plan. Its canonical JSON (RFC 8785) hashes to the round."""

    version: Count
    chain_id: Count
    market: AddressText
    opener: AddressText
    block: BlockTold
    snapshot: BlobText
    placements: list[PlacementDocument]
    prices: list[PlanPriceDocument]
