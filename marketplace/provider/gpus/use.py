"""What a job's GPUs were used for, in sum: kept in the serving's folder, and said at the end of its log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace.provider.gpus.nvml import GpuSample
from marketplace.provider.home import ServingFolder

_FILE = "gpu-use.json"


@dataclass(frozen=True, slots=True)
class GpuUse:
    """The sum of one GPU's samples. None: its driver did not tell."""

    uuid: str
    samples: int = 0
    busy_percents: int | None = None
    """Of all samples together."""
    most_memory_mib: int | None = None
    most_watts: int | None = None
    most_celsius: int | None = None

    def plus(self, one: GpuSample) -> GpuUse:
        return GpuUse(
            self.uuid, self.samples + 1,
            None if one.busy_percent is None else (self.busy_percents or 0) + one.busy_percent,
            _most(self.most_memory_mib, one.memory_used_mib), _most(self.most_watts, one.power_w),
            _most(self.most_celsius, one.temperature_c),
        )  # fmt: skip

    def __str__(self) -> str:
        """In one line, for the job's log."""
        told = [
            f"{self.busy_percents // self.samples} % busy" if self.busy_percents is not None and self.samples else "",
            f"at most {self.most_memory_mib} MiB" if self.most_memory_mib is not None else "",
            f"{self.most_watts} W" if self.most_watts is not None else "",
            f"{self.most_celsius} °C" if self.most_celsius is not None else "",
        ]
        return f"{self.uuid}: {', '.join(filter(None, told)) or 'not told'} ({self.samples} samples)"


def notes_of_use(folder: ServingFolder) -> list[str]:
    """What is to be said at the end of a job's log."""
    return [f"GPU {use}" for use in _kept(folder.path / _FILE).values()]


def noted(folder: ServingFolder, samples: Sequence[GpuSample]) -> Sequence[GpuSample]:
    """Add them to the sum on the disk, which an agent that comes after us goes on with."""
    path = folder.path / _FILE
    kept = _kept(path)
    for one in samples:
        kept[one.uuid] = kept.get(one.uuid, GpuUse(one.uuid)).plus(one)
    aside = path.with_suffix(".partial")
    aside.write_text(json.dumps([_fields(use) for use in kept.values()]))
    aside.replace(path)
    return samples


def _kept(path: Path) -> dict[str, GpuUse]:
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return {row["uuid"]: GpuUse(**row) for row in rows}


def _fields(use: GpuUse) -> dict[str, Any]:
    return {name: getattr(use, name) for name in GpuUse.__slots__}


def _most(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)
