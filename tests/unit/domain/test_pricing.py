"""Money by the second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain.leases import NO_LEASE, Lease, LeaseStatus
from marketplace.domain.orders import Order
from marketplace.domain.pricing import (
    bond_of,
    can_expire,
    can_finalize,
    can_lapse,
    earned_rounded_down,
    elapsed_of,
    locked_rounded_up,
    worst_cost_of,
)
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from tests.unit.engine.markets import DOLLAR, TERMS, an_order

prices = st.integers(0, 2**80 - 1).map(PricePerGpuHour)
gpus = st.integers(1, 2**16 - 1).map(GpuCount)
spans = st.integers(1, 2**32 - 1)


@given(prices, gpus, st.lists(spans, min_size=1, max_size=20))
def test_the_sum_never_depends_on_how_it_was_cut(price: PricePerGpuHour, count: GpuCount, cuts: list[int]) -> None:
    """Paying E(s) - E(p) at any cuts adds up to E of the last (P-03)."""
    marks = sorted({0, *cuts})
    parts = [
        earned_rounded_down(price, count, Seconds(s)) - earned_rounded_down(price, count, Seconds(p))
        for p, s in pairwise(marks)
    ]

    assert sum(parts) == earned_rounded_down(price, count, Seconds(marks[-1]))
    assert all(part >= 0 for part in parts)


@given(prices, gpus, spans)
def test_the_lock_covers_all_that_can_be_earned(price: PricePerGpuHour, count: GpuCount, seconds: int) -> None:
    """T - E(maxSeconds) is 0 or 1 unit of dust (P-03)."""
    dust = locked_rounded_up(price, count, Seconds(seconds)) - earned_rounded_down(price, count, Seconds(seconds))

    assert dust in (0, 1)


@given(st.integers(0, 2**128), st.integers(0, 10_000), st.integers(0, 2**64))
def test_a_bond_is_its_share_or_the_floor(locked: int, bps: int, floor: int) -> None:
    """B = max(floor(T * bondBps / 10000), BOND_FLOOR) (P-04)."""
    bond = bond_of(TokenUnits(locked), Bps(bps), TokenUnits(floor))

    assert bond >= floor
    assert bond == floor or bond * 10_000 <= locked * bps < (bond + 1) * 10_000


OPENED, TERM = UnixTime(1_000), UnixTime(1_500)
A_LEASE = replace(NO_LEASE, opened_at=OPENED, changed_at=UnixTime(4_000))
ORDER = an_order(max_seconds=100).signed.order
LATER = replace(ORDER, starts_at=TERM)


@pytest.mark.parametrize(
    ("can", "status", "first"),
    [
        (lambda lease, at: can_expire(ORDER, lease, at, TERMS), LeaseStatus.OPEN, OPENED + 100 + TERMS.claim_grace),
        (lambda lease, at: can_expire(LATER, lease, at, TERMS), LeaseStatus.OPEN, TERM + 100 + TERMS.claim_grace),
        (lambda lease, at: can_finalize(lease, at, TERMS), LeaseStatus.CLAIMED, 4_000 + TERMS.challenge_window),
        (lambda lease, at: can_lapse(lease, at, TERMS), LeaseStatus.DISPUTED, 4_000 + TERMS.ruling_window),
    ],
    ids=["expire", "expire a term lease", "finalize", "lapse"],
)
def test_an_exit_by_time_is_open_from_its_second_on_in_its_state_alone(
    can: Callable[[Lease, UnixTime], bool], status: LeaseStatus, first: int
) -> None:
    """Not a second before, and never for a lease in another state (P-11)."""
    for found in LeaseStatus:
        lease = replace(A_LEASE, status=found)
        open_at = [at for at in (first - 1, first, first + 1) if can(lease, UnixTime(at))]
        assert open_at == ([first, first + 1] if found is status else []), found


@pytest.mark.parametrize(("order", "start"), [(ORDER, OPENED), (LATER, TERM)], ids=["at once", "for later"])
def test_the_meter_runs_from_the_start_to_the_last_second_ordered(order: Order, start: int) -> None:
    """Nothing before it starts, and never more than maxSeconds (P-03)."""
    on_the_meter = [elapsed_of(order, A_LEASE, UnixTime(start + after)) for after in (-1, 0, 1, 99, 100, 5_000)]

    assert on_the_meter == [0, 0, 1, 99, 100, 100]


def test_an_order_costs_at_worst_its_lock_at_its_own_price_and_the_tip() -> None:
    """Two dollars an hour for half of one on three GPUs, and a tip of seven (I-6)."""
    order = replace(ORDER, gpus=GpuCount(3), max_seconds=Seconds(1_800), tip=TokenUnits(7))

    assert worst_cost_of(order) == 3 * DOLLAR + 7
    assert locked_rounded_up(PricePerGpuHour(1), GpuCount(1), Seconds(1)) == 1
