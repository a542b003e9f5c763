"""`bourse gpu`, on machines that are made up, and on this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.nvml import nvml_at

ROOT = Path(__file__).resolve().parents[2]


def bourse(folder: Path, *words: str, nvml: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command, with no settings but these."""
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "BOURSE_HOME": str(folder / "home")}
    environment |= {"BOURSE_NVML": str(nvml)} if nvml else {}
    command = [sys.executable, "-m", "marketplace.cli.main", *words]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=True)


def told(folder: Path, *words: str, nvml: Path | None = None) -> Any:
    return json.loads(bourse(folder, *words, "--json", nvml=nvml).stdout)


def test_a_machines_gpus_are_shown_with_their_classes(tmp_path: Path) -> None:
    """By UUID, with what each may be offered as, or why it may not."""
    seen = told(tmp_path, "gpu", nvml=nvml_at(tmp_path / "a", "H100 and A40"))
    laptop = bourse(tmp_path, "gpu", nvml=nvml_at(tmp_path / "b", "laptop")).stdout

    assert [(gpu["class"], gpu["sample"]["power_w"]) for gpu in seen["gpus"]] == [("A40", 30), ("H100-SXM-80GB", 68)]
    assert (seen["driver"], seen["trouble"]) == ("535.161.08", "")
    assert "is a laptop's" in " ".join(laptop.split())


def test_this_machines_gpus_are_shown(tmp_path: Path) -> None:
    """With a driver, each by its UUID; without one, why nothing is seen."""
    seen = told(tmp_path, "gpu")

    assert bool(seen["gpus"]) != bool(seen["trouble"])
    assert all(gpu["uuid"].startswith("GPU-") and (gpu["class"] or gpu["refusal"]) for gpu in seen["gpus"])
