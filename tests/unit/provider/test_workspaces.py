"""Whose session may be followed: asked before one is ended for it, and before its files are handed on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.units import PricePerGpuHour, UnixTime
from marketplace.provider.home import ServingFolder
from marketplace.provider.workspaces import Workspaces
from marketplace.store.journal.rows import Serving
from tests.unit.provider.test_metering import ORDER

STRANGER = Address("0x" + "22" * 20)
RUNNING = Serving(
    lease=Bytes32("0x" + "aa" * 32), opened_at=UnixTime(1_000), offer=OfferId(1), price=PricePerGpuHour(1), order=ORDER, opened_in_block=7,
    updated_at=UnixTime(1_000),
)  # fmt: skip


def test_a_session_is_followed_by_its_own_client_only() -> None:
    """While it runs, and while its files are kept: to anybody else it is not there."""
    workspaces = Workspaces()
    assert workspaces.followed(RUNNING.lease, ORDER.client, [RUNNING]) == RUNNING.key
    assert workspaces.followed(RUNNING.lease, STRANGER, [RUNNING]) is None

    workspaces.keep(RUNNING, ServingFolder(Path("left")), UnixTime(2_000))
    assert workspaces.followed(RUNNING.lease, ORDER.client, []) == RUNNING.key
    assert workspaces.followed(RUNNING.lease, STRANGER, []) is None


def test_of_a_lease_that_was_opened_twice_the_last_serving_is_followed() -> None:
    """One that was given back, and came again, has left nothing worth having."""
    again = replace(RUNNING, opened_at=UnixTime(1_500))

    assert Workspaces().followed(RUNNING.lease, ORDER.client, [again, RUNNING]) == again.key
