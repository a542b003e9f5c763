"""New heads pushed by a node over its websocket (``eth_subscribe newHeads``); begun again when it has died."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from math import inf
from time import monotonic
from typing import Any, Final

from marketplace.chain.heads import HeadWatcher
from marketplace.chain.nodes import Node
from marketplace.domain.chain_errors import ChainError
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

_AGAIN_FIRST_SECONDS: Final = 0.5
_AGAIN_LIMIT_SECONDS: Final = 60.0


class Subscription:
    """Tells the watcher of the heads that the node in use pushes. While there is none, the watcher asks at the chain's pace."""

    def __init__(self, watcher: HeadWatcher) -> None:
        self._watcher = watcher
        self._lock = threading.Lock()
        self._node: Node | None = None
        self._again_at, self._pause = -inf, _AGAIN_FIRST_SECONDS

    def ensure(self, node: Node) -> None:
        """Subscribe at this node if it can push and does not do so yet. Never raises: asking goes on without it."""
        if self._node is node and self._watcher.is_pushed:
            return
        if not node.is_pushing:
            self._leave()
            return
        with self._lock:
            now = monotonic()
            if now < self._again_at or (self._node is node and self._watcher.is_pushed):
                return
            self._again_at, self._pause = now + self._pause, min(_AGAIN_LIMIT_SECONDS, 2 * self._pause)
            self._node = node
            try:
                node.rpc("eth_subscribe", ["newHeads"])
            except ChainError as exc:
                _log.warning("chain.not_subscribed", node=node.name, reason=exc.reason, error=str(exc))
                return
        self._watcher.expect_pushes()

    def _leave(self) -> None:
        """The node in use cannot push; what another one says counts no more."""
        if self._node is not None:
            self._node = None
            self._watcher.silenced()

    def notice(self, node: Node, told: Any) -> None:
        """The node said something by itself."""
        if node is self._node and isinstance(told, Mapping):
            self._pause = _AGAIN_FIRST_SECONDS
            self._watcher.pushed(told.get("result"))

    def end(self, node: Node) -> None:
        """Its connection has ended."""
        if node is self._node:
            self._watcher.silenced()
