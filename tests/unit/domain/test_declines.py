"""A provider's signed word for giving a lease back: one printable line, a known reason, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.domain.declines import (
    MOST_DETAIL,
    Decline,
    ObstacleReason,
    SignedDecline,
    decline_from_wire,
    decline_to_wire,
    one_line,
)
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime

SAID = SignedDecline(
    Decline(Bytes32("0x" + "1e" * 32), UnixTime(2**40 - 1), ObstacleReason.LEAVING, "d" * MOST_DETAIL), "0xab"
)


def test_a_decline_survives_the_wire() -> None:
    """The longest line and the last moment, too."""
    assert decline_from_wire(decline_to_wire(SAID)) == SAID


WRONG: list[tuple[str, Any]] = [
    ("openedAt", 2**40), ("openedAt", -1), ("openedAt", True), ("openedAt", "5"), ("detail", "two\nlines"), ("detail", " blank before"),
    ("detail", "d" * (MOST_DETAIL + 1)), ("detail", None), ("detail", 7), ("reason", "bad_mood"), ("reason", None), ("lease", "0x1e"),
    ("signature", "0x1"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_what_is_no_decline_is_refused(field: str, value: Any) -> None:
    """And the field is named."""
    with pytest.raises(InvalidField) as caught:
        decline_from_wire(decline_to_wire(SAID) | {field: value})
    assert caught.value.field.endswith(field)

    for other in (None, {}, decline_to_wire(SAID) | {"more": 1}):
        with pytest.raises(InvalidField):
            decline_from_wire(other)


@pytest.mark.parametrize(
    ("detail", "line"), [("a\nb\tc", "a b c"), ("  x ", "x"), ("\x1b[2J", "[2J"), ("d" * 500, "d" * 400), ("", "")]
)
def test_a_detail_becomes_one_printable_line(detail: str, line: str) -> None:
    """Cut where it is too long; nothing in it moves a screen. Said again it is the same."""
    assert one_line(detail) == one_line(one_line(detail)) == line


def test_what_a_gateway_did_not_deliver_is_not_about_the_pair() -> None:
    """Whatever is, lets provider and order rest from each other."""
    not_about = {reason for reason in ObstacleReason if not reason.is_about_pair}

    assert {reason for reason in ObstacleReason if reason.endswith("_not_delivered")} < not_about
    assert not_about.isdisjoint({ObstacleReason.LEAVING, ObstacleReason.MACHINE_BUSY, ObstacleReason.IMAGE_ARCH})
