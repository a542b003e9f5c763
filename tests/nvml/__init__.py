"""Machines with GPUs that are not there: a module that speaks like ``pynvml``, and what it tells as data beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FAKE = Path(__file__).with_name("fake_nvml.py")
MACHINES: Mapping[str, Mapping[str, Any]] = json.loads(Path(__file__).with_name("machines.json").read_text())


def nvml_at(folder: Path, machine: str | Mapping[str, Any]) -> Path:
    """A module for ``BOURSE_NVML`` that tells of this machine; told another one later, it tells of that."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FAKE.name
    if not path.exists():
        shutil.copy(FAKE, path)
    described = MACHINES[machine] if isinstance(machine, str) else machine
    aside = path.with_suffix(".writing")
    aside.write_text(json.dumps(described))
    aside.replace(path.with_suffix(".json"))
    return path


def gpu_of(machine: str, index: int = 0, **changed: Any) -> dict[str, Any]:
    """One GPU of a machine, changed."""
    return {**MACHINES[machine]["gpus"][index], **changed}
