"""What a job would cost on each offer, and why the others cannot serve it."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from marketplace.api.fields import BlobText, Count, Sentence, Share, Uint, Uint80, Word
from marketplace.api.offers import OfferTold
from marketplace.api.orders import OrderDocument
from marketplace.api.record import BlockTold, Document, Record, money
from marketplace.domain.classes import load_classes
from marketplace.domain.market import MarketTerms
from marketplace.domain.units import Bps, TokenUnits


class QuoteTold(Record, frozen=True):
    """One offer's answer: what it would lock of both sides' money, or the reason why it cannot serve."""

    offer: OfferTold
    class_name: Word
    locked: Uint | None
    """T at the offer's price (P-03)."""
    bond: Uint | None
    """B (P-04)."""
    reason: Word
    """Empty where the offer can serve; else a refusal or rejection by name."""
    detail: Sentence
    locked_human: Word | None = None
    bond_human: Word | None = None

    @classmethod
    def of(
        cls, offer: OfferTold, locked: TokenUnits, bond: TokenUnits, reason: str, detail: str, terms: MarketTerms
    ) -> QuoteTold:
        return cls(
            offer, offer.class_name, Uint(locked), Uint(bond), reason, detail, money(locked, terms), money(bond, terms)
        )

    @property
    def can_serve(self) -> bool:
        return not self.reason


class QuotesAnswer(Record, frozen=True):
    quotes: list[QuoteTold]
    block: BlockTold
    limits: dict[Word, Count]
    """What inputs, outputs, logs and documents may hold."""


CLASS_NAMES = "|".join(re.escape(known.name) for known in load_classes())
"""The catalogue's, as a part of a pattern. They are taken in any case."""
ClassWanted = Annotated[str, Meta(min_length=1, max_length=32, extra_json_schema={"pattern": f"^({CLASS_NAMES})$"})]
Region = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]


class DraftQuoteRequest(Document, frozen=True):
    """What is known before an order is signed."""

    gpu: ClassWanted | Annotated[list[ClassWanted], Meta(min_length=1, max_length=64)]
    """A GPU class by name, or several."""
    max_seconds: Annotated[int, Meta(ge=1, lt=1 << 32)]
    gpus: Annotated[int, Meta(ge=1, lt=1 << 16)] = 1
    max_price: Uint80 | None = None
    spec: BlobText | None = None
    """sha256 of an uploaded job spec."""
    prefer_regions: Annotated[tuple[Region, ...], Meta(max_length=64)] = ()
    """Offers there come first where they are hardly dearer."""
    min_reliability_bps: Share = Bps(0)


class OrderQuoteRequest(Document, frozen=True):
    """An order as it would be signed."""

    order: OrderDocument
