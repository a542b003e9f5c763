"""Sessions: jobs without a command of their own, which keep their machine until they are ended, or their time is up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from marketplace.domain.errors import InvalidField
from marketplace.domain.json_reader import Reader
from marketplace.domain.units import Seconds

KEPT_SECONDS: Final = Seconds(600)
"""Block time from a session's close, for which its provider's agent keeps its files for a follow-on."""
LEAST_IDLE_SECONDS = 60
_MOST_IDLE_SECONDS = 1 << 31
_LEASE: Final = re.compile(r"0x[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a spec says of a session."""

    idle_stop_seconds: int = 0
    """After so long without a process of anybody's it ends by itself, and well; 0: it does not."""
    follows: str = ""
    """The lease of the session that it goes on with: on the same machine it ends that one, and has its files; empty: none."""

    def document(self) -> dict[str, int | str]:
        """As the spec says it."""
        idle = {"idle_stop_seconds": self.idle_stop_seconds} if self.idle_stop_seconds else {}
        return idle | ({"follows": self.follows} if self.follows else {})


def read_session(reader: Reader) -> SessionTerms | None:
    """The part ``session`` of a spec, if it has one."""
    value = reader.take("session", dict, None)
    if value is None:
        return None
    inner = Reader(value, "spec.session")
    has_end = inner.has("idle_stop_seconds")
    idle = inner.number("idle_stop_seconds", LEAST_IDLE_SECONDS, _MOST_IDLE_SECONDS) if has_end else 0
    is_follow_on = inner.has("follows")
    follows = inner.take("follows", str, "")
    if is_follow_on and not _LEASE.fullmatch(follows):
        raise InvalidField("spec.session.follows", "must be a lease: 0x and 64 hex digits in lower case")
    inner.end()
    return SessionTerms(idle, follows)
