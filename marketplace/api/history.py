"""What GPUs of a class have cost over time, and how a provider's score has moved: sums that the indexer keeps as it goes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from marketplace.api.fields import Count, Cursor, GpuClassNumber, Moment, Share, Uint80, Word, WordText
from marketplace.api.record import BlockTold, Record, iso, price_text
from marketplace.domain.annals import ScoreChange
from marketplace.domain.history import Span
from marketplace.domain.market import MarketTerms
from marketplace.domain.reputation import Outcome
from marketplace.domain.units import UnixTime

SpanSeconds = Literal[60, 3600, 86400]
MOST_SPANS = 100


class SpanTold(Record, frozen=True):
    """One span of block time. Prices, per GPU-hour, are those at which leases opened in it: null where none did."""

    start: Moment
    first: Uint80 | None
    last: Uint80 | None
    lowest: Uint80 | None
    highest: Uint80 | None
    mean: Uint80 | None
    """Weighed by GPUs, rounded down."""
    opened: Count
    """Leases."""
    gpus_opened: Count
    let: Count
    """GPUs of open leases at the span's end; of one that is not over, now."""
    listed: Count
    """GPUs of offers that have not expired, then. Who is silent is not in it: signs of life are not on the chain."""
    mean_human: Word | None = None
    start_time: Word | None = None

    @classmethod
    def of(cls, start: UnixTime, span: Span, let: int, listed: int, terms: MarketTerms) -> SpanTold:
        mean = span.weighted // span.gpus_opened if span.gpus_opened else None
        prices = (span.first, span.last, span.lowest, span.highest)
        first, last, lowest, highest = (Uint80(price) if span.opened else None for price in prices)
        return cls(
            start, first, last, lowest, highest, None if mean is None else Uint80(mean), span.opened, span.gpus_opened,
            max(0, let), max(0, listed), None if mean is None else price_text(mean, terms), iso(start),
        )  # fmt: skip


class HistoryAnswer(Record, frozen=True):
    """A class over time, span by span without gaps, oldest first."""

    gpu_class: GpuClassNumber = field(name="class")
    class_name: Word
    bucket_seconds: SpanSeconds
    items: Annotated[list[SpanTold], Meta(max_length=MOST_SPANS)]
    block: BlockTold


class ScoreTold(Record, frozen=True):
    """A provider's score after one of its servings had an outcome. Between two of them it moves towards a newcomer's, slowly."""

    score_bps: Share
    outcome: Outcome
    lease: WordText
    block: BlockTold
    tx: WordText

    @classmethod
    def of(cls, change: ScoreChange) -> ScoreTold:
        ref = change.ref
        return cls(change.score_bps, change.outcome, change.lease, BlockTold.of(ref.block), ref.tx_hash)


class ScorePage(Record, frozen=True):
    """Newest first."""

    items: list[ScoreTold]
    block: BlockTold
    next: Cursor = None
