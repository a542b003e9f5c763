"""The agent's folder: one agent at a time, one folder per serving.

home/lock                            held while an agent lives
home/images/                         container images, unpacked (``images.cache``)
home/gate/                           what lets a job in an image wait for its start (``executors.gate``)
home/identity                        the agent's own age key (``unsealing``)
home/servings/<lease>-<openedAt>/    gone when the serving is closed, a session's some minutes later (``workspaces``)
    spec.json, work.json             as fetched and verified
    inputs/<sha256>                  parts of bundles as fetched and verified
    runs/<n>/in, out, root, mark, log    one per attempt: an agent that restarts runs the job in a fresh folder
    before                           how the pull of its image went, shown before the job's own log
    notes                            what the agent has to say about it, shown after the job's own log
    spool/                           the part of an output that is on its way
    gap.json                         what is missing in the log of the last run, where anything is
    job-key, sealed/<n>              of a sealed job: its key, and its outputs as they are delivered
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO

from marketplace.domain.errors import HomeInUse, InvalidField
from marketplace.domain.ids import Bytes32
from marketplace.domain.spec import JOB_IN, JOB_OUT, read_spec
from marketplace.domain.units import UnixTime
from marketplace.private_files import OWNERS_FOLDER, owners_only
from marketplace.provider.executors.base import JOB_CHANGES, JOB_INPUTS, JOB_LOG, JOB_OUTPUTS
from marketplace.provider.executors.folders import measure
from marketplace.provider.executors.removal import remove

NOTE_PREFIX = "[provider] "
_MARK = "mark"
_BEFORE = "before"
_SIDES = {JOB_IN: JOB_INPUTS, JOB_OUT: JOB_OUTPUTS}
_WRITTEN = (JOB_INPUTS, JOB_OUTPUTS, JOB_CHANGES)


class AgentHome:
    """The folder, locked. A second agent on it is refused: two agents of one key would answer for the same leases."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=OWNERS_FOLDER)
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(OWNERS_FOLDER)  # also where it was there before
        self.folder = folder
        self._lock = _locked(folder / "lock")
        (folder / "servings").mkdir(exist_ok=True, mode=0o711)

    def close(self) -> None:
        """Let another agent have it. A crash does the same: the lock is the kernel's."""
        self._lock.close()

    def serving(self, lease: Bytes32, opened_at: UnixTime) -> ServingFolder:
        return ServingFolder(self.folder / "servings" / f"{lease}-{opened_at}")

    def serving_names(self) -> frozenset[str]:
        """Names of the servings that have a folder."""
        return frozenset(path.name for path in (self.folder / "servings").iterdir())

    def remove(self, name: str) -> bool:
        """Delete a serving's folder, or as much of it as is done quickly: call again until it says True."""
        return remove(self.folder / "servings" / name)


class HomeLead:
    """Whose folder it is, among agents of one machine (a ``services.leadership.Lead``): the first one's until it ends.

    An agent that is suspended keeps it: its jobs are its children, and nobody else can take them over.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.home: AgentHome | None = None

    @property
    def term(self) -> int:
        return int(self.home is not None)

    def hold(self) -> bool:
        if self.home is None:
            try:
                self.home = AgentHome(self._folder)
            except HomeInUse:
                return False
        return True

    def leave(self) -> None:
        if self.home:
            self.home.close()


def holder_of(folder: Path) -> str:
    """The process of the agent that works in this folder; empty where none does."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except BlockingIOError:
        return (folder / "lock").read_text(errors="replace").strip() or "unknown"
    return ""


def _locked(path: Path) -> BinaryIO:
    lock = os.fdopen(owners_only(path, os.O_RDWR | os.O_APPEND | os.O_CREAT), "a+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        lock.seek(0)
        holder = lock.read().decode(errors="replace").strip() or "unknown"
        lock.close()
        raise HomeInUse(str(path.parent), holder) from exc
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n".encode())
    lock.flush()
    return lock


@dataclass(frozen=True, slots=True)
class ServingFolder:
    """Where everything about one serving lies."""

    path: Path

    @property
    def name(self) -> str:
        """A name that stands in paths and command lines as it is; the executor knows the serving by it."""
        return self.path.name

    @property
    def spec(self) -> Path:
        return self.path / "spec.json"

    @property
    def work(self) -> Path:
        return self.path / "work.json"

    @property
    def inputs(self) -> Path:
        return self.path / "inputs"

    @property
    def spool(self) -> Path:
        return self.path / "spool"

    @property
    def job_key(self) -> Path:
        """The key of a sealed job, once its client has handed it over."""
        return self.path / "job-key"

    @property
    def sealed(self) -> Path:
        return self.path / "sealed"

    @property
    def notes(self) -> Path:
        return self.path / "notes"

    def make(self) -> bool:
        """Make it, unless it is there; True. Others may pass through, not look: the sandbox's user may not be ours."""
        for folder in (self.path, self.path / "runs"):
            folder.mkdir(exist_ok=True, mode=0o711)
        for folder in (self.inputs, self.spool):
            folder.mkdir(exist_ok=True, mode=0o700)
        return True

    def runs(self) -> list[Path]:
        """The folders of all attempts so far, in order."""
        if not (self.path / "runs").is_dir():
            return []
        return sorted((self.path / "runs").iterdir(), key=lambda path: int(path.name))

    def disk_mib(self) -> int:
        """The order's disk, where something of its job may lie here."""
        if not self.runs() or not self.spec.exists():
            return 0
        return read_spec(self.spec.read_bytes()).resources.disk_mib

    def fresh_run(self) -> Path:
        """A new, empty folder for the executor. Of earlier attempts only their logs stay."""
        earlier = self.runs()
        for run in earlier:
            for side in _WRITTEN:
                while not remove(run / side):
                    pass
        run = self.path / "runs" / str(len(earlier) + 1)
        run.mkdir(mode=0o711)
        for side in _SIDES.values():
            (run / side).mkdir()
        return run

    def say_before(self, sentence: str) -> None:
        """Say something before the log of a job that has not begun; after what was said before."""
        with (self.path / _BEFORE).open("a") as file:
            file.write(f"{NOTE_PREFIX}{sentence}\n")

    def write_notes(self, sentences: Sequence[str]) -> None:
        """Say something after the job's own log. Only when it is over: whoever reads along has counted the bytes before."""
        self.notes.write_text("".join(f"{NOTE_PREFIX}{sentence}\n" for sentence in sentences))

    def note_gap(self, missing_from: int, missing_bytes: int) -> None:
        """Remember that so many bytes of the last run's log are missing, from that byte of its own on."""
        (self.path / "gap.json").write_text(json.dumps([missing_from, missing_bytes]))

    def log_gap(self) -> tuple[int, int]:
        """From which byte of the lease's log on how many are missing; none: (0, 0)."""
        place = self.path / "gap.json"
        if not place.exists():
            return 0, 0
        missing_from, missing_bytes = json.loads(place.read_text())
        earlier = [self.path / _BEFORE, *(run / JOB_LOG for run in self.runs()[:-1])]
        return sum(log.stat().st_size for log in earlier if log.is_file()) + missing_from, missing_bytes

    def log_parts(self) -> list[Path]:
        """The files that, one after the other, are the lease's log: every attempt's, then our notes."""
        runs = [run / name for run in self.runs() for name in (_MARK, JOB_LOG)]
        found = [self.path / _BEFORE, *runs, self.notes]
        return [path for path in found if path.is_file()]

    def read_log(self, offset: int, limit_bytes: int) -> bytes:
        """A piece of the log."""
        piece = bytearray()
        for part in self.log_parts():
            size = part.stat().st_size
            if offset < size and len(piece) < limit_bytes:
                with part.open("rb") as stream:
                    stream.seek(offset)
                    piece += stream.read(min(limit_bytes - len(piece), size - offset))
            offset = max(0, offset - size)
        return bytes(piece)

    def log_bytes(self) -> int:
        """How much there is of it."""
        return sum(part.stat().st_size for part in self.log_parts())

    def log_pieces(self, limit_bytes: int = 1 << 20) -> Iterator[bytes]:
        """The whole log, piece by piece."""
        offset = 0
        while piece := self.read_log(offset, limit_bytes):
            offset += len(piece)
            yield piece


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file that only its owner reads: whole or not at all, also where another thread writes the same."""
    with NamedTemporaryFile(dir=path.parent, prefix=".partial-", delete=False) as stream:
        try:
            stream.write(content)
            stream.flush()
            os.replace(stream.name, path)
        except OSError:
            Path(stream.name).unlink(missing_ok=True)
            raise


def slimmed(folder: ServingFolder, outputs: Iterable[str]) -> int | None:
    """Delete the folders of a job that is over in which none of these outputs lies; how many MiB all takes now, None where that
    cannot be seen."""
    wanted = {name for side, name in _SIDES.items() for path in outputs if path == side or path.startswith(side + "/")}
    for run in folder.runs():
        for name in set(_WRITTEN) - wanted:
            while not remove(run / name):
                pass
    left = measure(folder.path)
    return None if left.is_too_deep or left.is_closed else (left.bytes >> 20) + 1


def mark_run(run: Path, sentence: str) -> None:
    """Say something before the log of a run that has not begun."""
    (run / _MARK).write_text(f"{NOTE_PREFIX}{sentence}\n")


def path_in_run(run: Path, job_path: str) -> Path | None:
    """Where a declared output lies, or None if the job made no such thing.

    Every step down is looked at first: a job may have left a link in its outputs that leads to the host's own files.
    Raises InvalidField for such a link. Nobody can put one there in between: the job's processes are gone.
    """
    side = next((side for side in _SIDES if job_path == side or job_path.startswith(side + "/")), None)
    if side is None:
        raise InvalidField("work.outputs", f"{job_path} is neither below {JOB_IN} nor below {JOB_OUT}")
    path = run / _SIDES[side]
    for part in job_path.removeprefix(side).split("/"):
        path = path / part if part else path
        if path.is_symlink():
            raise InvalidField(job_path, "leads through a symbolic link")
        if not path.exists():
            return None
    return path
