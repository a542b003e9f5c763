"""Control groups: the kernel's own limits on the memory, processes and CPU time of a whole job.

They are used where this process may make groups below its own (as root, in a container of its own, or below a delegated
systemd unit); elsewhere ``find_cgroups`` returns None or lacks controllers, and the executor falls back to rlimits and
watching. Both versions are here because machines have both; each speaks of a controller by a folder and a few files.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from marketplace.provider.executors.base import Limits

CONTROLLERS: Final = ("memory", "pids", "cpu")
_PREFIX: Final = "bourse-"
_CPU_PERIOD_MICROSECONDS: Final = 100_000
_PATIENCE_MILLISECONDS: Final = 5_000
_ROUNDS: Final = 1_000
"""How often to kill what is found in a group: each round ends at least one process, and forking is switched off."""
SANDBOX_PROCESSES: Final = 2
"""bubblewrap's own: one outside that waits, and the first one inside."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The groups of one lease: a folder for each controller (for version 2, thrice the same)."""

    version: int
    folders: Mapping[str, Path]

    @property
    def enforcement(self) -> dict[str, str]:
        """Which limits hold by this, in the words of the record."""
        names = {"memory": "memory", "pids": "processes", "cpu": "cpu"}
        return {names[controller]: f"cgroup-v{self.version}" for controller in self.folders}

    @property
    def entrances(self) -> list[str]:
        """The files a process writes 0 into to enter; its children are in from their first instruction."""
        return sorted({str(folder / "cgroup.procs") for folder in self.folders.values()})

    def apply(self, limits: Limits) -> None:
        """Set the limits. Memory includes what the job keeps in /tmp and /dev/shm, which are memory."""
        for file, value in self._settings(limits):
            file.write_text(f"{value}\n")

    def _settings(self, limits: Limits) -> Iterator[tuple[Path, int | str]]:
        memory, pids, cpu = (self.folders.get(controller) for controller in CONTROLLERS)
        memory_bytes, quota = limits.memory_mib << 20, limits.cpus * _CPU_PERIOD_MICROSECONDS
        if pids:
            yield pids / "pids.max", limits.processes + SANDBOX_PROCESSES
        if memory and self.version == 1:
            yield memory / "memory.limit_in_bytes", memory_bytes
            yield from _if_there(memory / "memory.memsw.limit_in_bytes", memory_bytes)
        elif memory:
            yield memory / "memory.max", memory_bytes
            yield from _if_there(memory / "memory.swap.max", 0)
            yield from _if_there(memory / "memory.oom.group", 1)
        if cpu and self.version == 1:
            yield cpu / "cpu.cfs_period_us", _CPU_PERIOD_MICROSECONDS
            yield cpu / "cpu.cfs_quota_us", quota
        elif cpu:
            yield cpu / "cpu.max", f"{quota} {_CPU_PERIOD_MICROSECONDS}"

    def memory_kills(self) -> int:
        """Say how many processes the kernel ended because the job's memory was used up."""
        if "memory" not in self.folders:
            return 0
        report = "memory.oom_control" if self.version == 1 else "memory.events"
        for line in _read(self.folders["memory"] / report).splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
        return 0

    def memory_bytes(self) -> int | None:
        """What the job's memory is now, without files that could be dropped at once; None where no group counts it."""
        if "memory" not in self.folders:
            return None
        folder, is_old = self.folders["memory"], self.version == 1
        used = _read(folder / ("memory.usage_in_bytes" if is_old else "memory.current")).strip()
        stat = dict(line.split(" ", 1) for line in _read(folder / "memory.stat").splitlines() if " " in line)
        idle = stat.get("total_inactive_file" if is_old else "inactive_file", "0").strip()
        return max(0, int(used) - int(idle)) if used.isdecimal() and idle.isdecimal() else None

    def end(self) -> None:
        """Kill what is in the groups and remove them. Harmless when that was done before."""
        if "pids" in self.folders:
            _write(self.folders["pids"] / "pids.max", 0)  # a fork bomb cannot fork faster than it is killed
        for folder in sorted(set(self.folders.values())):
            _empty(folder)
            with contextlib.suppress(OSError):
                folder.rmdir()


@dataclass(frozen=True, slots=True)
class CgroupParent:
    """Where groups for leases can be made: for each controller the folder above them."""

    version: int
    folders: Mapping[str, Path]

    def make(self, lease: str, limits: Limits) -> Cgroup:
        """Make a lease's groups with its limits; what a crashed agent left under that name is ended first."""
        cgroup = self.of(lease)
        cgroup.end()
        for folder in set(cgroup.folders.values()):
            folder.mkdir()
        cgroup.apply(limits)
        return cgroup

    def of(self, lease: str) -> Cgroup:
        """Name a lease's groups, whether they are there or not."""
        return Cgroup(self.version, {name: folder / f"{_PREFIX}{lease}" for name, folder in self.folders.items()})


def find_cgroups() -> CgroupParent | None:
    """Find where this process may make groups, by making one; None when nowhere."""
    return _find_v2() or _find_v1()


def _find_v2() -> CgroupParent | None:
    for mount, _ in _mounts("cgroup2"):
        own = _below(mount, _own_groups().get("", "/"))
        for name in CONTROLLERS:
            _write(own / "cgroup.subtree_control", f"+{name}")
        # Below ourselves if the kernel lets a group with processes have children with limits, else beside ourselves.
        for parent in (own, own.parent):
            usable = [name for name in CONTROLLERS if parent != mount.parent and _child_has(parent, f"{name}.max")]
            if usable:
                return CgroupParent(2, dict.fromkeys(usable, parent))
    return None


def _find_v1() -> CgroupParent | None:
    files = {"memory": "memory.limit_in_bytes", "pids": "pids.max", "cpu": "cpu.cfs_quota_us"}
    found: dict[str, Path] = {}
    groups = _own_groups()
    for mount, options in _mounts("cgroup"):
        for name in set(CONTROLLERS) & set(options):
            parent = _below(mount, groups.get(name, "/"))
            if _child_has(parent, files[name]):
                found[name] = parent
    return CgroupParent(1, {name: found[name] for name in CONTROLLERS if name in found}) if found else None


def _child_has(parent: Path, file: str) -> bool:
    child = parent / f"{_PREFIX}probe-{os.getpid()}"
    try:
        child.mkdir()
    except OSError:
        return False
    has = os.access(child / file, os.W_OK) and os.access(child / "cgroup.procs", os.W_OK)
    child.rmdir()
    return has


def _mounts(kind: str) -> Iterator[tuple[Path, list[str]]]:
    """Yield where hierarchies of this kind are mounted, with the options that name their controllers."""
    for line in _read(Path("/proc/self/mountinfo")).splitlines():
        place, _, source = line.partition(" - ")
        filesystem, _, options = source.split(" ", 2)
        if filesystem == kind:
            yield Path(place.split(" ")[4]), options.split(",")


def _own_groups() -> dict[str, str]:
    """Read which group this process is in, by controller; version 2 has no name."""
    groups: dict[str, str] = {}
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, names, path = line.split(":", 2)
        groups |= dict.fromkeys(names.split(","), path)
    return groups


def _below(mount: Path, group: str) -> Path:
    """Find our group below the mount; in a container the mount may be our group already."""
    own = mount / group.lstrip("/")
    return own if own.is_dir() else mount


def _empty(folder: Path) -> None:
    """Kill what is in a group until it is empty; a process that hangs in the kernel is waited for, but not for ever."""
    for _ in range(_ROUNDS):
        handles = _kill_all(folder)
        if not handles:
            return
        waiting = select.poll()
        for handle in handles:
            waiting.register(handle, select.POLLIN)
        ended = waiting.poll(_PATIENCE_MILLISECONDS)
        for handle in handles:
            os.close(handle)
        if not ended:
            return


def _kill_all(folder: Path) -> list[int]:
    handles: list[int] = []
    for line in _read(folder / "cgroup.procs").split():
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(int(line))
            handles.append(handle)
            # Opened first, then looked up again: the handle is of a process that is in the group now.
            if line in _read(folder / "cgroup.procs").split():
                signal.pidfd_send_signal(handle, signal.SIGKILL)
    return handles


def _if_there(file: Path, value: int) -> Iterator[tuple[Path, int]]:
    if file.exists():
        yield file, value


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _write(file: Path, value: int | str) -> None:
    """Write what may be impossible here; whether it was is seen by what comes of it."""
    with contextlib.suppress(OSError):
        file.write_text(f"{value}\n")
