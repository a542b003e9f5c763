"""Companies: providers that are code."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from msgspec.structs import asdict

from marketplace.api.fields import AddressText, Uint, Word, WordText
from marketplace.api.offers import OfferTold
from marketplace.api.record import BlockTold, Record, money
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.market import MarketTerms
from marketplace.domain.units import TokenUnits

MOST_OFFERS = 8
"""That a company lists in its life (S-1)."""


class CompanyTold(Record, frozen=True):
    """Whose a company is, who speaks for it, and to whom its income is pledged."""

    spv: AddressText
    owner: AddressText
    operator: AddressText
    """Whose key signs and speaks for it at this block (S-5b)."""
    free: Uint
    """Its free balance in the market."""
    allowed: AddressText | None
    """Which vault its owner lets take its income in pledge."""
    creditor: AddressText | None
    """To which vault it is pledged; null: to nobody."""
    lease: WordText | None
    """Which lease is pledged."""
    block: BlockTold
    free_human: Word = ""

    @classmethod
    def of(
        cls, spv: Address, owner: Address, operator: Address, free: TokenUnits, allowed: Address | None, creditor: Address | None,
        lease: Bytes32 | None, block: BlockRef, terms: MarketTerms,
    ) -> CompanyTold:  # fmt: skip
        return cls(spv, owner, operator, Uint(free), allowed, creditor, lease, BlockTold.of(block), money(free, terms))


class CompanyAnswer(CompanyTold, frozen=True, kw_only=True):
    """One company with its offers, those that have expired, too."""

    offers: Annotated[list[OfferTold], Meta(max_length=MOST_OFFERS)]

    @classmethod
    def at(cls, told: CompanyTold, offers: list[OfferTold]) -> CompanyAnswer:
        return cls(**asdict(told), offers=offers)
