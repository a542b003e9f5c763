"""The machine's own GPUs: what the driver counts, and whose they are among the agents of one machine."""

from __future__ import annotations

import ctypes
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import structlog

from marketplace.domain.errors import ConfigError, ToolMissing
from marketplace.provider.inventory import measure

_log = structlog.get_logger()

_FOLDER = "bourse-gpus"
_UUID_BYTES = 96
"""NVML_DEVICE_UUID_V2_BUFFER_SIZE."""


class GpuLocks:
    """One lock for each GPU that the driver shows, held by one agent of the machine at a time, and let go of when it dies.

    An inventory may declare more GPUs than there are: those that the driver does not show are nobody's, and nothing is locked.
    """

    def __init__(self, folder: Path, names: Sequence[str], holder: str) -> None:
        """``names``: of the GPUs in the driver's order; ``holder``: what another agent is told of us."""
        self._folder, self._names, self._holder = folder, names, holder
        self._held: dict[str, BinaryIO] = {}

    def hold(self, numbers: Iterable[int]) -> None:
        """Hold these GPUs, by the machine's own numbers; those that are held stay so. Raises ConfigError, and then nothing is new."""
        wanted = {self._names[number]: number for number in numbers if number < len(self._names)}
        taken: dict[str, BinaryIO] = {}
        problems = []
        for name, number in wanted.items():
            if name in self._held:
                continue
            lock, holder = _locked(self._place() / f"{name}.lock", self._holder)
            if lock is not None:
                taken[name] = lock
            else:
                problems.append(
                    f"GPU {number} of this machine is rented out by another agent ({holder}): name others in the inventory, gpus = [...]"
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


def gpu_names() -> tuple[str, ...]:
    """What the driver calls this machine's GPUs, in its own order; none where there is no driver."""
    try:
        count = measure()
    except ToolMissing:
        return ()
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    return tuple(_uuid(nvml, number) or f"gpu-{number}" for number in range(count))


def look_at_gpus() -> None:
    """Say in the log what stands behind the inventory: at best a driver that counts GPUs, never a measurement of them."""
    try:
        _log.info("gpus.counted", seen_by_driver=measure(), inventory="declared, not measured")
    except ToolMissing as exc:
        _log.info("gpus.not_measured", why=str(exc))


def _uuid(nvml: ctypes.CDLL, number: int) -> str:
    device, name = ctypes.c_void_p(), ctypes.create_string_buffer(_UUID_BYTES)
    if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(number), ctypes.byref(device)) != 0:
        return ""
    if nvml.nvmlDeviceGetUUID(device, name, ctypes.c_uint(_UUID_BYTES)) != 0:
        return ""
    return name.value.decode(errors="replace").replace("/", "-")


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
