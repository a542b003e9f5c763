"""What `GET /v1/events?live=true` tells beside the contract's events: new blocks, replaced ones, the book, offers, signs of life."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

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
    Uint80,
    WordText,
)
from marketplace.api.record import BlockTold, Record

Classes = Annotated[list[GpuClassNumber], Meta(max_length=256)]


class HeadTold(Record, frozen=True):
    """`head`: the projection is of this block now. Told of every block, also where nothing happened."""

    number: BlockNumber
    hash: WordText
    timestamp: Moment
    lag: Count
    """Blocks by which the chain's newest one is ahead."""


class ReorganisationTold(Record, frozen=True):
    """`reorg`: the blocks behind ``to``, up to ``from``, have left the chain, and what they did never happened."""

    since: BlockTold = field(name="from")
    to: BlockTold


class BidInBrief(Record, frozen=True):
    """What an order on the book wants."""

    gpus: Gpus
    max_seconds: Duration
    max_price: Uint80
    expires_at: Instant
    accepted_at: Moment


class BookChangeTold(Record, frozen=True):
    """An order that came onto the book, or, without a bid, left it. One that expires leaves it without a word."""

    order: WordText
    client: AddressText
    classes: Classes
    """Those of the catalogue that it would take."""
    bid: BidInBrief | None


class BookChanges(Record, frozen=True):
    """`book`: what has changed since the last one."""

    changes: Annotated[list[BookChangeTold], Meta(max_length=1000)]


class OfferInBrief(Record, frozen=True):
    """An offer that is new, or has other GPUs free, another price, or another end."""

    id: OfferNumber
    provider: AddressText
    gpu_class: GpuClassNumber = field(name="class")
    gpus: Gpus
    free: Gpus
    price: Uint80
    expires_at: Instant


class OfferChanges(Record, frozen=True):
    """`offer`: offers as they are now."""

    offers: Annotated[list[OfferInBrief], Meta(max_length=1000)]


class SignOfLifeTold(Record, frozen=True):
    """`heartbeat`: a provider was alive at this block time."""

    provider: AddressText
    at: Moment
