"""The node, and the blocks it tells of. One block, one truth: a decision takes one ``BlockRef`` and reads at it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from time import monotonic
from typing import Any, Final

from marketplace.chain.headers import Header, block_ref, header_of
from marketplace.chain.nodes import CallCount, Calls, Node
from marketplace.domain.errors import ConfigError, WrongChain
from marketplace.domain.ids import Address
from marketplace.domain.models import BlockRef

__all__ = ["LATEST", "PENDING", "Chain", "Header", "block_ref"]

LATEST: Final = "latest"
PENDING: Final = "pending"
"""The block that is being made: own transactions that wait, and its time, count."""

_POLL_SECONDS = 0.2
_HASH_LENGTH = 66


class Chain:
    """The connection to a node. Safe to share between threads.

    Of several URLs the first is used; they are given in order of preference, and failing over between them, which must
    never mix two nodes' answers in one decision, is this class's to do.
    """

    def __init__(self, rpc_urls: Sequence[str], *, timeout_seconds: float = 10) -> None:
        if not rpc_urls:
            raise ConfigError(["no RPC URL is given"])
        self.rpc_url = rpc_urls[0]
        self.calls = CallCount()
        self._node = Node(self.rpc_url, self.calls, timeout_seconds=timeout_seconds)

    def __repr__(self) -> str:
        return "Chain()"

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._node.close()

    @cached_property
    def chain_id(self) -> int:
        return int(self.rpc("eth_chainId"), 16)

    def require_chain_id(self, expected: int) -> None:
        """Raise WrongChain unless the node serves this chain."""
        if self.chain_id != expected:
            raise WrongChain(f"chain {expected}", f"chain {self.chain_id}")

    def head(self) -> BlockRef:
        """The newest block."""
        return self.header(LATEST).ref

    def block(self, number: int) -> BlockRef:
        return self.header(number).ref

    def header(self, which: str | int) -> Header:
        """The header of a block: its number, its hash, or a tag such as LATEST.

        Raises ChainUnavailable where the node does not know it, or says what is no header.
        """
        if isinstance(which, str) and len(which) == _HASH_LENGTH:
            return header_of(self.rpc("eth_getBlockByHash", which, False), which)
        return header_of(
            self.rpc("eth_getBlockByNumber", hex(which) if isinstance(which, int) else which, False), str(which)
        )

    def confirmed(self, confirmations: int) -> BlockRef:
        """The newest block on which, itself included, ``confirmations`` blocks stand; the genesis block at least."""
        head = self.head()
        number = max(0, head.number - max(0, confirmations - 1))
        return head if number == head.number else self.block(number)

    def next_head(
        self, after: BlockRef, timeout_seconds: float, stop: threading.Event | None = None
    ) -> BlockRef | None:
        """Wait for a head other than ``after``; None when there is none in time, or ``stop`` is set."""
        waiting, deadline = stop or threading.Event(), monotonic() + timeout_seconds
        while True:
            head = self.head()
            if head.hash != after.hash:
                return head
            if waiting.wait(min(_POLL_SECONDS, max(0.0, deadline - monotonic()))) or monotonic() >= deadline:
                return None

    def call(self, to: Address, content: bytes, at: BlockRef | None = None) -> bytes:
        """What a view answers, as of ``at`` (by its hash) or the newest block. Raises TransactionReverted."""
        block: Any = {"blockHash": at.hash} if at else LATEST
        answer = self.rpc("eth_call", {"to": to, "data": "0x" + content.hex()}, block)
        if answer == "0x":
            raise WrongChain(f"a contract at {to}", "no code there")
        return bytes.fromhex(answer[2:])

    def code_at(self, address: Address) -> str:
        """The contract's code, ``0x`` where there is none."""
        return str(self.rpc("eth_getCode", address, LATEST))

    def rpc(self, method: str, *parameters: Any) -> Any:
        """One JSON-RPC request. Raises ChainUnavailable, TransactionReverted (decoded) or NodeRefused."""
        return self._node.rpc(method, parameters)

    def batch(self, calls: Calls) -> list[Any]:
        """Several JSON-RPC requests at once: for each its result or its ChainError, in the order of ``calls``.

        They go to one node, which may answer them as of different blocks: give each the block that it is about. A node that takes no batches, or
        shorter ones, is asked so. Raises ChainUnavailable where nothing was answered.
        """
        return self._node.batch(calls)
