"""What every record is made of, and how one is written. Which twins for people stand beside the numbers for machines.

``price`` has a twin ``priceHuman``, ``expiresAt`` one named ``expiresTime``. Twins are made where a record is made; who reads one may miss them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from msgspec import Struct
from msgspec.json import Encoder

from marketplace.api.fields import LAST_MOMENT, BlockNumber, Moment, Uint, Word, WordText
from marketplace.domain.blocks import BlockRef
from marketplace.domain.market import MarketTerms
from marketplace.domain.units import UnixTime, iso_from_time, text_from_units


class Record(Struct, frozen=True, rename="camel"):
    """What a gateway says. It may say more than we read: a newer one does."""


class Document(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What somebody signed or asks for: it has exactly its fields."""


class BlockTold(Record, frozen=True):
    """The block as of which all of an answer is true."""

    number: BlockNumber
    hash: WordText
    timestamp: Moment
    time: Word | None = None

    @classmethod
    def of(cls, block: BlockRef) -> BlockTold:
        return cls(block.number, block.hash, block.timestamp, iso(block.timestamp))

    @property
    def ref(self) -> BlockRef:
        return BlockRef(self.number, self.hash, self.timestamp)


def to_json(answer: Any) -> bytes:
    """The bytes of an answer."""
    return _ENCODER.encode(answer)


def _written(value: Any) -> Any:
    if isinstance(value, Uint):
        return str(int(value))
    raise NotImplementedError(f"{type(value).__name__} is no kind of field")


_ENCODER = Encoder(enc_hook=_written)


@lru_cache(maxsize=4096)
def iso(at: UnixTime | None) -> str | None:
    """ISO-8601 UTC; None for instants beyond the year 9999, which 40 bits can hold and calendars cannot."""
    return iso_from_time(at) if at is not None and at <= LAST_MOMENT else None


def money(units: int, terms: MarketTerms) -> str:
    """``2.50 tUSD``."""
    return f"{text_from_units(units, terms.token_decimals)} {terms.token_symbol}"


def price_text(units: int, terms: MarketTerms) -> str:
    """``0.40 tUSD/GPU-h``."""
    return f"{money(units, terms)}/GPU-h"
