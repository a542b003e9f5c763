"""The newest blocks, each held against its parent: what is read of them is of one chain, or is not read at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from marketplace.chain.blocks import Chain
from marketplace.chain.headers import Header
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError, ChainUnavailable
from marketplace.domain.ids import Bytes32

_KEPT: Final = 512
"""Headers remembered: more than are walked at once, and a quarter of a kilobyte each."""
_ASKED_AT_ONCE: Final = 100
"""Headers of one batch."""


class HeaderChain:
    """Headers by hash, as the node told them. Safe for one thread; a header never changes, so memory is never out of date."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._known: dict[Bytes32, Header] = {}

    def newest(self) -> Header:
        """The newest block's header."""
        return self._keep(self._chain.head_header())

    def numbered(self, number: int) -> Header:
        """The header that the node has at this height now. Raises ChainUnavailable, also where it tells of another height."""
        header = self._chain.header(number)
        if header.ref.number != number:
            raise ChainUnavailable(f"the node tells of block {header.ref.number} when asked for block {number}")
        return self._keep(header)

    def of(self, numbers: Sequence[int]) -> Mapping[int, Header]:
        """The headers that the node has at these heights now. Raises ChainUnavailable where one is missing, or is of another height."""
        found: dict[int, Header] = {}
        for first in range(0, len(numbers), _ASKED_AT_ONCE):
            some = numbers[first : first + _ASKED_AT_ONCE]
            for number, header in zip(some, self._answers(some), strict=True):
                if header is None or header.ref.number != number:
                    raise ChainUnavailable(f"the node does not know block {number} yet")
                found[number] = header
        return found

    def down_to(self, number: int, top: Header) -> Sequence[Header]:
        """The headers from ``number`` up to ``top``, each the parent of the next. Raises ChainUnavailable where they are not (any more)."""
        found, is_asked = [top], False
        while found[-1].ref.number > number:
            lowest = found[-1]
            parent = self._known.get(lowest.parent)
            if parent is None and not is_asked:
                is_asked = True
                self._ask(range(number, lowest.ref.number))
                continue
            if parent is None or parent.ref.number != lowest.ref.number - 1:
                raise ChainUnavailable(f"block {lowest.ref.number - 1} changed while it was read")
            found.append(parent)
        return found[::-1]

    def newest_standing(self, blocks: Sequence[BlockRef]) -> BlockRef | None:
        """The newest of these blocks that is still in the node's chain; None where none is. Asks for a few at a time, newest first."""
        waiting, at_once = sorted(blocks, key=lambda block: -block.number), 4
        while waiting:
            some, waiting = waiting[:at_once], waiting[at_once:]
            at_once *= 4
            for block, header in zip(some, self._answers([block.number for block in some]), strict=True):
                if header is not None and header.ref.hash == block.hash:
                    return block
        return None

    def _ask(self, numbers: Sequence[int]) -> None:
        for number, header in zip(numbers, self._answers(numbers), strict=True):
            if header is None:
                raise ChainUnavailable(f"the node does not know block {number} yet")

    def _answers(self, numbers: Sequence[int]) -> list[Header | None]:
        """The headers at these heights; None where the node has none there."""
        calls = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        answers = self._chain.batch(calls)
        return [
            None if answer is None else self._keep(self._chain.header_in(raised(answer), str(number)))
            for number, answer in zip(numbers, answers, strict=True)
        ]

    def _keep(self, header: Header) -> Header:
        self._known[header.ref.hash] = header
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return header


def raised(answer: Any) -> Any:
    """The answer of one call of a batch; raised where it is an error."""
    if isinstance(answer, ChainError):
        raise answer
    return answer
