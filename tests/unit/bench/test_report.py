"""What the bench writes: figures under the names that others look for, and plots that are the same for equal figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.bench.__main__ import figures_of
from scripts.bench.generators import Uniform
from scripts.bench.plots import draw_plots
from scripts.bench.sizes import SIZES, table, words
from scripts.bench.trial import Trial, tried


def test_the_published_figures_have_their_words() -> None:
    """Those that the project promises, and a table cell for each that is measured."""
    promised = (
        "ratio_100k_10k",
        "seconds_100k_10k",
        "ratio_10k_1k",
        "fifo_ratio_100k_10k",
        "ratio_1k_1k",
    )
    keys = {f"clearing.{name}" for name in promised}
    figures = {key: {"value": 0.25} for key in words()}

    assert keys <= set(words())
    assert "| uniform | 1,000 × 1,000 | 0.2500 | 0.2500 | 0.2500 | 0.2500 | 0.2500 | 0.2500 | 0.250 | 0.250 |" in table(
        figures
    )
    assert "| trace | 100,000 × 10,000 | 0.2500 | 0.2500 | 0.2500 | 0.2500 |  |  | 0.250 | 0.250 |" in table(figures)


def test_a_trial_measures_every_way_and_finds_nothing_broken(tmp_path: Path) -> None:
    """Nobody surpasses the optimum; drawn twice, the plots are the same bytes."""
    trial = tried(Uniform(orders=120, offers=60, models=4, regions=2), seed=1, solver_seconds=5.0)
    trials = {("uniform", size): [trial, trial] for size in SIZES[:2]}
    first = [path.read_bytes() for path in draw_plots(trials, tmp_path)]

    assert trial.broken == ()
    assert trial.ratio("fifo") < trial.ratio("mip") == pytest.approx(trial.ratio("cp_sat"), rel=2e-4)
    assert max(trial.surplus.values()) <= trial.bound <= trial.loose
    assert [path.read_bytes() for path in draw_plots(trials, tmp_path)] == first
    assert b"<dc:date>" not in first[0]


def test_the_figures_are_medians_of_the_seeds() -> None:
    """Of the seconds and of the surplus over the bound."""
    many = [
        Trial(1_000, 1_000, 0.1, {"engine": surplus}, {"engine": seconds})
        for seconds, surplus in ((0.5, 970), (0.7, 980), (0.4, 990))
    ]
    found = figures_of({("uniform", SIZES[0]): many}).values

    assert (found["clearing.seconds_1k_1k"], found["clearing.ratio_1k_1k"], found["clearing.seeds"]) == (0.5, 0.98, 3)
