"""docs/figures.json and what documents quote of it."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from scripts.deep.__main__ import PARTS
from scripts.deep.coverage import parse_lcov
from scripts.deep.figures import ROOT, Measured, read_figures, write_figures
from scripts.deep.findings import TRIAGE, Explanation, Finding, read_explanations, read_findings
from scripts.deep.mutation import Mutant, sample
from scripts.deep.tables import QUOTE, WORDS, documents, rendered

FIGURES = read_figures()


def test_a_figure_says_what_by_which_command_with_what_and_when() -> None:
    """Each figure can be measured again: it names a bench or a part of `make deep`, the tools' versions and a day."""
    assert set(FIGURES) <= set(WORDS)
    for key, figure in FIGURES.items():
        part = re.fullmatch(r"make deep PART=(\w+)", figure["command"])
        is_bench = (figure["command"], key.partition(".")[0]) in (
            ("make bench", "clearing"),
            ("make bench PART=budgets", "clearing"),
            ("make bench PART=regret", "prices"),
            ("make bench PART=scale", "scale"),
            ("make bench PART=whole", "whole"),
            ("make bench PART=floods", "floods"),
            ("make bench PART=chain", "chain"),
            ("make bench PART=api", "api"),
            ("make bench PART=exec", "exec"),
            ("make bench PART=page", "page"),
            ("make bench PART=finance", "finance"),
        )

        assert set(figure) == {"value", "command", "versions", "date"}, key
        assert isinstance(figure["value"], int | float), key
        assert is_bench or (part is not None and part[1] in PARTS), key
        assert figure["versions"], key
        assert all(re.fullmatch(r"\d+\.\d+[\w.]*", version) for version in figure["versions"].values()), key
        assert dt.date.fromisoformat(figure["date"]), key


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_quote_the_figures_as_they_are(path: Path) -> None:
    """Whoever measures again runs `python -m scripts.deep.tables`, which finds every marker: none is broken, and none begins a line, which would end its paragraph."""
    text = path.read_text(encoding="utf-8")

    assert rendered(text, FIGURES) == text
    assert len(re.findall(r"\bfigure:", text)) == len(QUOTE.findall(text))
    assert not re.search(r"^ *<!-- figure:", text, re.MULTILINE)


def test_a_part_replaces_its_own_figures_only(tmp_path: Path) -> None:
    """What another part measured stays."""
    path = tmp_path / "figures.json"
    write_figures(Measured({"attacks.tests": 1}, {"forge": "1.7.1"}), "make deep PART=attacks", path)
    write_figures(Measured({"halmos.proofs": 2}, {"halmos": "0.3.3"}), "make deep PART=halmos", path)
    write_figures(Measured({"attacks.tests": 3}, {"forge": "1.7.2"}), "make deep PART=attacks", path)

    figures = read_figures(path)
    assert {key: figure["value"] for key, figure in figures.items()} == {"attacks.tests": 3, "halmos.proofs": 2}
    assert figures["attacks.tests"]["versions"] == {"forge": "1.7.2"}


def test_blocks_and_quotes_are_filled() -> None:
    """A block becomes a table of its group, a quote a number, and nothing around them changes."""
    figures = {
        "attacks.tests": {"value": 1234, "command": "make deep PART=attacks", "versions": {}, "date": "2026-01-02"}
    }
    text = "a <!-- figure:attacks.tests -->old<!-- /figure --> b\n<!-- figures:begin attacks gas -->\nold\n<!-- figures:end -->"

    assert rendered(text, figures) == (
        "a <!-- figure:attacks.tests -->1,234<!-- /figure --> b\n<!-- figures:begin attacks gas -->\n"
        "| figure | value | measured by | on |\n|---|---:|---|---|\n"
        "| tests of attacks | 1,234 | `make deep PART=attacks` | 2026-01-02 |\n<!-- figures:end -->"
    )


def test_coverage_counts_what_was_not_reached() -> None:
    """A line that ran 0 times, and a branch that was never taken or never come to, are gaps."""
    trace = "TN:\nSF:contracts/A.sol\nDA:1,5\nDA:2,0\nBRDA:1,0,0,3\nBRDA:1,0,1,-\nBRDA:2,1,0,0\nend_of_record\n"

    [reached] = parse_lcov(trace)
    assert (reached.path, reached.lines, reached.lines_reached) == ("contracts/A.sol", 2, 1)
    assert (reached.branches, reached.branches_reached) == (3, 1)
    assert reached.gaps == ("line 2", "branch 1.0.1", "branch 2.1.0")


def test_only_grave_findings_need_an_explanation() -> None:
    """Slither's high and medium ones; an explanation holds for its check and its place only."""
    element = {"type": "function", "name": "f", "type_specific_fields": {"parent": {"name": "A"}}}
    grave = {"check": "x", "impact": "High", "description": "", "elements": [element]}
    slight = {**grave, "impact": "Low"}
    findings = read_findings({"success": True, "results": {"detectors": [grave, slight]}})

    assert findings == [Finding("x", "High", frozenset({"A.f"}), "")]
    assert Explanation("x", "A.f", "").explains(findings[0])
    assert not Explanation("x", "A.g", "").explains(findings[0])
    assert not Explanation("y", "A.f", "").explains(findings[0])


def test_every_explanation_gives_a_reason() -> None:
    """The triage file says why, in a sentence."""
    assert [known for known in read_explanations(TRIAGE) if len(known.reason) < 20] == []


def test_the_sample_of_mutants_is_the_same_each_time() -> None:
    """So that two runs can be compared; and each mutator has its share."""
    mutants = [Mutant(name, "f", line, 0, 0, "", "") for name in ("AOR", "CR") for line in range(100)]

    drawn = sample(mutants, 30)
    assert drawn == sample(mutants, 30)
    assert len(set(drawn)) == 60
    assert sum(mutant.mutator == "CR" for mutant in drawn) == 30
