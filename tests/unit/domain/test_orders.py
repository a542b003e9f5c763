"""What an order says of itself: which classes, when, and who acts for its client."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.domain.ids import ZERO_ADDRESS
from marketplace.domain.units import UnixTime
from tests.unit.engine.markets import OPENER, PEOPLE, an_order

CLIENT, ACCEPTOR, STRANGER = PEOPLE[0], PEOPLE[1], PEOPLE[2]
ORDER = replace(an_order().signed.order, client=CLIENT)


@pytest.mark.parametrize(("acceptor", "side"), [(ACCEPTOR, {CLIENT, ACCEPTOR}), (ZERO_ADDRESS, {CLIENT})])
def test_a_clients_side_is_the_client_and_whom_it_named(acceptor: str, side: set[str]) -> None:
    """Nobody else: not the opener, not a stranger, and no zero address where no acceptor was named."""
    order = replace(ORDER, acceptor=acceptor, opener=OPENER)

    assert {who for who in (CLIENT, ACCEPTOR, STRANGER, OPENER, ZERO_ADDRESS) if order.is_client_side(who)} == side


def test_a_class_is_a_bit_of_the_order() -> None:
    """The first and the third, and no other one."""
    assert [number for number in range(5) if replace(ORDER, classes=0b101).accepts(number)] == [0, 2]


def test_an_order_is_for_later_until_its_start() -> None:
    """From that second on opening it is an ordinary opening (P-21)."""
    order = replace(ORDER, starts_at=UnixTime(100))

    assert [at for at in (99, 100, 101) if order.is_for_later(UnixTime(at))] == [99]
