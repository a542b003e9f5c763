"""What the bench writes: figures under the names that others look for, and plots that are the same for equal figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.domain import editions
from scheduler.engine.clear import clear
from scheduler.engine.columns import ColumnReader
from scheduler.engine.plan import Plan
from scheduler.engine.snapshot import Snapshot
from scripts.bench import trial as trials_of
from scripts.bench.__main__ import figures_of
from scripts.bench.generators import Thin, Uniform
from scripts.bench.plots import draw_plots
from scripts.bench.sizes import LARGEST, SIZES, table, words
from scripts.bench.trial import LATER_ROUNDS, Later, Trial, going_on, tried


def test_the_published_figures_have_their_words() -> None:
    """Those that the project promises, and a table cell for each that is measured."""
    promised = (
        "ratio_100k_10k",
        "seconds_100k_10k",
        "ratio_10k_1k",
        "fifo_ratio_100k_10k",
        "ratio_1k_1k",
        "incremental_share",
        "incremental_ratio",
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
    assert 0.9 < min(trial.later.ratio, trial.later.ratio_anew) <= max(trial.later.ratio, trial.later.ratio_anew) <= 1
    assert trial.later_share() == trial.later.seconds / trial.seconds["engine"] > 0
    assert [path.read_bytes() for path in draw_plots(trials, tmp_path)] == first
    assert b"<dc:date>" not in first[0]


def test_a_later_round_goes_on_from_the_plan_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each names the hash of the last one's plan, and gives the plan that anybody gets from snapshot and former plan."""
    seen = list[Snapshot]()

    def noted(snapshot: Snapshot, reader: ColumnReader) -> Plan:
        seen.append(snapshot)
        return clear(snapshot, reader=reader)

    market = Thin(orders=200, offers=80, models=3, regions=2)
    monkeypatch.setattr(trials_of, "_warm_up", lambda kind: None)
    monkeypatch.setattr(trials_of, "round_of", noted)
    tried(market, seed=1, solver_seconds=0.0)
    first, *later, anew = [one for one in seen if isinstance(one.view.orders, editions.RowSet)]
    untold = [one for one in seen if not isinstance(one.view.orders, editions.RowSet)]

    assert (first.former, len(later)) == (None, LATER_ROUNDS)
    assert [(one.view, one.former and one.former.plan) for one in untold] == [
        (one.view, one.former and one.former.plan) for one in (first, *later)
    ]
    plan = clear(first)
    for snapshot in later:
        plan, former = going_on(replace(snapshot, former=None), plan, ColumnReader()), plan
        assert snapshot.former is not None
        assert (snapshot.former.plan, snapshot.former.offers.tolist()) == (
            former.sha256,
            former.former().offers.tolist(),
        )
    assert anew == replace(later[-1], former=None)


def test_the_figures_of_later_rounds_are_medians_of_the_seeds() -> None:
    """Of the largest uniform market: seconds, their share of the first round's in the same run, and surplus, going on and from nothing."""
    many = [
        Trial(1_000, 1_000, 0.1, Later(seconds, 2 * seconds, ratio, 0.99), {"engine": 990}, {"engine": 2.0})
        for seconds, ratio in ((0.5, 0.97), (0.7, 0.98), (0.4, 0.99))
    ]
    found = figures_of({("uniform", LARGEST): many}).values

    assert [found[f"clearing.incremental_{unit}"] for unit in ("seconds", "share")] == [0.5, 0.25]
    assert [found[f"clearing.untold_{unit}"] for unit in ("seconds", "share")] == [1.0, 0.5]
    assert (found["clearing.incremental_ratio"], found["clearing.incremental_ratio_anew"]) == (0.98, 0.99)
