"""What a daemon's step waits for. Business code says it; only ``marketplace.daemon`` sleeps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NextWake:
    """Run the next step after at most this many seconds, or at once when something is pushed to the daemon."""

    within_seconds: float

    @classmethod
    def at_once(cls) -> NextWake:
        return cls(0.0)
