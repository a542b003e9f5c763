"""What the market's views answered, for as long as it is known to stand: asking again what cannot have changed is most of what a node is asked.

The market's state changes only where it says so (I-12), and a block's bloom filter says of what its logs may be. Where every header from the
block of an answer to a later one is known, each the parent of the next, and none may hold a log of the market about the subject, the answer
is the later block's, too. After ``BELIEVED_BLOCKS`` it is asked for all the same: whoever tells of headers may be wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from marketplace.chain.bloom import may_hold
from marketplace.chain.headers import Header
from marketplace.domain.blocks import BlockRef

BELIEVED_BLOCKS: Final = 24
_KEPT: Final = 8_192

Between = Callable[[BlockRef, BlockRef], Sequence[Header] | None]
"""The headers after one block up to another, that one's own included; None where not all are known, or the first is no ancestor."""


@dataclass(frozen=True, slots=True)
class _Answer:
    asked_at: BlockRef
    holds_at: BlockRef
    values: tuple[Any, ...]


class ViewCache:
    """Answers by question. Safe to share between threads."""

    def __init__(self, between: Between) -> None:
        self._between = between
        self._lock = threading.Lock()
        self._known: dict[Hashable, _Answer] = {}

    def find(self, question: Hashable, at: BlockRef, words: Sequence[str]) -> tuple[Any, ...] | None:
        """The answer as of this block; None where it has to be asked for.

        ``words``: address and topics that every log has which says that the answer changed. None of them: it never does.
        """
        with self._lock:
            known = self._known.get(question)
            if known is None or at.number - known.asked_at.number > BELIEVED_BLOCKS:
                return None
            if known.holds_at.hash != at.hash:
                headers = self._between(known.holds_at, at)
                if headers is None or any(_may_change(header, words) for header in headers):
                    return None
                self._known[question] = replace(known, holds_at=at)
            return known.values

    def forget(self, question: Hashable) -> None:
        """What was answered is in doubt."""
        with self._lock:
            self._known.pop(question, None)

    def keep(self, question: Hashable, at: BlockRef, values: tuple[Any, ...]) -> None:
        """The node has just answered this for that block."""
        with self._lock:
            self._known.pop(question, None)
            self._known[question] = _Answer(at, at, values)
            if len(self._known) > _KEPT:
                del self._known[next(iter(self._known))]


def _may_change(header: Header, words: Sequence[str]) -> bool:
    return bool(words) and all(may_hold(header.logs_bloom, word) for word in words)
