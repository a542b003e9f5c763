"""Scores that are worked out for thousands of providers at once are those of the rule, to the last basis point."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import gcd

import numpy as np
import pytest

from marketplace.domain.reputation import (
    HALF_LIFE_SECONDS,
    NEWCOMER,
    PRIOR_BAD,
    PRIOR_GOOD,
    WHOLE,
    Outcome,
    Reputation,
    Tally,
)
from marketplace.domain.units import BPS_WHOLE, UnixTime
from scheduler.engine.tables.evidence import EvidenceColumns

NOW = UnixTime(4_000_000_000)


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_those_of_the_rule_whatever_the_weights_and_the_age(seed: int) -> None:
    """Weights to 2^70, some of nothing; ages to forty half-lives, and outcomes later than the moment that is asked for."""
    draw = random.Random(seed)
    reputations = [_any_reputation(draw) for _ in range(1_000)]

    assert _scores(reputations)[0] == [reputation.score_bps(NOW) for reputation in reputations]


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_those_of_the_rule_where_they_are_whole_or_nearly(seed: int) -> None:
    """Exactly on a basis point, and one unit of weight to either side: less than a thousand-millionth of a basis point away."""
    draw = random.Random(seed)
    reputations = [near for _ in range(200) for near in _whole_and_near(draw)]
    expected = [reputation.score_bps(NOW) for reputation in reputations]

    assert _scores(reputations)[0] == expected
    # The three are not alike: a whole score is the first of its basis point.
    assert [before + 1 for before in expected[::3]] == expected[1::3] == expected[2::3]


def test_newcomers_score_what_newcomers_score() -> None:
    """Whether nothing is told of them, or what is told weighs nothing, however old it is."""
    nobody: list[Reputation | None] = [None, NEWCOMER, Reputation(UnixTime(NOW - 5)), Reputation(UnixTime(NOW + 5))]
    scores, asked = _scores(nobody)

    assert scores == [NEWCOMER.score_bps(NOW)] * 4
    assert asked == 0


def test_the_rule_itself_is_asked_hardly_ever() -> None:
    """Of ten thousand ordinary providers for five at most; for all of those of which floats could say nothing sure."""
    draw = random.Random(1)
    ordinary = [
        _reputation(draw.randrange(5_000 * WHOLE), draw.randrange(50 * WHOLE), draw.randrange(4 * HALF_LIFE_SECONDS))
        for _ in range(10_000)
    ]
    beyond = [_reputation(2**61, 5, 9), _reputation(5, 2**61, 9), _reputation(WHOLE, 7, 17 * HALF_LIFE_SECONDS)]

    assert _scores(ordinary)[1] <= 5
    assert _scores(beyond)[1] == 3


def test_accounts_are_asked_for_by_their_numbers_in_any_order() -> None:
    """Some of them twice; and rows that are read anew replace those of before, also by nothing."""
    draw = random.Random(2)
    reputations = [draw.choice([NEWCOMER, _any_reputation(draw)]) for _ in range(60)]
    evidence = EvidenceColumns().after(40, np.arange(40), [_any_reputation(draw) for _ in range(40)])
    evidence = evidence.after(60, np.arange(60), [None if one is NEWCOMER else one for one in reputations])
    accounts = np.array([draw.randrange(60) for _ in range(200)])
    scores = evidence.scores_bps(accounts, NOW, lambda account: reputations[account].score_bps(NOW))

    assert scores.tolist() == [reputations[account].score_bps(NOW) for account in accounts.tolist()]


def _scores(reputations: Sequence[Reputation | None]) -> tuple[list[int], int]:
    """The scores, and for how many of them the rule was asked."""
    asked = list[int]()

    def rule(account: int) -> int:
        asked.append(account)
        return (reputations[account] or NEWCOMER).score_bps(NOW)

    count = len(reputations)
    evidence = EvidenceColumns().after(count, np.arange(count), reputations)
    return evidence.scores_bps(np.arange(count), NOW, rule).tolist(), len(asked)


def _any_reputation(draw: random.Random) -> Reputation:
    weight: Callable[[], int] = lambda: draw.choice([0, draw.randrange(1 + 2 ** draw.randrange(71)), 2**60, 2**60 - 1])  # noqa: E731
    halves, rest = draw.choice([0, draw.randrange(41)]), draw.choice([0, 1, -1, draw.randrange(HALF_LIFE_SECONDS)])
    return _reputation(weight(), weight(), draw.choice([1, 1, 1, -1]) * (halves * HALF_LIFE_SECONDS + rest))


def _whole_and_near(draw: random.Random) -> list[Reputation]:
    """Scores just below, on, and just above a basis point, of weights that age has halved some times.

    Solves W (P + h) = s (P + B + h + f) for a failed weight f that makes the heard one h whole.
    """
    while True:
        score = draw.randrange(1_000, BPS_WHOLE)
        rest = BPS_WHOLE - score
        if gcd(score, rest) == 1:
            least = draw.randrange(2**44, 2**45)
            failed = least + (BPS_WHOLE * PRIOR_GOOD * pow(score, -1, rest) - PRIOR_GOOD - PRIOR_BAD - least) % rest
            heard = (score * (PRIOR_GOOD + PRIOR_BAD + failed) - BPS_WHOLE * PRIOR_GOOD) // rest
            halvings = draw.randrange(min(17, 60 - heard.bit_length()))
            age = halvings * HALF_LIFE_SECONDS
            return [_reputation((heard << halvings) + nudge, failed << halvings, age) for nudge in (-1, 0, 1)]


def _reputation(heard: int, failed: int, age: int) -> Reputation:
    return Reputation(UnixTime(NOW - age), {Outcome.AT_FAULT: Tally(1, failed), Outcome.CLAIMED: Tally(1, 1)}, heard)
