"""How far a reservation has come, by the chain's word and block time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.client.reserved import ReservationState, state_of
from marketplace.domain.leases import NO_LEASE, LeaseStatus
from marketplace.domain.units import UnixTime
from tests.unit.engine.markets import an_order

ORDER = an_order(starts_at=UnixTime(200), expires_at=UnixTime(100)).signed.order


@pytest.mark.parametrize(
    ("status", "states"),
    [
        (
            LeaseStatus.NONE,
            [ReservationState.WAITING, ReservationState.OVER, ReservationState.OVER, ReservationState.OVER],
        ),
        (LeaseStatus.OPEN, [ReservationState.RESERVED] * 3 + [ReservationState.RUNNING]),
        (LeaseStatus.CLAIMED, [ReservationState.CLAIMED] * 4),
        (LeaseStatus.DISPUTED, [ReservationState.DISPUTED] * 4),
        (LeaseStatus.CLOSED, [ReservationState.OVER] * 4),
    ],
)
def test_a_reservation_waits_is_held_and_begins(status: LeaseStatus, states: list[ReservationState]) -> None:
    """Until the second before it expires, and until the second before its term begins."""
    lease = replace(NO_LEASE, status=status)

    assert [state_of(ORDER, lease, UnixTime(now)) for now in (99, 100, 199, 200)] == states
