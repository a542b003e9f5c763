"""Parts of a serving's step, each for itself: what goes wrong in one, whatever it is, stays in that part of that serving.

A job's files and a gateway's answers can raise anything (RecursionError from a tree a thousand folders deep, MemoryError,
UnicodeError). Here, and nowhere else in the agent, all of it is caught: the other parts, and the other servings, go on.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import structlog

from marketplace.domain.ids import Bytes32

T = TypeVar("T")

_log = structlog.get_logger()


def apart(part: str, lease: Bytes32, work: Callable[[], T], otherwise: T) -> T:
    """What the part's work comes to; ``otherwise`` where it fails, which is said in the log and tried again by the next step."""
    try:
        return work()
    except Exception as exc:  # noqa: BLE001  said, and tried again; everything else about the serving goes on
        said = f"{type(exc).__name__}: {exc}"[:400]
        _log.warning("serving.stuck", lease=lease, part=part, error=said)
        return otherwise


def fulfil(future: Future[T], work: Callable[[], T]) -> None:
    """Do the work of a chore; whoever takes its outcome gets what it raised."""
    try:
        result = work()
    except BaseException as exc:  # noqa: BLE001  not swallowed: it is raised where the outcome is taken
        future.set_exception(exc)
    else:
        future.set_result(result)
