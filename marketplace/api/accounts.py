"""Accounts, providers with their reputation, and signs of life."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from marketplace.api.fields import (
    AddressText,
    Count,
    Instant,
    Moment,
    OfferNumber,
    Share,
    SignatureText,
    Uint,
    Word,
    WordText,
)
from marketplace.api.offers import OfferTold
from marketplace.api.record import BlockTold, Document, Record, iso, money
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.market import MarketTerms
from marketplace.domain.reputation import (
    HALF_LIFE_SECONDS,
    PRIOR_BAD,
    PRIOR_GOOD,
    Outcome,
    Reputation,
    Tally,
    units_rounded_down,
)
from marketplace.domain.units import TokenUnits, UnixTime


class AccountAnswer(Record, frozen=True):
    """An account as of a block. ``free`` is what it can withdraw; ``locked`` is what live leases hold of it."""

    address: AddressText
    free: Uint
    locked: Uint | None
    """Null while the projection is being rebuilt."""
    live_leases: list[WordText]
    block: BlockTold
    free_human: Word = ""
    locked_human: Word | None = None

    @classmethod
    def of(
        cls, address: Address, free: TokenUnits, locked: TokenUnits | None, live_leases: list[Bytes32], block: BlockRef, terms: MarketTerms
    ) -> AccountAnswer:  # fmt: skip
        return cls(
            address, Uint(free), None if locked is None else Uint(locked), live_leases, BlockTold.of(block), money(free, terms),
            None if locked is None else money(locked, terms),
        )  # fmt: skip


class TallyTold(Record, frozen=True):
    count: Count
    weight: Uint
    weight_human: Word = ""


class ReputationTold(Record, frozen=True):
    """Weights are billionths of a bond floor, as of ``asOf``; ``docs/explanation/reputation.md`` has the rules."""

    as_of: Moment
    outcomes: dict[Outcome, TallyTold]
    heard: Uint
    failed: Uint
    prior_good: Uint
    prior_bad: Uint
    half_life_seconds: Count
    reliability_bps: Share
    heard_human: Word = ""
    failed_human: Word = ""
    prior_good_human: Word = ""
    prior_bad_human: Word = ""

    @classmethod
    def of(cls, told: Reputation, terms: MarketTerms) -> ReputationTold:
        """With what the weights are in money, and what is assumed before there is any evidence."""

        def in_money(weight: int) -> str:
            return money(units_rounded_down(weight, terms.bond_floor), terms)

        outcomes = {
            outcome: TallyTold(tally.count, Uint(tally.weight), in_money(tally.weight))
            for outcome, tally in sorted(told.tallies.items())
        }
        return cls(
            as_of=told.as_of, outcomes=outcomes, heard=Uint(told.heard), failed=Uint(told.failed), prior_good=Uint(PRIOR_GOOD),
            prior_bad=Uint(PRIOR_BAD), half_life_seconds=HALF_LIFE_SECONDS, reliability_bps=told.score_bps(told.as_of),
            heard_human=in_money(told.heard), failed_human=in_money(told.failed), prior_good_human=in_money(PRIOR_GOOD),
            prior_bad_human=in_money(PRIOR_BAD),
        )  # fmt: skip

    @property
    def reputation(self) -> Reputation:
        tallies = {outcome: Tally(tally.count, int(tally.weight)) for outcome, tally in self.outcomes.items()}
        return Reputation(self.as_of, tallies, int(self.heard))


class ProviderAnswer(Record, frozen=True):
    """What there is to know about a provider. Who never served is a newcomer."""

    address: AddressText
    offers: list[OfferTold]
    live_leases: Count
    standing: ReputationTold = field(name="reputation")
    block: BlockTold
    last_heartbeat: Moment | None = None
    last_heartbeat_time: Word | None = None
    owner: AddressText | None = None
    """Of a company that its owner made itself: who has the same reputation, with all of its companies. Null: it is the provider's own."""

    @classmethod
    def of(
        cls, address: Address, offers: list[OfferTold], live_leases: int, reputation: Reputation, block: BlockRef,
        last_heartbeat: UnixTime | None, terms: MarketTerms, owner: Address | None = None,
    ) -> ProviderAnswer:  # fmt: skip
        standing = ReputationTold.of(reputation, terms)
        heard_at = iso(last_heartbeat)
        return cls(address, offers, live_leases, standing, BlockTold.of(block), last_heartbeat, heard_at, owner)

    @property
    def reputation(self) -> Reputation:
        return self.standing.reputation


class HeartbeatRequest(Document, frozen=True):
    """An empty object."""


class HeartbeatAnswer(Record, frozen=True):
    """The provider's last sign of life."""

    at: Moment
    at_time: Word | None = None

    @classmethod
    def of(cls, at: UnixTime) -> HeartbeatAnswer:
        return cls(at, iso(at))


class BeatTold(Record, frozen=True):
    """A provider's sign of life. ``signature`` is of the text by which it told the gateway that it was alive at the block time ``at``."""

    provider: AddressText
    offer: OfferNumber
    """One of its offers, by which the chain can be asked whether it is a provider; 0: none."""
    at: Instant
    signature: SignatureText
    at_time: Word | None = None

    @classmethod
    def of(cls, provider: Address, offer: OfferId, at: UnixTime, signature: str) -> BeatTold:
        return cls(provider, offer, at, signature, iso(at))


class BeatsAnswer(Record, frozen=True):
    heartbeats: Annotated[list[BeatTold], Meta(max_length=100)]
    block: BlockTold
