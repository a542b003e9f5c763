"""What a round came to, in sums."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.units import TokenUnits


@dataclass(frozen=True, slots=True)
class RoundSums:
    """Of a plan, as it was decided: the contract may have refused some of it. Gains are for all of the orders' time, rounded down."""

    fills: int
    gpus: int
    client_gain: TokenUnits
    """What clients would have paid beyond what they pay: their limits less the prices."""
    provider_gain: TokenUnits
    """What providers get beyond what they ask: the prices less their asks."""
