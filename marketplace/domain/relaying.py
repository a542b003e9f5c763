"""The ways into a relay, and how much passes through one at a time. What passes is ciphertext: a relay reads nothing of it.

A provider's agent keeps one line open for each lease at which its client may sit (``line_path``). When a client comes
(``caller_path``), the relay tells the agent a *ticket* over that line, and the agent brings a leg of its own for it
(``answer_path``): nobody else knows the ticket. Then the two legs are joined.
"""

from __future__ import annotations

import re
from typing import Final

from marketplace.domain.ids import Bytes32

FRAME_BYTES: Final = 1 << 16
"""The longest piece that is passed on at once."""
FRAMES: Final = 16
"""So many of one leg wait at most, before its sender has to."""
KEEPALIVE_SECONDS: Final = 20
"""Between two signs of life on each leg; one that misses two is closed."""
MEET_SECONDS: Final = 20
"""How long a client waits for the agent, and a ticket is good."""

_PATH: Final = re.compile(r"/v1/relay/(0x[0-9a-f]{64})/(line|caller|answer)(?:/([A-Za-z0-9_-]{43}))?")


def line_path(lease: Bytes32) -> str:
    """Where the agent waits. Signed by the lease's provider."""
    return f"/v1/relay/{lease}/line"


def caller_path(lease: Bytes32) -> str:
    """Where a client comes in. Signed by its side of the lease."""
    return f"/v1/relay/{lease}/caller"


def answer_path(lease: Bytes32, ticket: str) -> str:
    """Where the agent brings the other leg."""
    return f"/v1/relay/{lease}/answer/{ticket}"


def way_in(path: str) -> tuple[Bytes32, str, str] | None:
    """The lease, which of the three, and the ticket; None for any other path."""
    found = _PATH.fullmatch(path)
    if found is None or (found[2] == "answer") != (found[3] is not None):
        return None
    return Bytes32(found[1]), found[2], found[3] or ""
