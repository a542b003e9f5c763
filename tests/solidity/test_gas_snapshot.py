"""The gas that the tree says its transactions cost is what they cost."""

from __future__ import annotations

from scripts.gas_snapshot import committed, measured

TOLERANCE_PERCENT = 2


def test_the_gas_snapshot_is_true_within_two_percent() -> None:
    """Every figure of gas.json is measured, none is missing, and none is off by more than 2 % (`make gas` writes it anew)."""
    said, now = committed(), measured()
    off = {
        sentence: (said[sentence], gas)
        for sentence, gas in now.items()
        if sentence in said and abs(gas - said[sentence]) * 100 > TOLERANCE_PERCENT * said[sentence]
    }

    assert said.keys() == now.keys()
    assert off == {}


def test_the_life_of_a_job_costs_what_we_promise() -> None:
    """In batches of 100, with everybody known: at most 102,000 gas for 100 parties a side, 74,100 for ten."""
    said = committed()

    for parties, most in ((100, 102_000), (10, 74_100)):
        who = f"batch of 100, {parties} clients and {parties} providers"
        assert said[f"fill, {who}"] + said[f"receipt, {who}"] <= most
