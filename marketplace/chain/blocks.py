"""The node, and the blocks it tells of. One block, one truth: a decision takes one ``BlockRef`` and reads at it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from time import monotonic
from typing import Any, Final

from marketplace.chain.headers import Header, HeaderReader
from marketplace.chain.heads import HeadWatcher, Signal
from marketplace.chain.nodes import CallCount, Calls, Node
from marketplace.chain.roster import NodeHealth, Patience, Roster
from marketplace.chain.rpc_shapes import is_quantity
from marketplace.chain.subscription import Subscription
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import AnswerTooLarge, ChainUnavailable, WrongChain
from marketplace.domain.errors import ConfigError
from marketplace.domain.ids import Address

__all__ = ["LATEST", "PENDING", "Chain", "Header"]

LATEST: Final = "latest"
PENDING: Final = "pending"
"""The block that is being made: own transactions that wait, and its time, count."""

_HASH_LENGTH: Final = 66
_PIN_SECONDS: Final = 30.0
"""No decision takes longer. A thread that begins none must not stay with a node that everybody else has left."""
LOG_BLOCKS: Final = 2_000
"""Unless a setting says otherwise; public nodes refuse much more."""

_BY_HAND: Final = ("evm_", "anvil_", "hardhat_")
"""Methods by which local chains are moved, back too."""


class Chain:
    """The connection to the nodes of one chain, in order of preference. Safe to share between threads.

    One decision, one node. Another node is turned to only where a decision begins: in ``head``, ``paced_head``, ``next_head`` and ``confirmed``; the thread
    that called it then stays with that node until it begins the next one, an answer fails to come, or half a minute has passed, whatever other threads
    turn to meanwhile. A thread that has begun no decision uses the node that was chosen last.
    """

    def __init__(
        self, rpc_urls: Sequence[str], *, timeout_seconds: float = 10, patience: Patience | None = None
    ) -> None:
        if not rpc_urls:
            raise ConfigError(["no RPC URL is given"])
        self.calls = CallCount()
        self.log_blocks = LOG_BLOCKS
        """The widest range of blocks to ask a node's logs of at once; what the node takes of that is found out."""
        reader = self._reader = HeaderReader(self._genesis)
        standings = [NodeHealth(self._node(url, timeout_seconds)) for url in rpc_urls]
        self._roster = Roster(standings, patience or Patience(), reader)
        self._watcher = HeadWatcher(self._roster.newest, reader)
        self._subscription = Subscription(self._watcher)
        self._pins = threading.local()

    def __repr__(self) -> str:
        return "Chain()"

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        for standing in self._roster.standings:
            standing.node.close()

    @property
    def rpc_url(self) -> str:
        """Of the node that is used now."""
        return self._roster.current.node.url

    @cached_property
    def chain_id(self) -> int:
        return self._roster.expected.chain_id or int(self.rpc("eth_chainId"), 16)

    def require_chain_id(self, expected: int) -> None:
        """Use nodes only that serve this chain. Raises WrongChain where none does, ChainUnavailable where none answers."""
        self._roster.require(chain_id=expected)

    def require_market(self, market: Address, *, chain_id: int | None = None) -> None:
        """Use nodes only that have the same contract there, on this chain. Raises WrongChain where none has one."""
        self._roster.require(chain_id=chain_id, market=market)

    def head(self) -> BlockRef:
        """The newest block; never an older one than before, unless the chain was reorganised (``heads`` says how that is told)."""
        return self._begun(self._watcher.head())

    def paced_head(self) -> BlockRef:
        """The newest block as of the last time that one was due: for loops that come round again, at no cost between blocks."""
        return self._begun(self._watcher.paced_head())

    def head_header(self) -> Header:
        """As ``head``, with all that its header says: at no further cost."""
        header = self._watcher.head()
        self._begun(header)
        return header

    def block(self, number: int) -> BlockRef:
        return self.header(number).ref

    def header(self, which: str | int) -> Header:
        """The header of a block: its number, its hash, or a tag such as LATEST.

        Raises ChainUnavailable where the node does not know it, or says what is no header.
        """
        if isinstance(which, str) and len(which) == _HASH_LENGTH:
            return self.header_in(self.rpc("eth_getBlockByHash", which, False), which)
        name = hex(which) if isinstance(which, int) else which
        return self.header_in(self.rpc("eth_getBlockByNumber", name, False), str(which))

    def header_in(self, answer: Any, which: str) -> Header:
        """The header in an answer about that block, held against its hash. Raises ChainUnavailable where there is none."""
        return self._reader.read(answer, which)

    def confirmed(self, confirmations: int) -> BlockRef:
        """The newest block on which, itself included, ``confirmations`` blocks stand; the genesis block at least."""
        head = self.head()
        number = max(0, head.number - max(0, confirmations - 1))
        return self._watcher.ancestor(head, number) or self.block(number)

    def headers_between(self, since: BlockRef, upto: BlockRef) -> Sequence[Header] | None:
        """The headers after ``since`` up to the head ``upto``, as far as they were handed out as heads; costs no call.

        None where one is missing, or ``since`` is none of that head's ancestors.
        """
        return self._watcher.between(since, upto)

    def next_head(self, after: BlockRef, timeout_seconds: float, stop: Signal | None = None) -> BlockRef | None:
        """Wait for a head other than ``after``; None when there is none in time, or ``stop`` is set.

        At once when another one is known. However many threads wait, the node is asked once for all, when a block is due; a node with a websocket is
        asked to push. A lower head is handed out only where the chain was reorganised.
        """
        self._subscription.ensure(self._roster.current.node)
        found = self._watcher.next(after, timeout_seconds, stop)
        return self._begun(found) if found else None

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
        return self._asked([method], lambda node: [node.rpc(method, parameters)])[0]

    def batch(self, calls: Calls) -> list[Any]:
        """Several JSON-RPC requests at once: for each its result or its ChainError, in the order of ``calls``.

        They go to one node, which may answer them as of different blocks: give each the block that it is about. A node that takes no batches, or
        shorter ones, is asked so. Raises ChainUnavailable where nothing was answered.
        """
        return self._asked([method for method, _ in calls], lambda node: node.batch(calls))

    def _node(self, url: str, timeout_seconds: float) -> Node:
        return Node(
            url, self.calls, timeout_seconds=timeout_seconds,
            on_notice=lambda node, told: self._subscription.notice(node, told),
            on_end=lambda node: self._subscription.end(node),
        )  # fmt: skip

    def _genesis(self) -> Any:
        return self._roster.current.node.rpc("eth_getBlockByNumber", ["0x0", False])

    def _begun(self, header: Header) -> BlockRef:
        """A decision begins at this head: its thread stays with the node that told of it."""
        self._pins.node, self._pins.until = self._roster.teller(header), monotonic() + _PIN_SECONDS
        return header.ref

    def _asked(self, methods: Sequence[str], ask: Callable[[Node], list[Any]]) -> list[Any]:
        """What the decision's node answers; and note what that means for its head and its health."""
        pinned = getattr(self._pins, "node", None)
        node = pinned if pinned is not None and monotonic() < self._pins.until else self._roster.current.node
        try:
            outcomes = ask(node)
        except ChainUnavailable as exc:
            self._failed(node, exc)
            raise
        finally:
            self._note_what_moves(methods)
        self._roster.answered(node)
        for outcome in outcomes:
            self._note_block(outcome)
        return outcomes

    def _note_what_moves(self, methods: Sequence[str]) -> None:
        """After a transaction was sent there may be a new block: chains exist that make one for each."""
        if any(method.startswith(_BY_HAND) for method in methods):
            self._watcher.disturb(by_hand=True)
        elif any(method.startswith("eth_send") for method in methods):
            self._watcher.disturb(is_sent=True)

    def _failed(self, node: Node, why: ChainUnavailable) -> None:
        """The decision is over: the thread's next try may use another node, and begins at a head that was asked for.

        The one that it began at may have left the chain, or be one that the node does not have yet.
        """
        self._pins.node = None
        self._watcher.disturb()
        if not isinstance(why, AnswerTooLarge):
            self._roster.unanswered(node, why)

    def _note_block(self, outcome: Any) -> None:
        """A receipt or a transaction in a block that is newer than our head says that there is a newer head."""
        number = outcome.get("blockNumber") if isinstance(outcome, dict) else None
        if is_quantity(number):
            self._watcher.heard_of(int(number, 16))
