"""What an audit comes to: one finding per check, each with a verdict and the words that show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from marketplace.domain.ids import Bytes32

WORDS_SHOWN = 5
LETTERS_SHOWN = 2_000
"""Of one of them: it may repeat what a stranger wrote, up to megabytes."""


class Check(StrEnum):
    """What is looked at, in the order in which it is told."""

    PLAN = "plan"
    """The plan's bytes hash to the round."""
    SNAPSHOT = "snapshot"
    """The snapshot's bytes hash to what the plan names, and can be read."""
    REPLAY = "replay"
    """Clearing the snapshot again gives the plan, bit for bit."""
    MARKET = "market"
    """Both are about this market, with its own constants."""
    BLOCK = "block"
    """The blocks that the snapshot names are on this chain, or may have been until a reorganisation."""
    BATCHES = "batches"
    """Batches with this round were posted, by the opener that the plan names."""
    OPENINGS = "openings"
    """What was posted is in the plan: the order, the offer, the price, and one after the other."""
    ORDERS = "orders"
    """Every order is what its id says, and could be opened at all."""
    OFFERS = "offers"
    ACCOUNTS = "accounts"
    LEASES = "leases"
    BUDGETS = "budgets"
    REPUTATIONS = "reputations"
    MEMORY = "memory"
    """What the scheduler says that it remembers (its own fills, refusals, declines, faults) has happened."""
    CLASSES = "classes"
    MACHINES = "machines"
    SPECS = "specs"
    """What the snapshot says of the jobs is what their specs say."""
    HEARTBEATS = "heartbeats"
    BOOK = "book"
    """No order that the gateway had taken was kept out of the round."""


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "FAILED"
    """It does not hold. Somebody changed something, and it was not the chain."""
    WARNING = "warning"
    """There may be an honest reason."""
    UNCHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: Check
    verdict: Verdict
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that an audit found."""

    round: Bytes32
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(finding.check for finding in self.findings if finding.verdict is Verdict.FAILED)

    @property
    def holds(self) -> bool:
        return not self.failed

    @property
    def is_unproven(self) -> bool:
        """Whether a block that the round rests on is not on the chain any more: there is no fault, and less was checked than in other rounds."""
        return self.holds and self.of(Check.BLOCK).verdict is Verdict.WARNING

    def of(self, check: Check) -> Finding:
        return next(finding for finding in self.findings if finding.check is check)


def found(check: Check, faults: Sequence[str], fine: str, *, doubts: Sequence[str] = ()) -> Finding:
    """FAILED with its faults, a warning with its doubts, or ok."""
    if faults:
        return Finding(check, Verdict.FAILED, _some([*faults, *doubts]))
    return Finding(check, Verdict.WARNING, _some(doubts)) if doubts else Finding(check, Verdict.OK, (fine,))


def unchecked(why: str, *checks: Check) -> list[Finding]:
    """These checks could not be made."""
    return [Finding(check, Verdict.UNCHECKED, (why,)) for check in checks]


def _some(words: Sequence[str]) -> tuple[str, ...]:
    """The first few, and how many more there are."""
    more = len(words) - WORDS_SHOWN
    shown = [one if len(one) <= LETTERS_SHOWN else one[:LETTERS_SHOWN] + "…" for one in words[:WORDS_SHOWN]]
    return (*shown, f"and {more} more") if more > 0 else tuple(shown)
