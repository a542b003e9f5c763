"""What the executor does with a lease's folders: hand them to the job's user, watch them grow, take them back.

Their content is the job's: names, modes and depth are hostile, links lead anywhere. So folders are walked by handle, one
handle for each level and only so many levels, without following links; a folder that the job has closed is opened again.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from marketplace.domain.limits import MAX_DEPTH, MAX_FILES

MAX_OPEN: Final = 100_000
"""So many open files of a job are looked at; one that holds more only wants to keep us busy."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_ALL: Final = 0o700
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Occupied:
    """What lies in folders, and whether all of it could be seen."""

    bytes: int
    """The blocks that it takes on the disk: a file with several names counts once, a sparse one what it holds."""
    claimed_bytes: int
    """The sizes of all files by name, which is what reading or delivering them takes: a sparse file counts as it reads,
    one with several names as often."""
    files: int
    is_too_deep: bool = False
    is_closed: bool = False
    """A folder could not be looked into, although it was opened again and again."""
    open_files: int = 0

    def plus(self, unlinked: Unlinked) -> Occupied:
        """The same with what has no name any more."""
        return replace(self, bytes=self.bytes + unlinked.bytes, open_files=unlinked.open_files)

    def excess_files(self, start: Occupied) -> str:
        """Say of what there are too many, or what lies too deep; "" where nothing does."""
        if self.is_too_deep:
            return f"folders nested more than {MAX_DEPTH} deep"
        if self.files - start.files > MAX_FILES:
            return f"more than {MAX_FILES} files"
        return f"more than {MAX_OPEN} open files" if self.open_files > MAX_OPEN else ""

    def excess_bytes(self, start: Occupied, disk_mib: int) -> str:
        """Say by how much it is more than a job may have: its inputs, by the sizes of their files, and what it adds; "" where it is not."""
        left = start.left_of(disk_mib)
        on_disk, claimed = self.bytes - start.bytes, self.claimed_bytes - start.claimed_bytes
        if on_disk > left:
            return f"{on_disk >> 20} MiB written of {left >> 20} MiB"
        return f"files that read as {claimed >> 20} MiB of {left >> 20} MiB" if claimed > left else ""

    def is_beyond(self, start: Occupied, disk_mib: int) -> bool:
        """Whether it is so far over the limit that there is no time for a grace."""
        far = self.bytes - start.bytes > start.left_of(disk_mib) * 5 // 4 + (16 << 20)
        return far or self.is_too_deep or self.open_files > MAX_OPEN or self.files - start.files > 2 * MAX_FILES

    def left_of(self, disk_mib: int) -> int:
        """How many bytes of the order's disk are left for what a job writes, where these are its inputs."""
        return max(0, (disk_mib << 20) - self.claimed_bytes)


def measure(*folders: Path) -> Occupied:
    """Add up what lies below the folders. Stops early when there is more, or it lies deeper, than any job may have."""
    seen: set[tuple[int, int]] = set()
    files = on_disk = claimed = 0
    is_closed = False
    for folder in folders:
        walk = Walk(folder)
        for status, depth in walk:
            files += 1
            if depth > MAX_DEPTH:
                return Occupied(on_disk, claimed, files, is_too_deep=True)
            if stat.S_ISREG(status.st_mode):
                claimed += status.st_size
            identity = (status.st_dev, status.st_ino)
            if identity not in seen:
                on_disk += status.st_blocks * 512
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                seen.add(identity)
            if files > 3 * MAX_FILES:
                break
        is_closed = is_closed or walk.is_closed
    return Occupied(on_disk, claimed, files, is_closed=is_closed)


class Walk:
    """Goes through everything below a folder, with its depth, down to one level below MAX_DEPTH."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._levels: list[_Level] = []
        self.is_closed = False

    def __iter__(self) -> Iterator[tuple[os.stat_result, int]]:
        try:
            self._go_into(str(self._folder), None)
            while self._levels:
                yield from self._next_entries()
        finally:
            for level in self._levels:
                level.close()

    @property
    def here(self) -> int:
        """A handle of the folder in which the newest entry lies."""
        return self._levels[-1].handle

    @property
    def name(self) -> str:
        """The newest entry's name in it."""
        return self._levels[-1].name

    def _next_entries(self) -> Iterator[tuple[os.stat_result, int]]:
        """Go on in the innermost folder until it is left, or a deeper one is entered."""
        level, depth = self._levels[-1], len(self._levels)
        for name in level:
            try:
                status = os.stat(name, dir_fd=level.handle, follow_symlinks=False)
            except PermissionError:
                self.is_closed = True
                continue
            except OSError:
                continue  # gone since it was listed
            yield status, depth
            if stat.S_ISDIR(status.st_mode) and depth <= MAX_DEPTH and self._go_into(name, level.handle):
                return
        self._levels.pop().close()

    def _go_into(self, name: str, above: int | None) -> bool:
        try:
            self._levels.append(_Level(open_folder(name, above)))
        except PermissionError:
            self.is_closed = True
            return False
        except OSError:
            return False  # gone, or changed since it was listed
        return True


class _Level:
    """A folder that is being walked through: as many entries are read at a time as the kernel gives, never all."""

    def __init__(self, handle: int) -> None:
        self.handle, self.name = handle, ""
        self._entries = os.scandir(handle)

    def __iter__(self) -> Iterator[str]:
        with contextlib.suppress(OSError):
            for entry in self._entries:
                self.name = entry.name
                yield entry.name

    def close(self) -> None:
        self._entries.close()
        os.close(self.handle)


def open_folder(name: str | Path, above: int | None = None) -> int:
    """Open a folder and nothing else, not through a link; one that its owner closed is opened for the owner again.

    By the same user as the job that is needed, as root not. The mode is changed by handle, so whatever the job puts in
    the folder's place meanwhile is not touched. Raises OSError; PermissionError if the job closes it each time.
    """
    for _ in range(_TRIES):
        with contextlib.suppress(PermissionError):
            handle = os.open(name, _FOLDER, dir_fd=above)
            if _is_open(os.fstat(handle)):
                return handle
            os.close(handle)
        place = os.open(name, _PLACE, dir_fd=above)
        try:
            os.chmod(f"/proc/self/fd/{place}", _OWNER_ALL | stat.S_IMODE(os.fstat(place).st_mode))
            with contextlib.suppress(PermissionError):
                return os.open(f"/proc/self/fd/{place}", _FOLDER & ~os.O_NOFOLLOW)
        finally:
            os.close(place)
    raise PermissionError(f"{name} cannot be looked into")


def _is_open(status: os.stat_result) -> bool:
    return os.geteuid() == 0 or status.st_mode & _OWNER_ALL == _OWNER_ALL


@dataclass(frozen=True, slots=True)
class Unlinked:
    """What processes hold open, as far as it was looked at: how many files, and the bytes of those that have no name."""

    bytes: int
    open_files: int


def unlinked(pids: list[int], devices: Container[int]) -> Unlinked:
    """Add up the files on these devices that processes hold open though no folder names them any more.

    Without this a job could fill the disk with files that nobody finds. (Files that it only has mapped, and not open,
    are not found this way either; a file system with quotas is the remedy where that matters.)
    """
    found: dict[int, int] = {}
    count = 0
    for pid in pids:
        for status in _open_files(pid):
            count += 1
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 0 and status.st_dev in devices:
                found[status.st_ino] = status.st_blocks * 512
            if count > MAX_OPEN:
                return Unlinked(sum(found.values()), count)
    return Unlinked(sum(found.values()), count)


def _open_files(pid: int) -> Iterator[os.stat_result]:
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # closed since it was listed; the others are still to be seen
                yield os.stat(entry.path)


def hand_over(folders: tuple[Path, ...], user: int) -> None:
    """Give the folders, as the agent filled them, to the job's user: before the job starts, so nothing moves."""
    for folder in folders:
        os.chown(folder, user, user)
        for here, inner, files in os.walk(folder):
            for name in (*inner, *files):
                os.chown(os.path.join(here, name), user, user, follow_symlinks=False)


def take_back(folders: tuple[Path, ...]) -> None:
    """Make everything readable for the agent again, and nothing setuid. Only after the job has ended, so nothing moves.

    What lies too deep to be delivered stays as it is; ``removal.remove`` needs no help with it.
    """
    for folder in folders:
        walk = Walk(folder)
        for status, _ in walk:
            wanted = _taken_back(status.st_mode)
            if wanted != stat.S_IMODE(status.st_mode) and not stat.S_ISLNK(status.st_mode):
                with contextlib.suppress(OSError):
                    os.chmod(walk.name, wanted, dir_fd=walk.here)


def _taken_back(mode: int) -> int:
    kept = stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID)
    return kept | (_OWNER_ALL if stat.S_ISDIR(mode) else 0o600)
