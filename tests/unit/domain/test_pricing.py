"""Money by the second."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain.pricing import bond_of, earned_rounded_down, locked_rounded_up
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits

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
