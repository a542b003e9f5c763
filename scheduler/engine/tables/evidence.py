"""Reputations as columns. What a score is, ``domain.reputation`` says; here it is worked out for thousands of providers at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from marketplace.domain.reputation import HALF_LIFE_SECONDS, NEWCOMER, PRIOR_BAD, PRIOR_GOOD, Reputation
from marketplace.domain.units import BPS_WHOLE, UnixTime
from scheduler.engine.arrays import Bools, Ints, grown

_FRACTION_BITS = 32
"""Of a half-life, as the rule has it (``reputation.share_left``)."""
_NEAR = 1e-6
"""So near to a whole number of basis points the true score decides. Those that are worked out here are off by less than a thousandth of it."""
_MOST_WEIGHT, _MOST_HALVINGS = 1 << 60, 16
"""Beyond these, too."""


@dataclass(frozen=True, slots=True)
class EvidenceColumns:
    """Of each account, by its number: what ``Reputation`` rests on. Of newcomers nothing."""

    heard: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    failed: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    as_of: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def after(self, accounts: int, read: Ints, reputations: Sequence[Reputation | None]) -> EvidenceColumns:
        """The same with the rows of these ``read`` anew, and room for so many accounts."""
        known = [one for one in reputations if one is not None]
        numbers = read[[one is not None for one in reputations]]
        by_column = (
            (self.heard, [min(one.heard, _MOST_WEIGHT) for one in known]),
            (self.failed, [min(one.failed, _MOST_WEIGHT) for one in known]),
            (self.as_of, [one.as_of for one in known]),
        )
        columns = []
        for old, values in by_column:
            column = grown(old, accounts)
            column[read] = 0
            column[numbers] = values
            columns.append(column)
        return EvidenceColumns(*columns)

    def scores_bps(self, accounts: Ints, at: UnixTime, score_of: Callable[[int], int]) -> Ints:
        """The scores of these accounts, as ``Reputation.score_bps`` has them. ``score_of`` asks it for the few that are too near to call.

        In floats, which only decide where they cannot be wrong: the same integers on every machine.
        """
        heard, failed, age = self.heard[accounts], self.failed[accounts], np.maximum(0, at - self.as_of[accounts])
        halvings, rest = np.divmod(age, HALF_LIFE_SECONDS)
        fraction = (rest << _FRACTION_BITS) // HALF_LIFE_SECONDS
        left = np.exp2(-fraction / 2.0**_FRACTION_BITS - np.minimum(halvings, _MOST_HALVINGS))
        good, bad = PRIOR_GOOD + heard * left, PRIOR_BAD + failed * left
        score = BPS_WHOLE * good / (good + bad)
        is_newcomer = (heard == 0) & (failed == 0)
        found = np.where(is_newcomer, NEWCOMER.score_bps(at), np.floor(score).astype(np.int64))
        is_open: Bools = np.abs(score - np.rint(score)) < _NEAR
        is_open |= (np.maximum(heard, failed) >= _MOST_WEIGHT) | (halvings > _MOST_HALVINGS)
        for row in np.nonzero(is_open & ~is_newcomer)[0].tolist():
            found[row] = score_of(int(accounts[row]))
        return np.asarray(found)
