"""What the executor does with a lease's folders: hand them to the job's user, watch them grow, take them back.

Their content is the job's: names and depth are hostile, links lead anywhere. So folders are walked by handle and
without following links, and what coreutils do well at any depth is left to them.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

MAX_FILES: Final = 100_000
MAX_DEPTH: Final = 64
"""As many and as deep as a bundle may hold (domain.bundles): more could be neither delivered nor removed with ease."""


@dataclass(frozen=True, slots=True)
class Occupied:
    """What lies in folders: the disk space it takes, and whether it could be delivered at all."""

    bytes: int
    files: int
    is_too_deep: bool = False

    def plus(self, more_bytes: int) -> Occupied:
        """The same with some more bytes."""
        return replace(self, bytes=self.bytes + more_bytes)

    def exceeds(self, start: Occupied, disk_mib: int) -> bool:
        """Say whether it grew by more than a job may add."""
        return self.bytes - start.bytes > disk_mib << 20 or self.files - start.files > MAX_FILES or self.is_too_deep


def measure(*folders: Path) -> Occupied:
    """Add up the blocks that files below the folders take: a sparse file counts what it holds, not what it claims.

    Stops early when there is more, or it lies deeper, than any job may have.
    """
    seen: set[tuple[int, int]] = set()
    files = total = 0
    for folder in folders:
        for status, depth in _walk(folder):
            files += 1
            if depth > MAX_DEPTH:
                return Occupied(total, files, is_too_deep=True)
            identity = (status.st_dev, status.st_ino)
            if status.st_nlink == 1 or stat.S_ISDIR(status.st_mode) or identity not in seen:
                total += status.st_blocks * 512
            if status.st_nlink > 1:
                seen.add(identity)
            if files > 2 * MAX_FILES:
                break
    return Occupied(total, files)


def _walk(folder: Path) -> Iterator[tuple[os.stat_result, int]]:
    """Yield everything below the folder with its depth; at most one open folder for each level."""
    open_folders = [_Open(os.open(folder, _FOLDER))]
    try:
        while open_folders:
            name = open_folders[-1].next_name()
            if name is None:
                open_folders.pop().close()
                continue
            here = open_folders[-1].handle
            try:
                status = os.stat(name, dir_fd=here, follow_symlinks=False)
                yield status, len(open_folders)
                if stat.S_ISDIR(status.st_mode):
                    open_folders.append(_Open(os.open(name, _FOLDER, dir_fd=here)))
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # gone or changed since it was listed, or closed by the job, which then cannot use it either
    finally:
        for left in open_folders:
            left.close()


_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Open:
    """A folder that is being walked through."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._names = os.listdir(handle)

    def next_name(self) -> str | None:
        return self._names.pop() if self._names else None

    def close(self) -> None:
        os.close(self.handle)


def unlinked_bytes(pids: list[int], device: int) -> int:
    """Add up the files on this device that processes hold open though no folder names them any more.

    Without this a job could fill the disk with files that nobody finds. (Files that it only has mapped, and not open,
    are not found this way either; a file system with quotas is the remedy where that matters.)
    """
    found: dict[int, int] = {}
    for pid in pids:
        for status in _open_files(pid):
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 0 and status.st_dev == device:
                found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def _open_files(pid: int) -> Iterator[os.stat_result]:
    place = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(place):
            yield os.stat(f"{place}/{name}")
    except OSError:
        return  # it has ended, or closed the file


def hand_over(folders: tuple[Path, ...], user: int) -> None:
    """Give the folders, as the agent filled them, to the job's user: before the job starts, so nothing moves."""
    for folder in folders:
        os.chown(folder, user, user)
        for here, inner, files in os.walk(folder):
            for name in (*inner, *files):
                os.chown(os.path.join(here, name), user, user, follow_symlinks=False)


def take_back(folders: tuple[Path, ...]) -> None:
    """Make everything readable and removable for the agent again, and nothing setuid. Only after the job has ended."""
    subprocess.run(["chmod", "-R", "u+rwX,ug-s", "--", *map(str, folders)], check=False, capture_output=True)


def remove(folder: Path) -> None:
    """Remove a lease's folder, however deep a job nested it (``shutil.rmtree`` gives up at some depth)."""
    take_back((folder,))
    subprocess.run(["rm", "-rf", "--", str(folder)], check=True, capture_output=True)
