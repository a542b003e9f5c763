"""What an account lets a delegate spend. Field names and order are the ABI's (docs/reference/specification.md, Shapes)."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.units import TokenUnits, UnixTime


@dataclass(frozen=True, slots=True)
class Budget:
    """What a delegate may still spend of an account's money, and until when it may sign (``budgetOf``)."""

    left: TokenUnits
    until: UnixTime

    def is_alive(self, at: UnixTime) -> bool:
        """A delegate whose time is over is nobody."""
        return at < self.until


NO_BUDGET = Budget(TokenUnits(0), UnixTime(0))
