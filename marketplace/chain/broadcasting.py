"""Gives an account's transactions to the node, remembers how it took each, and gives them again when that is due."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final

from marketplace.chain.blocks import Chain
from marketplace.chain.pool import GONE_FOR_GOOD, PoolAnswer, accepted_as, answer_of, give
from marketplace.domain.chain_errors import ChainError, ChainUnavailable
from marketplace.domain.ids import Bytes32
from marketplace.domain.transactions import Outgoing
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

_AGAIN_SECONDS: Final = 5.0
"""A node that restarts forgets what it has not mined."""
_UNCLEAR_SECONDS: Final = 0.25
"""After an answer that is none."""


class Broadcaster:
    """All of it is memory: a process that starts gives the node whatever is not mined."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._due_at: dict[Bytes32, float] = {}
        self._said: dict[Bytes32, str] = {}
        self._hopeless: set[Bytes32] = set()

    def said(self, tx_hash: Bytes32) -> str:
        """What the node said last about it; empty where it took it."""
        return self._said.get(tx_hash, "")

    def is_hopeless(self, tx_hash: Bytes32) -> bool:
        """Whether a node said that no block or pool can take it."""
        return tx_hash in self._hopeless

    @property
    def is_unclear(self) -> bool:
        """Whether there is something that the node did not clearly take."""
        return bool(self._said)

    def give(self, outgoing: Outgoing) -> tuple[PoolAnswer, str]:
        """Give it to the node; how it took it, and its words."""
        answer, words = give(self._chain, outgoing.raw, outgoing.tx_hash)
        self._note(outgoing, answer, words)
        return answer, words

    def give_all(self, outgoing: Sequence[Outgoing]) -> None:
        """Give the node many in one batch, in their order; what it does not take is due again."""
        calls = [("eth_sendRawTransaction", [one.raw]) for one in outgoing]
        try:
            answers = self._chain.batch(calls)
        except ChainUnavailable as exc:
            answers = [exc] * len(outgoing)
        for one, said in zip(outgoing, answers, strict=True):
            is_error = isinstance(said, ChainError)
            self._note(one, *((answer_of(said), str(said)) if is_error else accepted_as(said, one.tx_hash)))

    def give_if_due(self, outgoing: Outgoing) -> None:
        if monotonic() >= self._due_at.get(outgoing.tx_hash, 0.0):
            self.give(outgoing)

    def make_due(self, tx_hash: Bytes32) -> None:
        """Pools may have forgotten it."""
        self._due_at.pop(tx_hash, None)

    def forget(self) -> None:
        """Nothing waits any more."""
        for memory in (self._due_at, self._said, self._hopeless):
            memory.clear()

    def _note(self, outgoing: Outgoing, answer: PoolAnswer, words: str) -> None:
        is_clear = answer is not PoolAnswer.UNCLEAR
        self._due_at[outgoing.tx_hash] = monotonic() + (_AGAIN_SECONDS if is_clear else _UNCLEAR_SECONDS)
        self._said.pop(outgoing.tx_hash, None)
        if answer in GONE_FOR_GOOD:
            self._hopeless.add(outgoing.tx_hash)
        if answer not in (PoolAnswer.ACCEPTED, PoolAnswer.KNOWN):
            self._said[outgoing.tx_hash] = words or str(answer)
            _log.info("transaction.not_taken", verb=outgoing.verb, nonce=outgoing.nonce, answer=answer, words=words)
