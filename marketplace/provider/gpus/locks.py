"""Whose a GPU is among the agents of one machine: by its UUID, however each of them counts."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from marketplace.domain.errors import ConfigError
from marketplace.provider.gpus.nvml import is_uuid

_FOLDER = "bourse-gpus"


class GpuLocks:
    """One lock for each GPU, held by one agent of the machine at a time, and let go of when it dies.

    An inventory may declare more GPUs than there are: those that the driver does not show have a number and no UUID, are nobody's,
    and nothing is locked.
    """

    def __init__(self, folder: Path, holder: str) -> None:
        """``holder``: what another agent is told of us."""
        self._folder, self._holder = folder, holder
        self._held: dict[str, BinaryIO] = {}

    def hold(self, gpus: Iterable[str]) -> None:
        """Hold these GPUs; those that are held stay so. Raises ConfigError, and then nothing is new."""
        taken: dict[str, BinaryIO] = {}
        problems = []
        for uuid in (gpu for gpu in gpus if is_uuid(gpu) and gpu not in self._held):
            lock, holder = _locked(self._place() / f"{uuid}.lock", self._holder)
            if lock is not None:
                taken[uuid] = lock
            else:
                problems.append(
                    f"GPU {uuid} of this machine is rented out by another agent ({holder}): name others in the inventory, gpus = [...]"
                )
        if problems:
            for lock in taken.values():
                lock.close()
            raise ConfigError(problems)
        self._held |= taken

    def close(self) -> None:
        """Let others have them."""
        for lock in self._held.values():
            lock.close()
        self._held.clear()

    def _place(self) -> Path:
        """The folder; agents of other users put their locks there, too, and take away none of ours."""
        try:
            self._folder.mkdir(parents=True)
            self._folder.chmod(0o1777)
        except FileExistsError:
            pass
        return self._folder


def locks_folder() -> Path:
    """Where all agents of a machine look, whoever they run as."""
    shared = Path("/run/lock")
    is_shared = shared.is_dir() and bool(shared.stat().st_mode & stat.S_IWOTH)
    return (shared if is_shared else Path(tempfile.gettempdir())) / _FOLDER


def _locked(path: Path, holder: str) -> tuple[BinaryIO | None, str]:
    """The lock, or who has it. Of another user's file it takes no more than to read it to lock it."""
    try:
        lock = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb")
    except FileNotFoundError:
        # Not at once: where anybody may write, the kernel opens no file of another user's with O_CREAT.
        lock = os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644), "rb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        found = lock.read(256).decode(errors="replace").strip() or "unknown"
        lock.close()
        return None, found
    if os.fstat(lock.fileno()).st_uid == os.geteuid():
        path.write_text(f"{holder}\n")
    return lock, ""
