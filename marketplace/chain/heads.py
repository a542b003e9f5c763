"""The newest block: asked for once for all threads of a process, at the pace of the chain, or told by the node itself.

What it promises: a head that was handed out is never followed by a lower one, unless the chain was really reorganised.
A load balancer's backends differ by some blocks, and a backend that lags would otherwise make news of old blocks for ever.
A lower head is a reorganisation where what we saw of the chain proves that it is none of our head's ancestors; where it may be
one, only when nothing newer has been heard of for ``LAG_SECONDS``: then the node has lost its tail.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Any, Final, Protocol

from marketplace.chain.block_pace import Pace
from marketplace.chain.headers import Header, HeaderReader
from marketplace.chain.rpc_answers import MISREAD
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError, ChainUnavailable, RateLimited
from marketplace.domain.ids import Bytes32

LAG_SECONDS: Final = 6.0
_REMEMBERED_BLOCKS: Final = 256
_STOP_SECONDS: Final = 0.2
"""How soon who waits notices that it shall stop."""
_SILENCE_SECONDS: Final = 3.0
"""A node that pushes heads is asked all the same when it has said nothing for so long, or for two intervals."""


class Signal(Protocol):
    """Something that says that waiting is over, such as a ``threading.Event``."""

    def is_set(self) -> bool: ...


class Ancestry:
    """The heads that were handed out, and which head may follow them."""

    def __init__(self) -> None:
        self.newest: Header | None = None
        self._seen: dict[int, Header] = {}
        self._handed_out: dict[Bytes32, None] = {}
        self._lower_since = inf

    def forget(self) -> None:
        """Somebody moves the chain by hand: any head may follow."""
        self.newest, self._lower_since = None, inf
        self._seen.clear()

    def has_handed_out(self, block: BlockRef) -> bool:
        return block.hash in self._handed_out

    def follow(self, told: Header, now: float) -> Header:
        """The head to hand out when the node tells of this one: this one, or the higher one that it lags behind."""
        newest = self.newest
        if newest is not None and told.ref.number < newest.ref.number and not self._is_reorganised(told):
            self._lower_since = min(self._lower_since, now)
            if now - self._lower_since < LAG_SECONDS:
                return newest
        self._lower_since = inf
        self._drop_above(told)
        self.newest = self._seen[told.ref.number] = told
        self._handed_out[told.ref.hash] = None
        if len(self._seen) > _REMEMBERED_BLOCKS:
            del self._seen[min(self._seen)]
        if len(self._handed_out) > _REMEMBERED_BLOCKS:
            del self._handed_out[next(iter(self._handed_out))]
        return told

    def _drop_above(self, told: Header) -> None:
        """What is as high or higher has left the chain, and so have those below that do not lead to this one."""
        below = self._seen.get(told.ref.number - 1)
        if below is not None and below.ref.hash != told.parent:
            self._seen.clear()
        for number in [number for number in self._seen if number >= told.ref.number]:
            del self._seen[number]

    def _is_reorganised(self, lower: Header) -> bool:
        """Whether this lower head is proven to be none of the newest head's ancestors."""
        assert self.newest is not None, "there is one that it is lower than"
        expected = self._hash_at(self.newest.ref, lower.ref.number)
        return expected is not None and expected != lower.ref.hash

    def _hash_at(self, of: BlockRef, number: int) -> Bytes32 | None:
        """The hash of this block's ancestor at that height, where every header in between has been seen."""
        wanted: Bytes32 = of.hash
        for height in range(of.number, number, -1):
            seen = self._seen.get(height)
            if seen is None or seen.ref.hash != wanted:
                return None
            wanted = seen.parent
        return wanted

    def between(self, since: BlockRef, upto: BlockRef) -> list[Header] | None:
        """The headers after ``since`` up to ``upto``, where all have been seen and lead from one to the other; the newest first."""
        if since.number > upto.number:
            return None
        found, wanted = list[Header](), upto.hash
        for height in range(upto.number, since.number, -1):
            seen = self._seen.get(height)
            if seen is None or seen.ref.hash != wanted:
                return None
            found.append(seen)
            wanted = seen.parent
        return found if wanted == since.hash else None

    def ancestor(self, of: BlockRef, number: int) -> BlockRef | None:
        """The ancestor of this block at that height, where its header and every one in between has been seen."""
        seen = self._seen.get(number)
        return seen.ref if seen is not None and self._hash_at(of, number) == seen.ref.hash else None


class HeadWatcher:
    """One per chain, shared by its threads. No thread of its own: whoever waits asks, and tells all who wait.

    head()            the newest block, asked for unless the rhythm of the chain says that there is no newer one
    paced_head()      the newest block as of the last time that one was due: for loops that come round again
    next(after, …)    waits for another one
    """

    def __init__(self, look: Callable[[], Header], reader: HeaderReader) -> None:
        self._look, self._reader = look, reader
        self._news = threading.Condition()
        """Guards everything below; notified with every new head."""
        self._asking = threading.Lock()
        self._ancestry, self._pace = Ancestry(), Pace()
        self._disturbed_at = -inf
        """When something was last done or seen that may have made a block."""
        self._asked_at = self._fresh_at = self._pushed_at = self._not_before = -inf
        self._failed: ChainError | None = None

    def head(self) -> Header:
        """The newest block. Raises ChainUnavailable, WrongChain.

        Answered without asking only in the first part of an interval, or within a twentieth of it after a look, on a chain whose blocks
        come regularly, if we know when the newest one came, and have neither sent nor seen anything since then that speaks of a
        newer one. On chains that make a block for each transaction it always asks.
        """
        now = monotonic()
        with self._news:
            if self._ancestry.newest is not None and not self._is_disturbed and self._pace.is_quiet(now):
                return self._ancestry.newest
        return self._asked(now)

    def paced_head(self) -> Header:
        """The newest block, asked for only when one is due; as ``head`` where nobody can say when that is."""
        now = monotonic()
        with self._news:
            if self._ancestry.newest is not None and self._pace.is_trusted and not self._is_due(now):
                return self._ancestry.newest
        return self._asked(now, is_paced=self._pace.is_trusted)

    def next(self, after: BlockRef, timeout_seconds: float, stop: Signal | None) -> Header | None:
        """Wait for a head other than ``after``; None when there is none in time, or ``stop`` is set."""
        started = monotonic()
        deadline = started + timeout_seconds
        while True:
            newest = self._newest_when_due()
            if newest is not None and self._is_news(newest, after, started):
                return newest
            now = monotonic()
            if now >= deadline or (stop is not None and stop.is_set()):
                return None
            with self._news:
                if self._ancestry.newest is newest:
                    until = min(deadline, self._next_look(), now + (_STOP_SECONDS if stop is not None else inf))
                    self._news.wait(max(0.0, until - now))

    def ancestor(self, of: BlockRef, number: int) -> BlockRef | None:
        """The ancestor of a head that was handed out, where it is known without asking."""
        with self._news:
            return self._ancestry.ancestor(of, number)

    def between(self, since: BlockRef, upto: BlockRef) -> list[Header] | None:
        """The headers after ``since`` up to ``upto``, where all are known without asking; None also where one is no ancestor of the other."""
        with self._news:
            return self._ancestry.between(since, upto)

    def disturb(self, *, is_sent: bool = False, by_hand: bool = False) -> None:
        """There may be a newer block than we know of. ``is_sent``: or will be in a moment, for what was sent. ``by_hand``: and any
        other may be gone, as on local chains only."""
        with self._news:
            self._disturbed_at = monotonic()
            if is_sent or by_hand:
                self._pace.stir(by_hand=by_hand)
            if by_hand:
                self._ancestry.forget()

    def heard_of(self, number: int) -> None:
        """An answer spoke of a block of this number: if it is newer than ours, ours is not the newest."""
        newest = self._ancestry.newest
        if newest is not None and number > newest.ref.number:
            self.disturb()

    def pushed(self, told: Any) -> None:
        """The node says by itself that there is a new head. What makes no sense is left to the next look."""
        now = monotonic()
        try:
            header = self._reader.read(told, "it pushed", may_ask=False)
        except ChainUnavailable:
            self.silenced()
            return
        with self._news:
            self._pushed_at = now
            self._take(header, now)

    def expect_pushes(self) -> None:
        """From now on the node pushes. What came before is asked for once more."""
        with self._news:
            self._pushed_at = self._disturbed_at = monotonic()

    def silenced(self) -> None:
        """The node pushes no more: ask as if it never had."""
        with self._news:
            self._pushed_at = -inf
            self._news.notify_all()

    @property
    def is_pushed(self) -> bool:
        """Whether the newest head, and those before it, came by themselves."""
        return self._pushed_at > -inf

    def _newest_when_due(self) -> Header | None:
        now = monotonic()
        with self._news:
            if not self._is_due(now) or now < self._not_before:
                return self._ancestry.newest
        return self._asked(now, is_paced=True)

    def _is_due(self, now: float) -> bool:
        """Whether there may be a newer block by now."""
        return self._ancestry.newest is None or self._is_disturbed or now >= self._next_look()

    def _next_look(self) -> float:
        look = self._pace.next_look()
        if self.is_pushed:
            look = max(
                look, max(self._pushed_at, self._asked_at) + max(_SILENCE_SECONDS, 2 * (self._pace.interval or 0.0))
            )
        return max(look, self._not_before)

    @property
    def _is_disturbed(self) -> bool:
        return self._disturbed_at >= self._fresh_at

    def _is_news(self, newest: Header, after: BlockRef, started: float) -> bool:
        """A lower one is news where we have handed out the higher one ourselves: then the chain was reorganised."""
        return newest.ref.hash != after.hash and (
            newest.ref.number >= after.number
            or self._ancestry.has_handed_out(after)
            or monotonic() - started >= LAG_SECONDS
        )

    def _asked(self, entered: float, *, is_paced: bool = False) -> Header:
        """Ask; or take what another thread was told, or how it failed, if it asked after we came.

        ``is_paced``: also if it asked before, and what it was told is good until the next block is due.
        """
        with self._asking:
            is_answered = is_paced and not self._is_due(monotonic())
            # What was told a moment ago is forgotten where another node was turned to since.
            is_forgotten = self._ancestry.newest is None and self._failed is None
            if is_forgotten or (self._asked_at < entered and not is_answered):
                self._failed = None
                self._ask()
            elif self._failed is not None and not is_answered:
                raise self._failed
            assert self._ancestry.newest is not None, "told of one, and it did not fail"
            return self._ancestry.newest

    def _ask(self) -> None:
        self._asked_at = monotonic()
        try:
            told = self._look()
        except ChainError as exc:
            self._failed = exc
            if isinstance(exc, RateLimited):
                self._not_before = monotonic() + exc.retry_after_seconds
            raise
        except MISREAD as exc:
            # Who waits for this look must not take it for one that told something.
            self._failed = ChainUnavailable(f"the node tells of its head what nobody can read: {type(exc).__name__}")
            raise self._failed from exc
        with self._news:
            was_silent = self._asked_at - self._pushed_at > _SILENCE_SECONDS
            if self._take(told, self._asked_at) and was_silent:
                # It should have come by itself.
                self._pushed_at = -inf

    def _take(self, told: Header, sent_at: float) -> bool:
        """Note what a look or a push showed; whether it is a new head."""
        now, former = monotonic(), self._ancestry.newest
        head = self._ancestry.follow(told, now)
        try:
            self._pace.saw(head.ref.number, head.ref.timestamp, sent_at, now)
        except (ArithmeticError, ValueError):
            # Numbers that nobody can reckon with: learn the rhythm anew.
            self._pace = Pace()
        self._fresh_at = sent_at
        if former is not None and former.ref.hash == head.ref.hash:
            return False
        self._news.notify_all()
        return True
