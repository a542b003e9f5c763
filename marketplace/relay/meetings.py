"""Who waits for whom at a relay: lines of agents, clients that were announced on them, and the legs that answer.

Nothing here reads or writes a byte of what passes. All of it lives in one event loop.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Protocol

from marketplace.domain.errors import TooManyRequests
from marketplace.domain.ids import Bytes32
from marketplace.domain.relaying import MEET_SECONDS
from marketplace.domain.ssh import EntryReason, EntryRefused

MOST_CALLERS: Final = 32
"""Clients at one lease at a time, those that wait included: some programs open a connection for each file."""
MOST_LEGS: Final = 4_096
"""Connections of a whole relay."""


class Leg(Protocol):
    """One WebSocket."""

    async def send(self, message: str) -> None: ...

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


class Meetings:
    """The lines and tickets of one relay."""

    def __init__(self, *, most_callers: int = MOST_CALLERS, most_legs: int = MOST_LEGS) -> None:
        self._most_callers, self._most_legs = most_callers, most_legs
        self._lines: dict[Bytes32, _Line] = {}
        self._waiting: dict[tuple[Bytes32, str], asyncio.Future[Leg]] = {}
        self._callers: Counter[Bytes32] = Counter()
        self.legs = 0

    def admit(self) -> None:
        """Count one more connection; ``leave`` takes it back. Raises TooManyRequests."""
        if self.legs >= self._most_legs:
            raise TooManyRequests(f"this relay carries {self._most_legs} connections", MEET_SECONDS)
        self.legs += 1

    def leave(self) -> None:
        """A connection is over."""
        self.legs -= 1

    async def keep_line(self, lease: Bytes32, leg: Leg) -> asyncio.Event:
        """Announce clients of that lease on this line from now on; what is set when another one takes its place."""
        before = self._lines.get(lease)
        kept = _Line(leg)
        self._lines[lease] = kept
        if before is not None:
            before.is_replaced.set()
        return kept.is_replaced

    def drop_line(self, lease: Bytes32, leg: Leg) -> None:
        """Announce nobody on it any more."""
        kept = self._lines.get(lease)
        if kept is not None and kept.leg is leg:
            del self._lines[lease]

    async def answered(self, lease: Bytes32) -> Leg:
        """Announce a client, and wait for the agent's leg. The caller then says ``hung_up``. Raises EntryRefused, TooManyRequests."""
        if self._callers[lease] >= self._most_callers:
            raise TooManyRequests(f"{self._most_callers} connections to one job at a time", MEET_SECONDS)
        line = self._lines.get(lease)
        if line is None:
            raise EntryRefused(
                EntryReason.JOB_GONE, "its provider keeps no line here: the job does not run, or takes no ssh"
            )
        self._callers[lease] += 1
        ticket = secrets.token_urlsafe(32)
        answer: asyncio.Future[Leg] = asyncio.get_running_loop().create_future()
        self._waiting[lease, ticket] = answer
        try:
            async with asyncio.timeout(MEET_SECONDS):
                await line.leg.send(ticket)
                return await answer
        except (TimeoutError, ConnectionError) as exc:
            self.hung_up(lease)
            raise EntryRefused(EntryReason.JOB_GONE, f"its provider did not answer within {MEET_SECONDS} s") from exc
        except BaseException:
            self.hung_up(lease)
            raise
        finally:
            del self._waiting[lease, ticket]

    def hung_up(self, lease: Bytes32) -> None:
        """A client that was counted is gone."""
        self._callers[lease] -= 1
        if not self._callers[lease]:
            del self._callers[lease]

    def answer(self, lease: Bytes32, ticket: str, leg: Leg) -> bool:
        """Bring the agent's leg for a ticket, once; False where nobody waits with it (any more)."""
        waiting = self._waiting.get((lease, ticket))
        if waiting is None or waiting.done():
            return False
        waiting.set_result(leg)
        return True


@dataclass(slots=True)
class _Line:
    leg: Leg
    is_replaced: asyncio.Event = field(default_factory=asyncio.Event)
