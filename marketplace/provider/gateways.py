"""The gateways that an agent speaks to, each by itself: what one refuses, drips or lies about is asked of, and offered to, the others.

Each has threads of its own, so that one that hangs takes no place from another. None of them is believed, and nothing about
money waits for any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.errors import InvalidField, MarketplaceError
from marketplace.provider.chores import GATEWAY_THREADS, Chore, ChorePool, distrusted

T = TypeVar("T")

MOST_BLOCKS_BETWEEN = 32
"""A gateway that goes on refusing something large is offered it again and again, at last so many blocks apart."""


@dataclass(frozen=True, slots=True, eq=False)
class GatewayLine:
    """One gateway, and the threads on which it is spoken to."""

    api: GatewayApi
    pool: ChorePool
    bulk: ChorePool
    """For inputs and outputs: however many are on their way, a sign of life does not wait for them."""

    @classmethod
    def to(cls, api: GatewayApi) -> GatewayLine:
        return cls(api, ChorePool("gateway", GATEWAY_THREADS), ChorePool("transfers", GATEWAY_THREADS))

    def close_pools(self) -> None:
        """Forget what waits; what runs ends by itself."""
        self.pool.close()
        self.bulk.close()

    @property
    def url(self) -> str:
        return self.api.base_url


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """What came of some work at one gateway: something, or a problem."""

    line: GatewayLine
    found: T | None
    problem: MarketplaceError | None


class AtEach(Generic[T]):
    """The same work at each gateway, a chore for each.

    begin(work, block, seconds=...)    starts it wherever it is not under way, after a failure not before the next block;
                                       with ``is_large`` the more blocks apart, the more often that gateway has failed
    answers(block)                     what has come of it since, at those where it is over
    """

    def __init__(self, lines: Iterable[GatewayLine], *, is_large: bool = False) -> None:
        self._chores: list[tuple[GatewayLine, Chore[T]]] = [
            (line, Chore(line.bulk if is_large else line.pool)) for line in lines
        ]
        self._is_large = is_large
        self._failures: dict[GatewayLine, int] = {}
        self._not_before: dict[GatewayLine, int] = {}

    @property
    def is_under_way(self) -> bool:
        return any(chore.is_under_way for _, chore in self._chores)

    @property
    def is_finished(self) -> bool:
        """Whether an outcome waits to be taken."""
        return any(chore.is_finished for _, chore in self._chores)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing works on it."""
        return all(chore.is_finished or not chore.is_under_way for _, chore in self._chores)

    def begin(
        self,
        work: Callable[[GatewayLine], T],
        block: int,
        *,
        seconds: float,
        but: Iterable[GatewayLine] = (),
    ) -> None:
        """``seconds``: after so many nobody waits for that gateway any more. ``but``: those that need not be asked."""
        left_out = set(but)
        for line, chore in self._chores:
            if line not in left_out and block >= self._not_before.get(line, block):
                chore.begin(_distrusting(work, line), block, seconds=seconds)

    def answers(self, block: int) -> Iterator[Answered[T]]:
        """Raises OSError, and InvalidField for a file that is not what it was: no gateway is to blame for that."""
        for line, chore in self._chores:
            try:
                found = chore.take(block)
            except InvalidField:
                raise
            except MarketplaceError as exc:
                self._put_off(line, block)
                yield Answered(line, None, exc)
            else:
                if found is not None:
                    self._failures.pop(line, None)
                    yield Answered(line, found, None)

    def defer(self, line: GatewayLine, block: int) -> None:
        """What this one answered was of no use: not again before the next block."""
        for other, chore in self._chores:
            if other is line:
                chore.defer(block)

    def _put_off(self, line: GatewayLine, block: int) -> None:
        failures = self._failures[line] = self._failures.get(line, 0) + 1
        if self._is_large:
            self._not_before[line] = block + min(1 << min(failures - 1, 16), MOST_BLOCKS_BETWEEN)


class InTurn(Generic[T]):
    """Large work that is done once: at one gateway, and where that fails at the next one.

    prefer(line)                       that one's turn comes first
    begin(work, block, seconds=...)    starts it at the one whose turn it is, unless it is under way
    take(block)                        what has come of it; raises what the work raised
    pass_on(block)                     what came was of no use: the next one's turn
    """

    def __init__(self, lines: Iterable[GatewayLine]) -> None:
        self._chores: list[tuple[GatewayLine, Chore[T]]] = [(line, Chore(line.bulk)) for line in lines]
        self._turn = self._failures = 0

    @property
    def has_failed_everywhere(self) -> bool:
        """Whether each has had its turn, and failed."""
        return self._failures >= len(self._chores)

    @property
    def is_quiet(self) -> bool:
        return all(chore.is_finished or not chore.is_under_way for _, chore in self._chores)

    def prefer(self, line: GatewayLine) -> None:
        """Before anything is begun."""
        self._chores.sort(key=lambda place: place[0] is not line)

    def begin(self, work: Callable[[GatewayLine], T], block: int, *, seconds: float) -> None:
        line, chore = self._chores[self._turn]
        chore.begin(_distrusting(work, line), block, seconds=seconds)

    def take(self, block: int) -> T | None:
        try:
            return self._chores[self._turn][1].take(block)
        except MarketplaceError:
            self._next()
            raise

    def pass_on(self, block: int) -> None:
        self._chores[self._turn][1].defer(block)
        self._next()

    def _next(self) -> None:
        self._turn = (self._turn + 1) % len(self._chores)
        self._failures += 1


def _distrusting(work: Callable[[GatewayLine], T], line: GatewayLine) -> Callable[[], T]:
    return lambda: distrusted(lambda: work(line))
