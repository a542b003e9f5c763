"""How patient an agent is, and what it lets jobs use beside what their specs ask for."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.market import MarketTerms
from marketplace.domain.units import Seconds

LEAST_SLICE_SECONDS = 60
"""Unless the operator wants it otherwise."""
_HOUR = 3_600
"""The claim grace is there for chains that stall, and is no measure of how fast people and gateways are."""


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """Everything that an operator may tune. All seconds are block time."""

    patience_seconds: Seconds
    """How long the client's side may take to sign our receipt before we claim."""
    claim_margin_seconds: Seconds
    """How long before the deadline we claim, patient or not: a claim that is mined too late costs the bond."""
    decline_margin_seconds: Seconds
    """How long before the end of the start grace we decline what cannot be fetched."""
    keeper_head_start_seconds: Seconds
    """How long we leave ``finalize`` and ``expire`` to the market's keeper once they are due."""
    heartbeat_seconds: Seconds
    listing_seconds: Seconds
    """How often the listings are compared with the inventory again (renewals)."""
    fetch_patience_seconds: Seconds
    """How long an open lease waits for a gateway that does not deliver its inputs, once it is too late to decline."""
    wall_slack_seconds: Seconds
    """Block time ends a job; the executor's wall clock is the second line, this much later."""
    slice_seconds: Seconds
    """How long a session, or another long lease, runs before its client is asked to sign for it, and is paid for so far."""
    away_seconds: Seconds
    """A job that did not survive an absence this long is not begun again: a client orders elsewhere by then, unless it said otherwise."""
    grace_seconds: int = 10
    """By the machine's clock: between SIGTERM and SIGKILL of a job that has to go."""
    unattended_seconds: int = 120
    """By the machine's clock: how long a job runs on when its agent has died, until the next one adopts it."""
    log_bytes: int = 16 * 1024 * 1024

    @classmethod
    def for_terms(cls, terms: MarketTerms, slice_seconds: int = 0) -> AgentPolicy:
        """Shares of the market's own windows, for a local chain of seconds; bounded, where a window is a day long.

        ``slice_seconds``: what the operator said of it, 0 for nothing.
        """
        return cls(
            patience_seconds=Seconds(min(2 * terms.claim_grace, _HOUR)),
            claim_margin_seconds=Seconds(max(2, min(2 * terms.claim_grace // 5, 6 * _HOUR))),
            decline_margin_seconds=Seconds(max(2, terms.start_grace // 3)),
            keeper_head_start_seconds=Seconds(max(2, min(terms.claim_grace // 5, _HOUR // 6))),
            heartbeat_seconds=Seconds(2),
            listing_seconds=Seconds(600),
            fetch_patience_seconds=Seconds(min(4 * terms.claim_grace, _HOUR)),
            wall_slack_seconds=Seconds(2),
            slice_seconds=Seconds(slice_seconds or max(LEAST_SLICE_SECONDS, min(terms.claim_grace, _HOUR))),
            away_seconds=Seconds(3 * terms.start_grace),
            grace_seconds=max(2, min(10, terms.claim_grace // 5)),
        )
