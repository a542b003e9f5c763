"""Places that slow clients may take: so many in all, so many for each of them, so that nobody takes everybody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from marketplace.gateway.problems import HttpRefusal


class Slots:
    """Counted on the event loop's thread. ``what`` is their plural, for who gets none."""

    def __init__(self, what: str, *, most: int, most_each: int) -> None:
        self._what, self._most, self._most_each = what, most, most_each
        self._taken: Counter[str] = Counter()

    def require_room(self, who: str) -> None:
        """Raise a 429 problem where there is no place for this one now."""
        if self._taken.total() >= self._most or self._taken[who] >= self._most_each:
            rule = f"must be at most {self._most} in all, and {self._most_each} from one sender or address"
            raise HttpRefusal(429, "TooManyAtOnce", self._what, rule, headers={"Retry-After": "5"})

    @contextmanager
    def one_for(self, who: str) -> Iterator[None]:
        """A place while the block runs. Raises as ``require_room`` does, and takes nothing then."""
        self.require_room(who)
        self._taken[who] += 1
        try:
            yield
        finally:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]
