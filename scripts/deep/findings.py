"""Slither: what it finds of high or medium impact must be fixed, or explained in triage.toml. An explanation that explains nothing is an error."""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.deep.figures import Measured
from scripts.deep.tools import (
    NotHeld,
    build_for_slither,
    environment,
    forge_versions,
    installed,
    package_version,
    run,
    say,
)

TRIAGE = Path(__file__).with_name("triage.toml")
OUT_OF_SIGHT = r"(node_modules|tests)/"


@dataclass(frozen=True)
class Finding:
    """One thing that slither found: which check, in which functions, and its own words."""

    check: str
    impact: str
    places: frozenset[str]
    text: str


@dataclass(frozen=True)
class Explanation:
    """Why a finding is none: it holds for one check in one function or contract."""

    check: str
    place: str
    reason: str

    def explains(self, finding: Finding) -> bool:
        """Whether it speaks of this finding."""
        return self.check == finding.check and self.place in finding.places


def slither() -> Measured:
    """Analyse the contracts as they are deployed."""
    programs = installed("slither")
    build_for_slither()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "slither.json"
        command = [programs / "slither", ".", "--ignore-compile", "--foundry-out-directory", "out/slither"]
        command += ["--filter-paths", OUT_OF_SIGHT, "--json", report]
        run(command, seconds=600, env=environment("slither"), accept=(0, 255))
        findings = read_findings(json.loads(report.read_text(encoding="utf-8")))
    explanations = read_explanations(TRIAGE)
    still_open = [finding for finding in findings if not any(known.explains(finding) for known in explanations)]
    stale = [known for known in explanations if not any(known.explains(finding) for finding in findings)]
    say("slither", f"{len(findings)} of high or medium impact, {len(still_open)} not explained")
    if still_open or stale:
        raise NotHeld(
            "\n".join([*(f"{known.check} {known.place}: explains nothing" for known in stale), *_said(still_open)])
        )
    versions = {**forge_versions(), "slither": package_version(programs, "slither-analyzer")}
    return Measured({"slither.high_medium_open": len(still_open)}, versions)


def read_findings(report: Mapping[str, Any]) -> list[Finding]:
    """Take what is of high or medium impact out of slither's JSON."""
    if not report["success"]:
        raise NotHeld(str(report["error"]))
    return [
        Finding(found["check"], found["impact"], _places(found["elements"]), found["description"])
        for found in report["results"].get("detectors", [])
        if found["impact"] in {"High", "Medium"}
    ]


def read_explanations(path: Path) -> list[Explanation]:
    """Read triage.toml."""
    return [Explanation(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("finding", [])]


def _places(elements: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    names = set()
    for element in elements:
        if element["type"] == "function":
            names.add(f"{element['type_specific_fields']['parent']['name']}.{element['name']}")
        elif element["type"] in {"contract", "variable"}:
            names.add(element["name"])
    return frozenset(names)


def _said(findings: Sequence[Finding]) -> list[str]:
    return [f"{finding.impact} {finding.check} {sorted(finding.places)}: {finding.text}" for finding in findings]
