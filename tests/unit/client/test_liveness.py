"""What is evidence of a provider's silence, and what is none."""

from __future__ import annotations

import pytest

from marketplace.client.liveness import Heard, fresh_seconds, is_witnessed, silent_seconds, witnessed_by
from marketplace.client.witnesses import Witnessed
from marketplace.domain.units import Seconds, UnixTime

NOW, PATIENCE = UnixTime(1_000), Seconds(15)
LONG_AGO, JUST_NOW = UnixTime(NOW - 400), UnixTime(NOW - 5)


@pytest.mark.parametrize(
    ("heard", "is_evidence"),
    [
        ([], False),
        ([Heard(LONG_AGO, None)], False),
        ([Heard(LONG_AGO, LONG_AGO)], False),
        ([Heard(LONG_AGO, UnixTime(NOW - 6))], False),
        ([Heard(None, JUST_NOW)], False),
        ([Heard(LONG_AGO, JUST_NOW)], True),
        ([Heard(LONG_AGO, None), Heard(LONG_AGO, None)], True),
        ([Heard(LONG_AGO, None), Heard(None, None)], False),
        ([Heard(LONG_AGO, None), Heard(None, JUST_NOW)], False),
    ],
)
def test_silence_counts_where_somebody_would_be_heard(heard: list[Heard], is_evidence: bool) -> None:
    """At a gateway that knows the provider and hears another one, or at two that know it; not where nobody is heard, or it is unknown."""
    assert is_witnessed(heard, NOW, PATIENCE) is is_evidence


def test_silence_is_counted_from_the_last_sign_the_opening_and_the_first_look() -> None:
    """The latest of the three: who has looked on for two seconds has seen two seconds of silence. A newer beat at any gateway counts."""
    seen = Witnessed(UnixTime(NOW - 20), NOW)

    assert silent_seconds([Heard(LONG_AGO, NOW)], seen, LONG_AGO, NOW) == 20
    assert silent_seconds([Heard(LONG_AGO, NOW)], seen, UnixTime(NOW - 3), NOW) == 3
    assert silent_seconds([Heard(LONG_AGO, NOW), Heard(JUST_NOW, NOW)], seen, LONG_AGO, NOW) == 5
    assert silent_seconds([Heard(LONG_AGO, NOW)], Witnessed(UnixTime(NOW - 2), NOW), LONG_AGO, NOW) == 2


def test_a_gap_begins_the_count_anew() -> None:
    """An outage of the gateway, or of our own: whoever could not be heard meanwhile is not silent for it."""
    before = Witnessed(UnixTime(NOW - 60), UnixTime(NOW - 5))

    assert witnessed_by(before, NOW, PATIENCE) == Witnessed(UnixTime(NOW - 60), NOW)
    assert witnessed_by(before, UnixTime(NOW + 1), PATIENCE) == Witnessed(UnixTime(NOW + 1), UnixTime(NOW + 1))
    assert witnessed_by(None, NOW, PATIENCE) == Witnessed(NOW, NOW)


@pytest.mark.parametrize("patience", [9, 15, 90, 900])
def test_what_goes_unseen_is_shorter_than_the_patience(patience: int) -> None:
    """A beat of another's that is as old as it may be, and a gap as long as it may be: together they make nobody silent."""
    assert 2 * fresh_seconds(Seconds(patience)) < patience
