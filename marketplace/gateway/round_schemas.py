"""The shapes of rounds, as ``schemas`` has the others'."""

from __future__ import annotations

from pydantic import Field

from marketplace.gateway.schemas import AddressText, BlobText, Block, Decimal, Shape, WordText


class RoundEntry(Shape):
    round: WordText
    block: int = Field(description="the number of its snapshot's block")
    bytes: int


class RoundPage(Shape):
    items: list[RoundEntry]
    next: str | None


class PlanPlacement(Shape):
    order: WordText
    offer: int
    price: Decimal


class PlanPrice(Shape):
    gpu_class: int = Field(alias="class")
    firstOffer: int
    free: int
    gpus: int
    price: Decimal


class PlanDocument(Shape):
    """Its canonical JSON (RFC 8785) hashes to the round."""

    version: int
    chainId: int
    market: AddressText
    opener: AddressText
    block: Block
    snapshot: BlobText
    placements: list[PlanPlacement]
    prices: list[PlanPrice]
