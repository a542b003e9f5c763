"""Checks: short questions about whether something works, asked by name, for one duty or for all of them.

A *duty* is something that a process does for others (``orders``); it needs some of the checks. Which ones, each process says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from marketplace.domain.errors import InvalidField, MarketplaceError

FRESH_SECONDS = 1.0
"""An answer is given again for so long: probes come from many sides, and must not cost the neighbours more than one."""

Clock = Callable[[], float]
"""Wall-clock seconds since 1970: nothing about money is decided with it."""
Check = Callable[[], str | None]
"""The reason why something does not work, or None where it does. A MarketplaceError that it raises is a reason, too."""


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check said. ``since``: wall-clock seconds from which on it has been working, or not working, as far as was asked."""

    name: str
    reason: str | None
    since: int

    @property
    def is_ok(self) -> bool:
        return self.reason is None


class Checks:
    """A process's checks, and which of them each of its duties needs. Threads may share it."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        duties: Mapping[str, Iterable[str]],
        *,
        clock: Clock,
        fresh_seconds: float = FRESH_SECONDS,
        aside: Collection[str] = (),
    ) -> None:
        """``aside``: checks that are only asked for a duty that needs them."""
        self._asked = {name: _Asked(name, check, clock, fresh_seconds) for name, check in checks.items()}
        self._aside = frozenset(aside)
        self._duties = {duty: frozenset(names) for duty, names in duties.items()}

    @property
    def duties(self) -> Sequence[str]:
        return sorted(self._duties)

    def ask(self, duty: str = "") -> tuple[CheckOutcome, ...]:
        """Every check that the duty needs; without a duty, all but those that are asked for theirs only. Raises InvalidField for a duty that this process does not have."""
        if duty and duty not in self._duties:
            raise InvalidField("for", f"must be one of {', '.join(self.duties)}")
        needed = self._duties[duty] if duty else self._asked.keys() - self._aside
        return tuple(asked.finding() for name, asked in self._asked.items() if name in needed)


class _Asked:
    """A check and what it last said."""

    def __init__(self, name: str, check: Check, clock: Clock, fresh_seconds: float) -> None:
        self._name, self._check, self._clock, self._fresh_seconds = name, check, clock, fresh_seconds
        self._turn = threading.Lock()
        self._finding: CheckOutcome | None = None
        self._at = 0.0

    def finding(self) -> CheckOutcome:
        with self._turn:
            if self._finding is None or monotonic() - self._at > self._fresh_seconds:
                self._finding = self._new()
                self._at = monotonic()
            return self._finding

    def _new(self) -> CheckOutcome:
        try:
            reason = self._check()
        except MarketplaceError as error:
            reason = str(error)
        before = self._finding
        is_same = before is not None and before.is_ok == (reason is None)
        return CheckOutcome(self._name, reason, before.since if before and is_same else int(self._clock()))


def reasons_of(findings: Iterable[CheckOutcome]) -> dict[str, str]:
    """What does not work, by name."""
    return {finding.name: finding.reason for finding in findings if finding.reason is not None}
