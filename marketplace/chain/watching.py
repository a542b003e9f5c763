"""Waiting for every head, for a process that has no loop which does: its requests then know the newest block, and when the next one comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from marketplace.chain.blocks import Chain
from marketplace.chain.heads import Signal
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError

_PAUSE_SECONDS: Final = 2.0
"""After a node that did not answer: requests ask meanwhile, and say so."""
_WAIT_SECONDS: Final = 30.0


@contextmanager
def heads_watched(chain: Chain) -> Iterator[None]:
    """Wait for each head in a thread of its own, while the block lasts. It costs a little more than a call a block, and spares one a request."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(chain, stop), name="bourse-heads", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(chain: Chain, stop: threading.Event) -> None:
    head: BlockRef | None = None
    while not stop.is_set():
        try:
            head = _next(chain, head, stop)
        except ChainError:
            stop.wait(_PAUSE_SECONDS)


def _next(chain: Chain, head: BlockRef | None, stop: Signal) -> BlockRef | None:
    return chain.head() if head is None else chain.next_head(head, _WAIT_SECONDS, stop) or head
