"""The rounds that were written down to be posted. A round itself is a document named by its hash (``documents``)."""

from __future__ import annotations

from marketplace.api.fields import BlockNumber, Count, Cursor, Uint, Word, WordText
from marketplace.api.record import Record, money
from marketplace.domain.ids import Bytes32
from marketplace.domain.market import MarketTerms
from marketplace.domain.rounds import RoundSums


class RoundTold(Record, frozen=True):
    round: WordText
    block: BlockNumber
    """The number of its snapshot's."""
    bytes: Count
    fills: Count | None = None
    """As it was decided; the contract may have refused some. Null, as what follows, where nobody wrote it down."""
    gpus: Count | None = None
    client_gain: Uint | None = None
    """For all of the orders' time, how much less than their limits clients pay."""
    provider_gain: Uint | None = None
    """How much more than they ask providers get."""
    client_gain_human: Word | None = None
    provider_gain_human: Word | None = None

    @classmethod
    def of(cls, round_hash: Bytes32, block: int, size: int, sums: RoundSums | None, terms: MarketTerms) -> RoundTold:
        if sums is None:
            return cls(round_hash, block, size)
        return cls(
            round_hash, block, size, sums.fills, sums.gpus, Uint(sums.client_gain), Uint(sums.provider_gain),
            money(sums.client_gain, terms), money(sums.provider_gain, terms),
        )  # fmt: skip


class RoundPage(Record, frozen=True):
    items: list[RoundTold]
    next: Cursor = None
