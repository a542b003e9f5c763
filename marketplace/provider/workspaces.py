"""What sessions leave to those that follow them: their /job/in and /job/out, for a while, on this machine, for the same client only.

Which sessions they are is in the journal before they run, and until their files are handed on or may go: an agent that is started
anew keeps the same files for the same time. What is kept counts as disk that is taken, and goes as soon as anybody else's job needs
the room.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.keeping import KEPT_SECONDS
from marketplace.domain.units import UnixTime
from marketplace.provider.executors.base import JOB_INPUTS, JOB_OUTPUTS
from marketplace.provider.executors.folders import Occupied, measure
from marketplace.provider.home import ServingFolder
from marketplace.store.journal.rows import Serving, ServingKey
from marketplace.store.journal.workspaces import WorkspaceTable

_log = structlog.get_logger()

COPY_SECONDS: Final = 300
"""By this machine's clock: what is not copied by then stays behind."""


@dataclass(slots=True)
class _Kept:
    client: Address
    until: UnixTime
    is_quiet: bool = False


class Workspaces:
    """Of one agent; asked by the step of whoever follows, and of whoever is followed.

    A folder is handed on only when nothing of its job lives any more: whoever copies could be led elsewhere by what still moves.
    """

    def __init__(self, journal: WorkspaceTable) -> None:
        self._journal = journal
        self._kept: dict[ServingKey, _Kept] = {}
        self._quiet: set[ServingKey] = set()
        self._wanted: set[ServingKey] = set()

    # Whoever is followed

    def expect(self, key: ServingKey) -> None:
        """A session is about to run: what it leaves is to be kept. Raises StoreUnavailable."""
        self._journal.add(key)

    def is_wanted(self, key: ServingKey) -> bool:
        """Whether its follow-on is there, and waits for it to end."""
        return key in self._wanted

    def note_quiet(self, key: ServingKey) -> None:
        """Nothing of its job lives any more, and its serving is not closed."""
        if key in self._wanted:
            self._quiet.add(key)

    def keep(self, serving: Serving, closed_at: UnixTime) -> None:
        """Its serving was closed: what it leaves is kept, if it was a session that nobody has gone on with."""
        self._quiet.discard(serving.key)
        self._wanted.discard(serving.key)
        if self._journal.has(serving.key):
            self._kept[serving.key] = _Kept(serving.order.client, UnixTime(closed_at + KEPT_SECONDS))
            _log.info("workspace.kept", lease=serving.lease, until=closed_at + KEPT_SECONDS)

    def expected(self) -> list[ServingKey]:
        """All that an agent before us was to keep, or kept."""
        return self._journal.all()

    def take_back(self, key: ServingKey) -> None:
        """A reorganisation has undone its close."""
        self._kept.pop(key, None)

    def is_kept(self, key: ServingKey, now: UnixTime) -> bool:
        """Whether its folder stays. Asked only when nothing of its job lives any more."""
        kept = self._kept.get(key)
        if kept is None:
            return False
        kept.is_quiet = True
        if now >= kept.until:
            self.let_go(key)
        return now < kept.until

    # Whoever follows

    def followed(self, lease: Bytes32, client: Address, live: Iterable[Serving]) -> ServingKey | None:
        """The serving of that lease, and of that client, that is here; None where there is none (any more)."""
        here = [one.key for one in live if one.lease == lease and one.order.client == client]
        here += [key for key, kept in self._kept.items() if key[0] == lease and kept.client == client]
        return max(here, key=lambda key: key[1], default=None)

    def is_over(self, key: ServingKey) -> bool:
        """Whether it can be handed on; where not, it is asked to end, by whoever attends to it."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept.is_quiet
        self._wanted.add(key)
        return key in self._quiet

    def let_go(self, key: ServingKey) -> None:
        """It was copied, as far as it could be, and whoever copied it runs; or its time is up. Raises StoreUnavailable."""
        self._journal.forget(key)
        self._kept.pop(key, None)

    def make_room(self) -> None:
        """Somebody waits for disk: the oldest one goes."""
        if self._kept:
            key = min(self._kept, key=lambda key: self._kept[key].until)
            _log.info("workspace.dropped", lease=key[0], why="the room is needed")
            self.let_go(key)


def inherited(before: ServingFolder | None, run: Path, disk_mib: int) -> str:
    """Copy what a session has left into a fresh run's folder, links as links; what its log says of it."""
    runs = before.runs() if before else []
    if not runs:
        return "what the session before left is not on this machine (any more): it begins empty"
    sides = [runs[-1] / name for name in (JOB_INPUTS, JOB_OUTPUTS)]
    found = measure(*sides)
    nothing = Occupied(0, 0, 0)
    if found.is_closed or found.excess_files(nothing) or found.claimed_bytes > disk_mib << 20:
        return "what the session before left is more than this order's disk holds: it begins empty"
    copied = [_is_copied(side, run / side.name) for side in sides]
    return "it goes on with the files of the session before" + (
        "" if all(copied) else ", but for some that could not be copied"
    )


def _is_copied(source: Path, target: Path) -> bool:
    words = ["cp", "-a", "--reflink=auto", "-T", "--", str(source), str(target)]
    try:
        return not subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=COPY_SECONDS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return False
