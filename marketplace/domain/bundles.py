"""Making bundles (``bundle_rules``): folders as one stream of bytes that is made anew each time it is read.

Nothing but the list of entries is held in memory, and nothing is written down: a part of a bundle is read straight from
the files, so what is sent needs no second place on the disk. Two ways to make one, because two sides make them:

- ``bundle_paths`` for inputs refuses, naming it, what no bundle holds: their owner is there to mend it;
- ``bundle_outputs`` leaves it out, naming it, and delivers the rest: the job is over, and its work paid for.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, islice
from pathlib import Path

from marketplace.domain.bundle_rules import (
    BLOCK,
    CHUNK,
    END,
    FILE,
    FOLDER,
    Allowance,
    Entry,
    LeftOut,
    Trouble,
    checked_name,
    escaped,
)
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256
from marketplace.domain.limits import MAX_FILES, PART_BYTES

Ignored = Callable[[str, bool], bool]
"""Whether an entry stays out, by its name in the bundle, and whether it is a folder."""


class Bundle:
    """A tree that can be read as a tar archive, from any byte on.

    bundle.bytes            how long it is
    bundle.pieces(a, b)     its bytes from a to b, as they come from the files
    bundle.parts()          the sha256 of each part, in order; reads all of it
    bundle.left_out         what is not in it
    """

    def __init__(self, entries: Iterable[Entry], left_out: Iterable[LeftOut] = ()) -> None:
        self.entries = tuple(sorted(entries, key=lambda entry: entry.parts))
        self.left_out = tuple(sorted(left_out, key=lambda one: one.path))
        self._starts = [0, *accumulate(_length(entry) for entry in self.entries)]
        self.bytes = self._starts[-1] + len(END)

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Its bytes from ``start`` up to ``end``; raise InvalidField naming a file that has changed since it was looked at."""
        end = self.bytes if end is None else min(end, self.bytes)
        first = max(0, bisect_right(self._starts, start) - 1)
        for number in range(first, len(self.entries)):
            at = self._starts[number]
            if at >= end:
                return
            yield from _encoded(self.entries[number], max(0, start - at), end - at)
        tail = self._starts[-1]
        yield END[max(0, start - tail) : max(0, end - tail)]

    def parts(self, part_bytes: int = PART_BYTES) -> tuple[Sha256, ...]:
        """The names of its parts, in order."""
        starts = range(0, self.bytes, part_bytes)
        return tuple(self._name_of(start, start + part_bytes) for start in starts)

    def content(self) -> bytes:
        """All of it in memory: for small ones."""
        return b"".join(self.pieces())

    def _name_of(self, start: int, end: int) -> Sha256:
        digest = hashlib.sha256()
        for piece in self.pieces(start, end):
            digest.update(piece)
        return Sha256(digest.hexdigest())


def bundle_paths(
    paths: Iterable[tuple[str, Path]], allowance: Allowance, is_ignored: Ignored = lambda name, is_folder: False
) -> Bundle:
    """Files, and folders with all below them, each under the name it shall have in the bundle.

    What ``is_ignored`` stays out, with all below it, and is not looked at; ``left_out`` names it.
    Raises InvalidField, naming the entry, for what no bundle holds, what comes twice, and more than the allowance.
    """
    found: dict[tuple[str, ...], Entry] = {}
    left_out: list[LeftOut] = []

    def is_kept(name: tuple[str, ...], is_folder: bool) -> bool:
        is_out = is_ignored("/".join(name), is_folder)
        if is_out:
            left_out.append(LeftOut("/".join(name), "is ignored"))
        return not is_out

    for name, path in paths:
        if not is_kept(tuple(name.split("/")), path.is_dir() and not path.is_symlink()):
            continue
        parts = checked_name(name)
        for entry in [*_parents(parts), *_entries(path, parts, _refuse, is_kept)]:
            first = found.setdefault(entry.parts, entry)
            if first is not entry and not (first.is_folder and entry.is_folder):
                raise InvalidField(entry.name, "is named twice in the bundle")
            if first is entry:
                checked_name(entry.name)
                allowance.take(0, entries=1)
    allowance.take(sum(entry.size for entry in found.values()))
    return Bundle(found.values(), left_out)


def bundle_outputs(path: Path, allowance: Allowance) -> Bundle:
    """A folder's content, or one file under its own name; what no bundle holds, or no allowance is left for, is left out.

    A file with several names (a hard link) is delivered under its first one; under the others, too, as a copy, as far as
    the allowance goes when everything else has its place.
    """
    left_out: list[LeftOut] = []
    is_folder = stat.S_ISDIR(path.lstat().st_mode)
    found: list[Entry] = []
    for entry in _entries(path, () if is_folder else (escaped(path.name),), left_out.append):
        if not allowance.entries:
            left_out.append(
                LeftOut(entry.name, f"it and what follows: only {MAX_FILES} files and folders are delivered")
            )
            break
        allowance.take(0, entries=1)
        found.append(entry)
    return Bundle(_fitting(found, allowance, left_out.append), left_out)


def _fitting(entries: Iterable[Entry], allowance: Allowance, trouble: Trouble) -> Iterator[Entry]:
    """The entries that the allowance has bytes for, by name; further names of a file come last."""
    first_names: dict[tuple[int, int], str] = {}
    further: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: entry.parts):
        if entry.inode is not None and first_names.setdefault(entry.inode, entry.name) != entry.name:
            further.append(entry)
        elif _fits(entry, allowance, trouble, ""):
            yield entry
    for entry in further:
        other = f"; it is another name of {first_names[entry.inode]}" if entry.inode else ""
        if _fits(entry, allowance, trouble, other):
            yield entry


def _fits(entry: Entry, allowance: Allowance, trouble: Trouble, more: str) -> bool:
    if entry.size > allowance.bytes:
        trouble(
            LeftOut(entry.name, f"has {entry.size} bytes, and {allowance.bytes} are left of the order's disk{more}")
        )
        return False
    allowance.take(entry.size)
    return True


def _refuse(trouble: LeftOut) -> None:
    raise InvalidField(trouble.path, trouble.why)


def _entries(
    path: Path,
    parts: tuple[str, ...],
    trouble: Trouble,
    is_kept: Callable[[tuple[str, ...], bool], bool] = lambda name, is_folder: True,
) -> Iterator[Entry]:
    """Yield ``path`` (unless it is the bundle's root) and all below it, by an explicit stack: depth costs nothing."""
    waiting = [(str(path), parts)]
    while waiting:
        here, name = waiting.pop()
        try:
            entry = _looked_at(here, name)
            children = _children(here) if entry.is_folder else []
        except InvalidField as exc:
            trouble(LeftOut(exc.field, exc.rule))
            continue
        except OSError as exc:
            trouble(LeftOut("/".join(name) or ".", f"cannot be read: {exc.strerror}"))
            continue
        if name:
            yield entry
        delivered = escaped if trouble is not _refuse else str
        named = [(os.path.join(here, child), (*name, delivered(child)), is_folder) for child, is_folder in children]
        waiting += [(child, inner) for child, inner, is_folder in named if is_kept(inner, is_folder)]


def _children(folder: str) -> list[tuple[str, bool]]:
    """The names in a folder, and which are folders; of one that holds more than any bundle may, no more than that."""
    with os.scandir(folder) as found:
        return [(child.name, child.is_dir(follow_symlinks=False)) for child in islice(found, MAX_FILES + 1)]


def _looked_at(path: str, parts: tuple[str, ...]) -> Entry:
    if parts:
        checked_name("/".join(parts))
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        return Entry(parts, is_folder=True, source=path)
    name = "/".join(parts) or "."
    if not stat.S_ISREG(status.st_mode) or not parts:
        raise InvalidField(name, f"is {_kind_of(status.st_mode)}; only regular files and folders are bundled")
    if not os.access(path, os.R_OK):
        raise InvalidField(name, "cannot be read: Permission denied")
    inode = (status.st_dev, status.st_ino) if status.st_nlink > 1 else None
    is_executable = bool(status.st_mode & stat.S_IXUSR)
    return Entry(parts, False, is_executable, size=status.st_size, source=path, inode=inode)


def _kind_of(mode: int) -> str:
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a fifo", stat.S_IFSOCK: "a socket", stat.S_IFREG: "a file"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _length(entry: Entry) -> int:
    """How many bytes of the archive are this entry's: its header, the header of a long name, its content, and padding."""
    name = len(entry.name.encode()) + entry.is_folder
    long_name = 0 if name <= 100 else BLOCK + _padded(name + 1)
    return long_name + BLOCK + _padded(entry.size)


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _encoded(entry: Entry, start: int, end: int) -> Iterator[bytes]:
    """The entry's bytes from ``start`` up to ``end``."""
    content_at = _length(entry) - _padded(entry.size)
    if start < content_at:
        yield _header(entry)[start:end]
    begin, stop = max(0, start - content_at), min(entry.size, end - content_at)
    if entry.source is not None and not entry.is_folder and begin < stop:
        yield from _content(entry, entry.source, begin, stop)
    padding_at = content_at + entry.size
    yield bytes(max(0, min(end, _length(entry)) - max(start, padding_at)))


def _header(entry: Entry) -> bytes:
    header = tarfile.TarInfo(entry.name)
    header.type = FOLDER if entry.is_folder else FILE
    header.mode = 0o755 if entry.is_folder or entry.is_executable else 0o644
    header.size = entry.size
    return header.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def _content(entry: Entry, source: str, start: int, end: int) -> Iterator[bytes]:
    """Read a file of exactly the size in the header: one that is shorter or longer by now was changed under our hands."""
    try:
        # O_NONBLOCK: a fifo put in its place must not hang us. O_NOFOLLOW: nor a link lead us elsewhere.
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise InvalidField(entry.name, f"cannot be read: {exc.strerror}") from exc
    with open(handle, "rb", buffering=0) as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            raise InvalidField(entry.name, "changed while it was being bundled")
        file.seek(start)
        left = end - start
        while left and (chunk := file.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
        if left:
            raise InvalidField(entry.name, "changed while it was being bundled")


def _parents(parts: tuple[str, ...]) -> list[Entry]:
    return [Entry(parts[:depth], is_folder=True) for depth in range(1, len(parts))]
