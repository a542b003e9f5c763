"""A job's log as it is followed: its pieces, each where the one before ended, until it is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from marketplace.api.events import ServerEvent
from marketplace.api.leases import LogEnd, LogPiece
from marketplace.api.problems import ProblemTold
from marketplace.api.reading import read, same
from marketplace.domain.errors import GatewayProblem, GatewayUnavailable, UnreadableAnswer

UPSTREAM_STATUSES = frozenset({502, 503, 504})
"""Of an answer that says as little as no answer."""


def log_pieces(events: Iterable[ServerEvent], offset: int) -> Iterator[LogPiece]:
    """What is said from ``offset`` on. Raises GatewayUnavailable where the line ends before the log does, UnreadableAnswer, GatewayProblem."""
    for event in events:
        if event.name == "end":
            same("length", read(LogEnd, event.content).length, offset)
            return
        if event.name == "problem":
            raise _broken(read(ProblemTold, event.content))
        if event.name == "log":
            piece = read(LogPiece, event.content)
            same("offset", piece.offset, offset)
            if not offset < piece.next <= offset + len(event.content):
                raise UnreadableAnswer("next", "must be behind offset, by no more than the event is long")
            offset = piece.next
            yield piece
    raise GatewayUnavailable("the gateway ended the log without saying that it is over")


def _broken(told: ProblemTold) -> GatewayProblem | GatewayUnavailable:
    """A problem in the middle of a stream. One that passes (the gateway stops, a store is away) is a broken line."""
    problem = GatewayProblem(told.status, told.reason or f"Http{told.status}", told.detail, told.field)
    return GatewayUnavailable(str(problem)) if told.status in UPSTREAM_STATUSES else problem
