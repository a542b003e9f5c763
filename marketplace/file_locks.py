"""Taking turns: one thread of one process at a time, on a locked file. Who dies lets go of it."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from marketplace.domain.errors import Conflict
from marketplace.private_files import owners_only

_LOOK_AGAIN_SECONDS = 0.02


@contextmanager
def file_turn(path: Path | None, own: threading.Lock, name: str, *, seconds: float) -> Iterator[None]:
    """Hold the turn called ``name``; threads of this process wait on ``own``, processes on the file (None: there are no others).

    Not reentrant. Raises Conflict where it is not ours after so many seconds.
    """
    if not own.acquire(timeout=seconds):
        raise Conflict("turn", name)
    try:
        if path is None:
            yield
            return
        with open(path, "w", opener=owners_only) as gate:
            _lock(gate.fileno(), name, seconds)
            yield
    finally:
        own.release()


def _lock(descriptor: int, name: str, seconds: float) -> None:
    """The kernel's lock: ``flock`` has no deadline of its own, so it is tried again and again."""
    waiting, deadline = threading.Event(), monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if monotonic() >= deadline:
                raise Conflict("turn", name) from None
            waiting.wait(_LOOK_AGAIN_SECONDS)
