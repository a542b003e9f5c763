"""What a scheduler may choose for itself. Nothing here can move money beyond what both sides signed."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.units import Seconds


@dataclass(frozen=True, slots=True)
class Policy:
    """The knobs of one scheduler, part of every snapshot so that a round can be replayed."""

    heartbeat_seconds: Seconds = Seconds(60)  # noqa: RUF009  a NewType call is the integer itself
    """A provider that gave no sign of life for longer, in block time, gets no new work."""
    refusal_cooldown_blocks: int = 5
    """For so many blocks a pair that the contract refused is not proposed again."""
    decline_cooldown_seconds: Seconds = Seconds(600)  # noqa: RUF009
    """For so long, in block time, an order does not go back to a provider that declined it."""
    mining_margin_seconds: Seconds = Seconds(5)  # noqa: RUF009
    """A fill is mined later than it is planned: what expires within this time counts as expired."""
    max_fills: int = 100
    """Fills in one transaction: about 6M gas (protocol, Costs), far below any block's limit."""
