"""What is done about a word of the node that no event goes with."""

from __future__ import annotations

from collections.abc import Callable

from marketplace.domain.blocks import BlockRef


class TwiceTold:
    """A word of the node without an event is believed at two blocks, each asked anew: one false answer must not cost a bond."""

    def __init__(self) -> None:
        self.since: BlockRef | None = None
        """The first block at which it was told; None where it was told otherwise last."""
        self._asked_at: BlockRef | None = None
        self._is_sure = False

    def is_sure(self, at: BlockRef, ask: Callable[[BlockRef], bool]) -> bool:
        """Whether it is told at this block and was at another one before it. Asks once for each block."""
        if self._asked_at != at:
            is_told = ask(at)
            self._asked_at, self._is_sure = at, is_told and self.since is not None
            self.since = (self.since or at) if is_told else None
        return self._is_sure

    def forget(self) -> None:
        self.since, self._asked_at, self._is_sure = None, None, False
