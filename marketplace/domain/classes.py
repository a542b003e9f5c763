"""The GPU classes by number and by name: the committed list that ``GpuCatalogue`` is seeded with."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import ClassNumber

_FILE = Path(__file__).with_name("gpu_classes.json")
MAX_CLASSES = 256
"""An order's bitmap has a bit for each."""


@dataclass(frozen=True, slots=True)
class GpuClass:
    """A row of the append-only catalogue."""

    number: ClassNumber
    name: str
    vram_mib: int


@lru_cache(maxsize=1)
def load_classes() -> tuple[GpuClass, ...]:
    """All classes, in the order of their numbers."""
    rows = json.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(GpuClass(ClassNumber(row["class"]), row["name"], row["vram_mib"]) for row in rows)


def class_named(name: str, *, field: str = "gpu") -> GpuClass:
    """The class of that name, in any case. Raises InvalidField, listing names that are near."""
    by_name = {known.name.upper(): known for known in load_classes()}
    found = by_name.get(name.strip().upper())
    if found is None:
        raise InvalidField(field, f"{name!r} is not a GPU class; {_suggestion(name, list(by_name))}")
    return found


def classes_called(name: str, *, field: str = "gpu") -> tuple[GpuClass, ...]:
    """The class of that name, or all classes of that family: ``H100`` is whatever begins with ``H100-``. Raises InvalidField."""
    wanted = name.strip().upper()
    family = tuple(known for known in load_classes() if known.name.upper().partition("-")[0] == wanted)
    is_family = any(letter.isdigit() for letter in wanted) and wanted not in {one.name.upper() for one in family}
    return family if family and is_family else (class_named(name, field=field),)


def class_numbered(number: int, *, field: str = "class") -> GpuClass:
    """The class of that number. Raises InvalidField."""
    classes = load_classes()
    if not 0 <= number < len(classes):
        raise InvalidField(field, f"{number} is not a GPU class; they are numbered from 0 to {len(classes) - 1}")
    return classes[number]


def classes_mask(numbers: Iterable[int]) -> int:
    """The bitmap of an order that accepts these classes: bit i for class i."""
    mask = 0
    for number in numbers:
        if not 0 <= number < MAX_CLASSES:
            raise InvalidField("classes", f"a class number is from 0 to {MAX_CLASSES - 1}, not {number}")
        mask |= 1 << number
    return mask


def classes_in(mask: int) -> tuple[ClassNumber, ...]:
    """The numbers of the classes that an order's bitmap accepts, ascending."""
    return tuple(ClassNumber(number) for number in range(MAX_CLASSES) if mask >> number & 1)


def _suggestion(name: str, known: list[str]) -> str:
    wanted = name.strip().upper()
    near = difflib.get_close_matches(wanted, known, n=5, cutoff=0.4)
    near += [other for other in known if wanted and wanted in other and other not in near]
    return f"did you mean {', '.join(near[:8])}?" if near else f"known are {', '.join(known)}"
