"""docs/figures.json: what was measured, by which command, with which tools, and when. Keys are flat; a part replaces its own only."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "figures.json"

Number = int | float


@dataclass(frozen=True)
class Measured:
    """What a part of the deep checks found out: its keys, and the versions of the tools that it asked."""

    values: Mapping[str, Number]
    versions: Mapping[str, str]


def read_figures(path: Path = FIGURES) -> dict[str, Any]:
    """Read all figures; none if nothing was measured yet."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write_figures(measured: Measured, command: str, path: Path = FIGURES) -> None:
    """Put what was measured into the file, and leave every other key as it is. Two parts may finish at once."""
    date = dt.datetime.now(dt.UTC).date().isoformat()
    entries = {
        key: {"value": value, "command": command, "versions": dict(measured.versions), "date": date}
        for key, value in measured.values.items()
    }
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        text = json.dumps({**read_figures(path), **entries}, indent=2, sort_keys=True) + "\n"
        path.write_text(text, encoding="utf-8")
