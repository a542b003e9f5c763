"""Ten million orders on paper: what is measured of a round, and what is computed from it."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.bench import ten_million
from scripts.bench.generators import Thin
from scripts.bench.scale import sampled, written


@pytest.fixture
def figures() -> dict[str, Any]:
    """A round takes a second at each size, and every other quantity is one."""
    values = {key: {"value": 1} for key in ten_million.words()}
    return values | {"gas.fill_100x100": {"value": 60_000}, "gas.receipt_100x100": {"value": 40_000}}


def test_a_round_is_timed_and_weighed() -> None:
    """Rounds of a small market of many shards: the auction is a part of its round. (Memory is measured in a process of its own.)"""
    sample, of_one = sampled(Thin(orders=600, offers=200)), written(Thin(orders=600, offers=200))

    assert 0 < sample.auction_seconds < sample.seconds_again
    assert sample.shards > 50
    assert 0 < sample.largest_shard_percent < 10
    assert 0 < sample.fills_percent <= 100
    assert min(of_one.snapshot, of_one.plan, of_one.calldata) > 32


@pytest.mark.parametrize(
    "row",
    [
        "| CPU seconds of a round, split by shards | 100 s | 100 × the round of 100,000 orders |",
        "| fills in a block of 60M gas | 1,000 |",
        "| fills in the largest transaction | 279 |",
        "| jobs a block when as many come as go | 600 |",
        "| jobs a second, at 12 s and at 2 s a block | 50 and 300 |",
        "| fills of a plan | 100,000 |",
        "| blocks to post it | 100 |",
        "| RPC calls of the scheduler a block | 50 |",
    ],
)
def test_what_follows_is_computed_from_figures(figures: dict[str, Any], row: str) -> None:
    """Gas, blocks, cores and calls at ten million orders are sums over what was measured, and can be checked by hand."""
    assert row in ten_million.table(figures)


def test_nothing_is_told_of_what_was_not_measured() -> None:
    """Without figures the tables are empty."""
    assert ten_million.table({}) == ten_million.rounds_table({}) == ""
