"""The node, and the blocks it tells of. One block, one truth: a decision takes one ``BlockRef`` and reads at it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from functools import cached_property
from time import monotonic
from typing import Any, Final

from requests import Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

from marketplace.chain.reverts import reverted
from marketplace.domain.errors import ChainError, ChainUnavailable, ConfigError, NodeRefused, WrongChain
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.models import BlockRef
from marketplace.domain.units import UnixTime

with warnings.catch_warnings():
    # web3 imports websockets.legacy, which says that it is old; nobody here can do anything about it.
    warnings.simplefilter("ignore", DeprecationWarning)
    from web3 import HTTPProvider
    from web3.types import RPCEndpoint

LATEST: Final = "latest"
PENDING: Final = "pending"
"""The block that is being made: own transactions that wait, and its time, count."""

_POLL_SECONDS = 0.2
_CONNECTIONS = 16
_REVERTED_CODE = 3
"""JSON-RPC code of a call that reverted."""


class Chain:
    """The connection to a node; the only holder of web3. Safe to share between threads.

    Of several URLs the first is used; they are given in order of preference, and failing over between them, which must
    never mix two nodes' answers in one decision, is this class's to do.
    """

    def __init__(self, rpc_urls: Sequence[str], *, timeout_seconds: float = 10) -> None:
        if not rpc_urls:
            raise ConfigError(["no RPC URL is given"])
        self.rpc_url = rpc_urls[0]
        # No retries inside: they would sleep, and who calls knows better whether to try again.
        self._session = _session()
        self._provider = HTTPProvider(
            self.rpc_url,
            request_kwargs={"timeout": timeout_seconds},
            session=self._session,
            exception_retry_configuration=None,
        )

    def __repr__(self) -> str:
        return "Chain()"

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._session.close()

    @cached_property
    def chain_id(self) -> int:
        return int(self.rpc("eth_chainId"), 16)

    def require_chain_id(self, expected: int) -> None:
        """Raise WrongChain unless the node serves this chain."""
        if self.chain_id != expected:
            raise WrongChain(f"chain {expected}", f"chain {self.chain_id}")

    def head(self) -> BlockRef:
        """The newest block."""
        return self._block(LATEST)

    def block(self, number: int) -> BlockRef:
        return self._block(hex(number))

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
        try:
            response = self._provider.make_request(RPCEndpoint(method), list(parameters))
        except (RequestException, ValueError) as exc:
            # ValueError: an answer that is no JSON, such as a proxy's error page.
            raise ChainUnavailable(f"the node does not answer {method}: {type(exc).__name__}") from exc
        error = response.get("error")
        if error is None:
            return response.get("result")
        if isinstance(error, str):
            raise ChainUnavailable(f"the node answers {method} with: {error}")
        raise _refusal(method, error)

    def _block(self, which: str) -> BlockRef:
        found = self.rpc("eth_getBlockByNumber", which, False)
        if found is None:
            # A node behind a load balancer may lag behind the one that told us of the block.
            raise ChainUnavailable(f"the node does not know block {which} yet")
        return block_ref(found)


def _session() -> Session:
    """Connections that are kept, for several threads, and that read nothing from the environment for each request."""
    session = Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=_CONNECTIONS))
    return session


def block_ref(header: Any) -> BlockRef:
    """The reference to a block, from its header as JSON-RPC gives it."""
    return BlockRef(int(header["number"], 16), Bytes32(header["hash"]), UnixTime(int(header["timestamp"], 16)))


def _refusal(method: str, error: Any) -> ChainError:
    content, message = error.get("data"), str(error.get("message", ""))
    if isinstance(content, str) and content.startswith("0x"):
        return reverted(content)
    if error.get("code") == _REVERTED_CODE or message.startswith("execution reverted"):
        return reverted("0x")
    return NodeRefused(method, int(error.get("code", 0)), message)
