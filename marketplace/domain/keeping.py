"""Sessions: jobs without a command of their own, which keep their machine until they are ended, or their time is up."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.json_reader import Reader

LEAST_IDLE_SECONDS = 60
_MOST_IDLE_SECONDS = 1 << 31


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a spec says of a session."""

    idle_stop_seconds: int = 0
    """After so long without a process of anybody's it ends by itself, and well; 0: it does not."""

    def document(self) -> dict[str, int]:
        """As the spec says it."""
        return {"idle_stop_seconds": self.idle_stop_seconds} if self.idle_stop_seconds else {}


def read_session(reader: Reader) -> SessionTerms | None:
    """The part ``session`` of a spec, if it has one."""
    value = reader.take("session", dict, None)
    if value is None:
        return None
    inner = Reader(value, "spec.session")
    has_end = inner.has("idle_stop_seconds")
    found = SessionTerms(inner.number("idle_stop_seconds", LEAST_IDLE_SECONDS, _MOST_IDLE_SECONDS) if has_end else 0)
    inner.end()
    return found
