"""Old logs, by ranges of blocks that are as wide as the node allows. What a node allows is found out, not configured."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from marketplace.chain.blocks import Chain
from marketplace.chain.company_logs import company_in, is_creation, operator_topic
from marketplace.domain.chain_errors import AnswerTooLarge, ChainUnavailable, NodeRefused, RateLimited
from marketplace.domain.ids import Address

Log = Mapping[str, Any]

_ANY: Final = 1 << 62
"""Wider than any range: nothing was refused yet."""
_FORGOTTEN_AFTER: Final = 64
"""Answers after which a refusal is forgotten: what was too many results there may be few here."""


class LogRanges:
    """One contract's logs, and what the factory of its companies says of them.

    A refused range is halved, and grown again after answers, towards what was refused last.
    """

    def __init__(self, chain: Chain, address: Address, factory: Address | None = None) -> None:
        self._chain, self._address, self._factory = chain, address, factory
        self._width = _ANY
        self._refused = _ANY
        self._answered = 0
        """The widest range that was answered since that; 0: none."""
        self._answers = 0

    @property
    def span(self) -> int:
        """Blocks that are asked for at once now."""
        return min(self._width, self._chain.log_blocks)

    def read(self, first: int, upto: int) -> tuple[list[Log], int] | None:
        """The logs from ``first`` on, and the last block that was read, ``upto`` at most; None where not even one block's are told.

        Every refusal is taken to be about size: nodes say it in too many ways. Raises ChainUnavailable, also where the node took too long:
        the next range is smaller then.
        """
        while True:
            last = min(upto, first + self.span - 1)
            try:
                found = self._asked(first, last)
            except (NodeRefused, AnswerTooLarge):
                if last == first:
                    return None
                self._shrink(last - first + 1)
                continue
            except RateLimited:
                raise  # how many requests, not how large
            except ChainUnavailable:
                self._width = max(1, self.span // 2)
                raise
            self._grow(last - first + 1)
            return found, last

    def _asked(self, first: int, last: int) -> list[Log]:
        if self._factory is None:
            return self._logs_of(self._address, first, last)
        found = self._logs_of([self._address, self._factory], first, last)
        made = [company_in(log) for log in found if is_creation(log, self._factory)]
        if made:
            found += self._logs_of(made, first, last, operator_topic())
        return found

    def _logs_of(self, sources: Address | list[Address], first: int, last: int, *topics: str) -> list[Log]:
        span = {"address": sources, "fromBlock": hex(first), "toBlock": hex(last)} | (
            {"topics": topics} if topics else {}
        )
        found = self._chain.rpc("eth_getLogs", span)
        if not _is_of(found, {sources} if isinstance(sources, str) else set(sources), first, last):
            raise ChainUnavailable(f"the node's logs of blocks {first} to {last} are not what was asked for")
        return list(found)

    def _shrink(self, refused: int) -> None:
        """To what was answered before, or, where that is what was refused now, to half of it."""
        self._refused, self._answers = refused, 0
        self._width = self._answered if 0 < self._answered < refused else max(1, refused // 2)
        self._answered = 0 if self._answered >= refused else self._answered

    def _grow(self, answered: int) -> None:
        """Half of the way to what was refused, so that after a few refusals the limit is known to an eighth."""
        self._answers += 1
        self._answered = max(self._answered, answered)
        if self._answers >= _FORGOTTEN_AFTER:
            self._refused, self._answers = _ANY, 0
        if self._refused - self.span > self.span // 8:
            self._width = max(self.span, min(2 * self.span, (self.span + self._refused) // 2))


def _is_of(logs: Any, sources: Collection[str], first: int, last: int) -> bool:
    """Whether the answer is a list of whole logs of these contracts, within the range, in the order of the chain."""
    if not isinstance(logs, Sequence) or isinstance(logs, str):
        return False
    try:
        places = [(int(log["blockNumber"], 16), int(log["logIndex"], 16)) for log in logs]
        is_ours = all(log["address"].lower() in sources and not log.get("removed") for log in logs)
        is_named = all(isinstance(log["topics"], list) and log["topics"] for log in logs)
        is_named = is_named and all(isinstance(topic, str) for log in logs for topic in log["topics"])
        is_told = all(isinstance(log["data"], str) and log["blockHash"] and log["transactionHash"] for log in logs)
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    in_range = not places or first <= places[0][0] <= places[-1][0] <= last
    return is_ours and is_named and is_told and in_range and all(a < b for a, b in itertools.pairwise(places))
