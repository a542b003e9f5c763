"""Following what the market says, exactly: every event of every block once, and taken back when its block leaves the chain.

Near the head, where the chain may still change, blocks are read one by one: each is the child of the one before, logs are asked for by block
hash and held against the block's bloom filter (``block_logs``). Far below it, ranges are read (``ranges``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from marketplace.chain.block_logs import BlockLogs
from marketplace.chain.blocks import Chain
from marketplace.chain.company_logs import decode_creations
from marketplace.chain.header_chain import HeaderChain
from marketplace.chain.headers import Header
from marketplace.chain.logs import decode_logs
from marketplace.chain.ranges import LogRanges
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainUnavailable, ReorganisedTooDeep
from marketplace.domain.events import Event
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime

__all__ = ["KEPT_BLOCKS", "NOTHING_NEW", "EventFollower", "EventPage", "decode_logs"]

KEPT_BLOCKS: Final = 128
"""Blocks below the newest that may still be taken back; nodes keep the state of as many. Who follows keeps the references of these."""

NEAR_AT_ONCE: Final = 32
"""Blocks of one page near the head: what is taken back is taken back by pages."""

Trail = Callable[[], Sequence[BlockRef]]


def _no_trail() -> Sequence[BlockRef]:
    return ()


@dataclass(frozen=True, slots=True)
class EventPage:
    """What a look at the chain has brought: the events of some blocks, or the word to take some back, or nothing."""

    events: tuple[Event, ...] = ()
    upto: BlockRef | None = None
    """The last block read; None where there is no new confirmed one."""
    undo_to: BlockRef | None = None
    """The newest block taken in that is still in the chain: everything after it never happened. Nothing else is in the page then."""
    is_last: bool = False
    """Whether ``upto`` is the newest confirmed block."""
    is_near: bool = False
    """Whether its blocks are so new that they may still leave the chain."""
    blocks: tuple[BlockRef, ...] = ()
    """What to remember of the blocks read, oldest first, ``upto`` the last: a later look finds the way back by them."""


NOTHING_NEW: Final = EventPage()


class EventFollower:
    """Reads a market's events behind a cursor that the caller keeps: it has read up to that block and asks for what follows on it.

    Only blocks with ``confirmations`` blocks on them (themselves included) are read. One thread at a time. Who names the ``factory`` of the market's
    companies is told which of them their owners made (S-7).
    """

    def __init__(self, chain: Chain, market: Address, *, confirmations: int, factory: Address | None = None) -> None:
        self.chain = chain
        self.market = market
        self.factory = factory
        self.confirmations = confirmations
        self._headers = HeaderChain(chain)
        self._single = BlockLogs(chain, market, factory)
        self._ranges = LogRanges(chain, market, factory)
        self._lagging: tuple[BlockRef, int] | None = None
        """A cursor that the node's chain does not reach, and where the chain ended when that was seen first."""

    def follow(
        self, cursor: BlockRef | None, start: int, *, trail: Trail = _no_trail, limit_blocks: int | None = None
    ) -> EventPage:
        """What follows on ``cursor``; without one, on the block before ``start``.

        Where the cursor's block has left the chain, the page says down to which block of ``trail`` (older blocks that the caller has taken
        in; asked for only then) everything has to be taken back. Raises ReorganisedTooDeep where none of them stands any more, and
        ChainUnavailable where nothing can be said for certain: ask again.
        """
        head = self._headers.newest()
        last = max(0, head.ref.number - max(0, self.confirmations - 1))
        if cursor is not None and last <= cursor.number:
            return self._nothing_new(cursor, last, head, trail)
        first = start if cursor is None else cursor.number + 1
        if first > last:
            return NOTHING_NEW
        near = head.ref.number - KEPT_BLOCKS
        if first <= near:
            return self._far(cursor, first, min(last, near, first + (limit_blocks or self._ranges.span) - 1), trail)
        upto = min(last, first + min(limit_blocks or NEAR_AT_ONCE, NEAR_AT_ONCE) - 1)
        page = self._near(cursor, self._headers.down_to(first, head)[: upto - first + 1], trail)
        return replace(page, is_last=page.upto is not None and page.upto.number == last)

    def read(self, from_block: int, *, limit_blocks: int | None = None) -> EventPage:
        """The events of the confirmed blocks from ``from_block`` on, at most ``limit_blocks`` of them; nothing is held against a cursor."""
        return self.follow(None, from_block, limit_blocks=limit_blocks)

    def history(self, start: int, upto: int) -> Iterator[Event]:
        """All events of these blocks, both included, as far as they are confirmed. Raises ChainUnavailable where the chain changes meanwhile."""
        cursor, first = None, start
        while first <= upto:
            page = self.follow(cursor, first, limit_blocks=upto - first + 1)
            if page.upto is None:
                return
            yield from (event for event in page.events if event.ref.block.number <= upto)
            cursor, first = page.upto, page.upto.number + 1

    def read_again(self, first: int, upto: BlockRef) -> tuple[Event, ...]:
        """All events from block ``first`` up to this very block, every block held against its bloom: slow and exact, to find what was missed."""
        found: list[Event] = []
        top = self._headers.numbered(upto.number)
        if top.ref.hash != upto.hash:
            raise ChainUnavailable(f"block {upto.number} has left the chain")
        while top.ref.number >= first:
            headers = self._headers.down_to(max(first, top.ref.number - KEPT_BLOCKS + 1), top)
            found[:0] = self._decoded(headers)
            if headers[0].ref.number <= first:
                break
            top = self._headers.down_to(headers[0].ref.number - 1, headers[0])[0]
        return tuple(found)

    def _nothing_new(self, cursor: BlockRef, last: int, head: Header, trail: Trail) -> EventPage:
        """The node's chain ends at the cursor or before: it stands still, it lags, or it is another chain by now."""
        standing = self._headers.down_to(last, head)[0].ref
        if standing.number == cursor.number:
            return NOTHING_NEW if standing.hash == cursor.hash else self._undo(cursor, trail)
        known = {block.number: block.hash for block in trail()}.get(standing.number)
        if known == standing.hash:
            return NOTHING_NEW
        if known is not None or standing.timestamp > cursor.timestamp:  # no chain has a later time in a lower block
            return self._undo(cursor, trail)
        # Not remembered: whether it only lags shows when it has come as far as we are, or does not after so many blocks.
        if self._lagging is None or self._lagging[0] != cursor:
            self._lagging = cursor, standing.number
        is_far = cursor.number - standing.number > KEPT_BLOCKS
        if is_far and standing.number - self._lagging[1] > KEPT_BLOCKS:
            return self._undo(cursor, trail)
        return NOTHING_NEW

    def _near(self, cursor: BlockRef | None, headers: Sequence[Header], trail: Trail) -> EventPage:
        if cursor is not None and headers[0].parent != cursor.hash:
            return self._undo(cursor, trail)
        blocks = tuple(header.ref for header in headers)
        return EventPage(self._decoded(headers), blocks[-1], is_near=True, blocks=blocks)

    def _far(self, cursor: BlockRef | None, first: int, upto: int, trail: Trail) -> EventPage:
        """A range, between two looks at its ends: what was read is of the chain that the cursor is of, or is read again."""
        if cursor is not None and self._headers.numbered(first).parent != cursor.hash:
            return self._undo(cursor, trail)
        read = self._ranges.read(first, upto)
        if read is None:
            return self._near(cursor, (self._headers.numbered(first),), trail)
        logs, last = read
        found = self._decoded_range(logs)
        end = self._headers.numbered(last).ref
        if cursor is not None and self._headers.numbered(cursor.number).ref != cursor:
            raise ChainUnavailable(f"block {cursor.number} changed while the blocks after it were read")
        return EventPage(found, end, blocks=(end,))

    def _undo(self, cursor: BlockRef, trail: Trail) -> EventPage:
        kept = [block for block in trail() if cursor.number - KEPT_BLOCKS <= block.number <= cursor.number]
        standing = self._headers.newest_standing(kept)
        if standing is None:
            raise ReorganisedTooDeep(cursor.number, KEPT_BLOCKS)
        if standing.hash == cursor.hash:
            raise ChainUnavailable(f"block {cursor.number} left the chain and came back while it was looked at")
        return EventPage(undo_to=standing)

    def _decoded(self, headers: Sequence[Header]) -> tuple[Event, ...]:
        times = {header.ref.number: header.ref.timestamp for header in headers}
        return self._safely_decoded(self._single.of(headers), times.__getitem__)

    def _decoded_range(self, logs: Sequence[Any]) -> tuple[Event, ...]:
        """With the time of each block from its header, which is the block that the logs are of."""
        headers = self._headers.of(sorted({int(log["blockNumber"], 16) for log in logs}))
        for log in logs:
            number = int(log["blockNumber"], 16)
            if log["blockHash"] != headers[number].ref.hash:
                raise ChainUnavailable(f"block {number} changed while it was read")
        return self._safely_decoded(logs, lambda number: headers[number].ref.timestamp)

    def _safely_decoded(self, logs: Sequence[Any], time_of: Callable[[int], UnixTime]) -> tuple[Event, ...]:
        try:
            found = (*decode_logs(logs, self.market, time_of), *decode_creations(logs, self.factory, time_of))
        except (KeyError, IndexError, TypeError, ValueError) as exc:
            raise ChainUnavailable(f"a log of the market is not whole: {exc!r}") from exc
        return tuple(sorted(found, key=lambda event: (event.ref.block.number, event.ref.log_index)))
