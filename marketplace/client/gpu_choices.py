"""Which GPUs would do, as people say it: classes or families of them by name, so much memory, or whatever is cheapest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.domain.classes import classes_called, load_classes
from marketplace.domain.errors import InvalidField

CHEAPEST = "cheapest"
_SIZE = re.compile(r"([1-9][0-9]{0,4}) ?(GB|GiB)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GpuChoice:
    """The classes that an order accepts, and the memory in MiB that each GPU must have by its machine's description."""

    classes: tuple[str, ...]
    vram_mib: int = 0


def gpus_chosen(words: Sequence[str], vram_mib: int = 0) -> GpuChoice:
    """What the words come to, each a class, a family such as ``H100``, a size such as ``24GB`` (at least), or ``cheapest``: any class; with at least ``vram_mib`` of memory.

    The scheduler takes the cheapest of what fits among the classes. Raise InvalidField for what is none of these.
    """
    sizes = [_mib(size) for word in words if (size := _SIZE.fullmatch(word.strip()))]
    names = [word for word in words if word != CHEAPEST and not _SIZE.fullmatch(word.strip())]
    named = [known.name for word in names for known in classes_called(word)]
    least = [max(size, vram_mib) for size in sizes] + ([vram_mib] if CHEAPEST in words else [])
    open_to = [known.name for known in load_classes() if least and known.vram_mib >= min(least)]
    found = tuple(dict.fromkeys([*named, *open_to]))
    if not found:
        raise InvalidField(
            "gpu",
            "no class has that much memory"
            if words
            else "is missing: a class, a family such as H100, a size such as 24GB, or cheapest",
        )
    # Where a class was named, too, that one may have less.
    return GpuChoice(found, vram_mib if named or not least else min(least))


def _mib(size: re.Match[str]) -> int:
    """The size in MiB, rounded down. GB are decimal, so that a card sold as 24 GB, which has a little less or more, has 24GB."""
    unit = 1 << 30 if size[2].lower() == "gib" else 10**9
    return int(size[1]) * unit >> 20
