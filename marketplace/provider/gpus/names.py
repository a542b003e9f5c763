"""From what NVML says of a GPU to its class, by the table ``nvml_names.json``: name and memory, or a refusal in words.

Names alone do not do: cards of several memory sizes share one, and laptops' GPUs are called after cards that are faster. What the
table does not know is refused too; each of its rows says where the name was seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from marketplace.domain.classes import GpuClass, load_classes

LEAST_PERCENT = 92
MOST_PERCENT = 102
"""Of the catalogue's memory, what NVML may report: ECC and firmware take up to a fourteenth of it (an A40 shows 94 %)."""

_FILE = Path(__file__).with_name("nvml_names.json")
_VENDOR = "NVIDIA "
"""Drivers before 470 leave it out, and so do the names of Teslas."""


class UnfitReason(StrEnum):
    """Why a GPU cannot be offered as what it is said to be."""

    NAME_UNKNOWN = "name_unknown"
    NO_CLASS = "no_class"
    """A variant that is not what its near namesake is."""
    LAPTOP = "laptop"
    EMBEDDED = "embedded"
    PARTITION = "partition"
    VIRTUAL = "virtual"
    MEMORY_UNKNOWN = "memory_unknown"
    MEMORY_DIFFERS = "memory_differs"
    CLASS_DIFFERS = "class_differs"
    """It is of another class than its offer says."""
    NOT_THERE = "not_there"
    IN_USE = "in_use"
    """Somebody else's program runs on it."""
    NO_DEVICES = "no_devices"
    """A job could not be given it."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """A refusal, in words for the provider."""

    reason: UnfitReason
    detail: str

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True)
class _Kind:
    """GPUs that are refused by a word of their name."""

    word: str
    reason: UnfitReason
    refusal: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One name, within bounds of memory."""

    class_name: str | None
    least_mib: int
    most_mib: int
    refusal: str


def class_of_gpu(name: str, memory_mib: int | None) -> GpuClass | Unfit:
    """The class of a GPU that NVML calls so and that has so much memory, or why it has none."""
    kinds, rows = _table()
    for kind in kinds:
        if kind.word in f"{name} ":
            return Unfit(kind.reason, f"{name} {kind.refusal}")
    known = rows.get(name.removeprefix(_VENDOR))
    if known is None:
        return Unfit(UnfitReason.NAME_UNKNOWN, f"{name} is not in the table of names")
    if memory_mib is None:
        return Unfit(UnfitReason.MEMORY_UNKNOWN, f"NVML does not tell how much memory {name} has")
    row = next((row for row in known if row.least_mib <= memory_mib <= row.most_mib), None)
    if row is None or row.class_name is None:
        return Unfit(UnfitReason.NO_CLASS, f"{name} {row.refusal if row else f'has {memory_mib} MiB'}")
    return _of_that_memory(row.class_name, name, memory_mib)


def _of_that_memory(class_name: str, name: str, memory_mib: int) -> GpuClass | Unfit:
    found = next(known for known in load_classes() if known.name == class_name)
    percent = memory_mib * 100
    if not found.vram_mib * LEAST_PERCENT <= percent <= found.vram_mib * MOST_PERCENT:
        detail = f"{name} has {memory_mib} MiB, and one of class {found.name} has {found.vram_mib}"
        return Unfit(UnfitReason.MEMORY_DIFFERS, detail)
    return found


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[_Kind, ...], dict[str, tuple[_Row, ...]]]:
    words: dict[str, list[dict[str, Any]]] = json.loads(_FILE.read_text(encoding="utf-8"))
    kinds = tuple(_Kind(row["word"], UnfitReason(row["reason"]), row["refusal"]) for row in words["kinds"])
    rows: dict[str, tuple[_Row, ...]] = {}
    for row in words["names"]:
        bounds = row.get("min_mib", 0), row.get("max_mib", 2**31)
        name = row["nvml"].removeprefix(_VENDOR)
        rows[name] = (*rows.get(name, ()), _Row(row["class"], *bounds, row.get("refusal", "")))
    return kinds, rows
