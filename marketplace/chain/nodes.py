"""One node: single requests, batches, and how many of both; over whichever transport its URL names."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from marketplace.chain.rpc_answers import BatchRefused, Request, outcome_of, outcomes_of, result_of
from marketplace.chain.transports import HttpTransport, Transport, WebSocketTransport
from marketplace.domain.chain_errors import AnswerTooLarge, ChainUnavailable

LONGEST_BATCH: Final = 100
"""Calls in one batch; public nodes take a hundred, some fewer (that is learned), hardly any takes more than a thousand."""
_BATCHES_AGAIN_SECONDS: Final = 600.0
"""How long a node that refused a batch is asked in smaller ones: what refused may have been a passing state of it."""

Calls = Sequence[tuple[str, Sequence[Any]]]


class CallCount:
    """How many calls were made, by method; each element of a batch is one. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Counter[str] = Counter()

    def add(self, requests: Sequence[Request]) -> None:
        with self._lock:
            self._made.update(request.method for request in requests)

    @property
    def by_method(self) -> dict[str, int]:
        with self._lock:
            return dict(self._made)

    @property
    def total(self) -> int:
        with self._lock:
            return self._made.total()


class Node:
    """One node. Safe to share between threads.

    rpc(method, parameters)   one request; raises ChainUnavailable, TransactionReverted, NodeRefused
    batch(calls)              one outcome each, in order; errors of single calls come back as values
    """

    def __init__(
        self,
        url: str,
        count: CallCount,
        *,
        timeout_seconds: float,
        on_notice: Callable[[Node, Any], None] = lambda *_: None,
        on_end: Callable[[Node], None] = lambda _: None,
    ) -> None:
        self.url = url
        self.is_pushing = urlsplit(url).scheme in ("ws", "wss")
        self._count = count
        self._timeout_seconds = timeout_seconds
        self._transport: Transport = HttpTransport(url)
        if self.is_pushing:
            self._transport = WebSocketTransport(
                url, on_notice=lambda told: on_notice(self, told), on_end=lambda: on_end(self)
            )
        self._ids = itertools.count(1)
        self._batch_limit, self._batches_again = LONGEST_BATCH, 0.0

    def __repr__(self) -> str:
        return f"Node({self.name})"

    @property
    def name(self) -> str:
        """The host only: paths and user parts of providers' URLs are secrets."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def close(self) -> None:
        self._transport.close()

    def rpc(self, method: str, parameters: Sequence[Any], *, timeout_seconds: float | None = None) -> Any:
        request = Request(next(self._ids), method, parameters)
        return result_of(request, self._answer(request, timeout_seconds or self._timeout_seconds))

    def batch(self, calls: Calls, *, timeout_seconds: float | None = None) -> list[Any]:
        """The outcome of each call. Raises ChainUnavailable where nothing was answered."""
        outcomes: list[Any] = []
        waiting, timeout = list(calls), timeout_seconds or self._timeout_seconds
        former = self._batch_limit, self._batches_again
        while waiting:
            size = min(self._longest_batch(), len(waiting))
            try:
                outcomes += self._batch(waiting[:size], timeout)
            except BatchRefused as exc:
                self._batch_limit = size // 2 if exc.is_certain else 1
                self._batches_again = monotonic() + _BATCHES_AGAIN_SECONDS
                continue
            except ChainUnavailable as exc:
                # Some may have been answered, and have had its effect: who asked is told of that, too.
                outcomes += [exc] * len(waiting)
                break
            waiting = waiting[size:]
        if outcomes and all(isinstance(outcome, ChainUnavailable) for outcome in outcomes):
            # It was not the batch that it did not like.
            self._batch_limit, self._batches_again = former
            raise outcomes[0]
        return outcomes

    def _longest_batch(self) -> int:
        if self._batch_limit < LONGEST_BATCH and monotonic() >= self._batches_again:
            self._batch_limit = LONGEST_BATCH
        return max(1, self._batch_limit)

    def _batch(self, calls: Calls, timeout_seconds: float) -> list[Any]:
        if len(calls) == 1:
            return [self._outcome(*calls[0], timeout_seconds)]
        requests = [Request(next(self._ids), method, parameters) for method, parameters in calls]
        self._count.add(requests)
        try:
            return outcomes_of(requests, self._transport.exchange(requests, timeout_seconds, is_batch=True))
        except AnswerTooLarge as exc:
            raise BatchRefused(str(exc)) from exc

    def _outcome(self, method: str, parameters: Sequence[Any], timeout_seconds: float) -> Any:
        """A single call's result or its error; one that brings no answer at all is raised."""
        request = Request(next(self._ids), method, parameters)
        return outcome_of(request, self._answer(request, timeout_seconds))

    def _answer(self, request: Request, timeout_seconds: float) -> Any:
        self._count.add([request])
        return self._transport.exchange([request], timeout_seconds, is_batch=False)
