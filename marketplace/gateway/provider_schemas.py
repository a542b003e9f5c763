"""The shapes of what is told about a provider; see ``schemas``."""

from __future__ import annotations

from marketplace.domain.reputation import Outcome
from marketplace.gateway.schemas import AddressText, Block, Decimal, Offer, Shape


class Tally(Shape):
    count: int
    weight: Decimal
    weightHuman: str


class Reputation(Shape):
    """Weights are billionths of a bond floor, as of ``asOf``; ``docs/explanation/reputation.md`` has the rules."""

    reliabilityBps: int
    asOf: int
    outcomes: dict[Outcome, Tally]
    heard: Decimal
    heardHuman: str
    failed: Decimal
    failedHuman: str
    priorGood: Decimal
    priorGoodHuman: str
    priorBad: Decimal
    priorBadHuman: str
    halfLifeSeconds: int


class ProviderAnswer(Shape):
    address: AddressText
    offers: list[Offer]
    liveLeases: int
    lastHeartbeat: int | None
    lastHeartbeatTime: str | None
    reputation: Reputation
    block: Block


class SignedBeat(Shape):
    """``signature`` is the provider's, of the text by which it told the gateway that it was alive at the block time ``at``."""

    provider: AddressText
    offer: int
    at: int
    atTime: str | None
    signature: str


class Heartbeats(Shape):
    heartbeats: list[SignedBeat]
    block: Block
