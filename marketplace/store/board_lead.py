"""Who leads, on the board: a name, a token, and a time after which it is anybody's again.

A Redis that is wiped forgets it, and a holder that was suspended may not know that it is over. So nothing may be unsafe with two leaders at
once for a moment: what they write must be fenced elsewhere.
"""

from __future__ import annotations

from enum import IntEnum

from marketplace.store import board_keys as keys
from marketplace.store.board_connection import RedisConnection


class Took(IntEnum):
    """What became of an attempt to lead, as ``lead.lua`` says it."""

    ANOTHERS = 0
    KEPT = 1
    TAKEN = 2


class LeadTable:
    """The leads of one board. All methods raise StoreUnavailable."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis

    def take(self, name: str, token: str, milliseconds: int) -> Took:
        """Lead from now on for so long, if nobody else does."""
        return Took(self._redis.run("lead", (keys.lead(name),), (token, milliseconds)))

    def leave(self, name: str, token: str) -> bool:
        """Let another lead at once; False where it was not ours any more."""
        return bool(self._redis.run("leave", (keys.lead(name),), (token,)))
