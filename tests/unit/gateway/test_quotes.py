"""Quotes are a hint of what a round will do, so they measure with its measures."""

from __future__ import annotations

from marketplace.services.quotes import PREFERENCE_BPS
from scheduler.engine.policy import Policy


def test_a_preferred_region_is_worth_the_same_to_quotes_and_rounds() -> None:
    """The gateway cannot ask the scheduler, whose choice it is; by default they agree."""
    assert Policy().preference_bps == PREFERENCE_BPS
