"""Which of the machine's GPUs an offer is of. Each is picked once, by its UUID wherever the driver shows one of the offer's class.

What is only declared keeps the number that its file gives it: there it stays a word of the provider's, and is never said to be measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from marketplace.domain.classes import GpuClass
from marketplace.domain.errors import InvalidField
from marketplace.domain.json_reader import Reader
from marketplace.provider.gpus.nvml import SeenGpu, SeenMachine, is_uuid

MAX_GPUS = 2**16

Named = tuple[int | str, ...]


def named_gpus(reader: Reader) -> Named | None:
    """The field ``gpus`` of an offer: UUIDs, or the driver's numbers. Raises InvalidField."""
    entries = reader.take("gpus", list, None)
    if entries is None:
        return None
    for entry in entries:
        is_number = type(entry) is int and 0 <= entry < MAX_GPUS
        if not is_number and not (isinstance(entry, str) and is_uuid(entry)):
            rule = f'must be a list of UUIDs ("GPU-…", from nvidia-smi -L) or of numbers from 0 to {MAX_GPUS - 1}'
            raise InvalidField(reader.where("gpus"), rule)
    return tuple(entries)


class GpuPicker:
    """Gives out the machine's GPUs: each once."""

    def __init__(self, named: Iterable[Named | None], seen: SeenMachine) -> None:
        """``named``: what each offer of the file names."""
        self._seen = seen
        self._taken = {self._whose(entry) for entries in named if entries for entry in entries}
        """GPUs that an offer names are for no other."""
        self._picked: set[str] = set()

    def take(self, gpu: GpuClass, count: int, named: Named | None, where: str) -> tuple[str, ...]:
        """UUIDs, or numbers as text: those that the offer names, else the next of its class, else the next. Raises InvalidField."""
        if named is None:
            found = self._next_of(gpu, count)
        elif len(named) != count:
            raise InvalidField(where, f"names {len(named)} GPUs, and count is {count}")
        else:
            found = tuple(self._known_as(entry, gpu) for entry in named)
        whose = [self._whose_id(one) for one in found]
        if len(set(whose)) != len(whose) or self._picked & set(whose):
            raise InvalidField(where, "names a GPU twice")
        self._picked |= set(whose)
        return found

    def _next_of(self, gpu: GpuClass, count: int) -> tuple[str, ...]:
        free = [
            one.uuid for one in self._seen.gpus if one.gpu_class == gpu and one.uuid not in self._picked | self._taken
        ]
        if len(free) >= count:
            return tuple(free[:count])
        numbers = (number for number in range(MAX_GPUS * 2) if self._whose(number) not in self._picked | self._taken)
        return tuple(self._known_as(number, gpu) for number in islice(numbers, count))

    def _known_as(self, entry: int | str, gpu: GpuClass) -> str:
        if isinstance(entry, str):
            return entry
        found = _numbered(self._seen, entry)
        return found.uuid if found is not None and found.gpu_class == gpu else str(entry)

    def _whose(self, entry: int | str) -> str:
        """One word for each GPU of the machine, however it is named."""
        return entry if isinstance(entry, str) else self._whose_id(str(entry))

    def _whose_id(self, gpu: str) -> str:
        return uuids_of((gpu,), self._seen)[0] if not is_uuid(gpu) else gpu


def uuids_of(gpus: Sequence[str], seen: SeenMachine) -> tuple[str, ...]:
    """The same GPUs by UUID, also where they are declared to be something else; a number stays where the driver shows no such GPU."""
    found = {gpu: None if is_uuid(gpu) else _numbered(seen, int(gpu)) for gpu in gpus}
    return tuple(one.uuid if (one := found[gpu]) else gpu for gpu in gpus)


def _numbered(seen: SeenMachine, number: int) -> SeenGpu | None:
    return next((gpu for gpu in seen.gpus if gpu.index == number), None)
