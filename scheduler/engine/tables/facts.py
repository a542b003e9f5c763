"""What the checks look at, as columns."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import repeat
from operator import attrgetter

import numpy as np

from marketplace.domain.ids import sha256_in
from marketplace.domain.spec import Machine
from scheduler.engine.arrays import UNKNOWN, Bools, Ints, as_met, ranked
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.tables.columns import Columns


class Facts:
    """Of the snapshot's orders (by id), of their kinds, and of its offers (by number)."""

    def __init__(self, snapshot: Snapshot, columns: Columns) -> None:
        self.snapshot, self.columns, self.known = snapshot, columns, columns.known
        self.orders, self.kinds, self.offers = columns.orders, columns.kinds, columns.offers
        self.soonest, self.latest = snapshot.mining_times
        self._by_field: dict[str, Ints] = {}
        self._ranked: dict[str, tuple[Ints, Ints]] = {}

    @cached_property
    def is_alive(self) -> Bools:
        return np.asarray(self.latest < self.offers["expires_at"])

    @cached_property
    def is_heard(self) -> Bools:
        """Providers that went away take money and time from their clients before the bond pays them back."""
        beats = self.snapshot.view.heartbeats
        since = self.snapshot.now.timestamp - self.snapshot.policy.heartbeat_seconds
        numbers, at = self._providers
        heard = map(beats.get, map(self.known.accounts.all.__getitem__, numbers.tolist()), repeat(since - 1))
        return (np.fromiter(heard, np.int64, len(numbers)) >= since)[at]

    @cached_property
    def reliability(self) -> Ints:
        """Of each offer's provider, its score as of the view's block (``BookView.reliability_of``)."""
        view, (numbers, at) = self.snapshot.view, self._providers
        return self.columns.evidence.scores_bps(
            numbers, view.block.timestamp, lambda account: view.reliability_of(self.known.accounts.all[account])
        )[at]

    @cached_property
    def vram_mib(self) -> Ints:
        """The machine's own word, else what its class promises; UNKNOWN where the catalogue lacks the class too."""
        promised, described = {row.number: row.vram_mib for row in self.snapshot.classes}, self.of_machine("vram_mib")
        classes, at = ranked(self.offers["gpu_class"])
        by_class = np.array([promised.get(number, UNKNOWN) for number in classes.tolist()], np.int64)
        return np.where(described == UNKNOWN, by_class[at], described)

    @cached_property
    def region(self) -> Ints:
        """The region's number among ``regions_met``."""
        return self._of_machines(lambda machine: self.regions_met[machine.region])

    @cached_property
    def regions_met(self) -> dict[str, int]:
        names = sorted({machine.region for machine in self._machines if machine})
        return {name: number for number, name in enumerate(names)}

    def of_machine(self, name: str) -> Ints:
        """This number of each offer's machine; UNKNOWN where nobody described it."""
        if name not in self._by_field:
            self._by_field[name] = self._of_machines(attrgetter(name))
        return self._by_field[name]

    @cached_property
    def _machines(self) -> list[Machine | None]:
        """The machine descriptions behind the offers' spec numbers, as far as they are known."""
        known, names = self.snapshot.view.machines, self.known.machines.all
        return [known.get(sha256_in(names[number])) for number in self._by_machine[0].tolist()]

    @cached_property
    def _by_machine(self) -> tuple[Ints, Ints]:
        return ranked(self.offers["machine"])

    def _of_machines(self, field_of: Callable[[Machine], int]) -> Ints:
        found = [field_of(machine) if machine else UNKNOWN for machine in self._machines]
        return np.array(found, np.int64)[self._by_machine[1]]

    @cached_property
    def _providers(self) -> tuple[Ints, Ints]:
        """The accounts of all providers, and which of them lists each offer."""
        first, at = as_met(self.offers["provider"])
        return self.offers["provider"][first], at

    def ranked(self, name: str, had: Ints) -> tuple[Ints, Ints]:
        """The different values of what offers have, ascending, and the rank of each offer's among them. ``name`` says what it is."""
        if name not in self._ranked:
            self._ranked[name] = ranked(had)
        return self._ranked[name]
