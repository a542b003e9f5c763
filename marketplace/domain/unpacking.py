"""Unpacking bundles (``bundle_rules``) without trusting whoever made them: a client may upload what no tar wrote.

``archives`` reads the entries one by one; here they are judged beside each other, and every header has been seen before the first byte
is written. Those of a bundle come in order and are written as they come, one in memory. Those of other tars are sorted on the way in.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from marketplace.domain.archives import Seekable, archive_entries
from marketplace.domain.bundle_rules import CHUNK, Allowance, Entry, LeftOut, Trouble
from marketplace.domain.errors import InvalidField

MOST_NAMES_BYTES: Final = 32 << 20
"""Of all names together, where they have to be sorted."""


def unpack_bundle(
    bundle: bytes | Seekable, into: Path, allowance: Allowance, trouble: Trouble = lambda _: None
) -> tuple[str, ...]:
    """Unpack below ``into`` (made if absent) and return the entries' names; a stream must be seekable.

    All headers are read, judged and counted against the allowance before anything is written, so a refused bundle leaves
    nothing behind. Files that are already there are never overwritten, and links that are already there never followed.
    ``trouble`` is told of each entry that no bundle holds, and that is left out.
    """
    return tuple(unpacking(bundle, into, allowance, trouble=trouble))


def unpacking(
    bundle: bytes | Seekable,
    into: Path,
    allowance: Allowance,
    when_judged: Callable[[], object] = lambda: None,
    *,
    trouble: Trouble = lambda _: None,
) -> Iterator[str]:
    """The same, entry by entry: a name for each one that is written. However many there are in order, one is in memory.

    ``when_judged`` is called once all has been judged: from then on each byte is read once, in order."""
    stream: Seekable = io.BytesIO(bundle) if isinstance(bundle, bytes) else bundle
    entries = _judged(stream, allowance, trouble)
    when_judged()
    into.mkdir(parents=True, exist_ok=True)
    root = os.open(into, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for entry in entries:
            _unpack(entry, stream, root)
            yield entry.name
    finally:
        os.close(root)


def judge_bundle(stream: Seekable, allowance: Allowance) -> None:
    """Look at all that is in it, as whoever unpacks it does, and take that of the allowance. Raises InvalidField."""
    _judged(stream, allowance, lambda _: None)


def _judged(stream: Seekable, allowance: Allowance, trouble: Trouble) -> Iterable[Entry]:
    """What is to be written, in order, once all of it has been looked at. Raises InvalidField."""
    is_ordered, before, folder = True, tuple[str, ...](), tuple[str, ...]()
    for entry in archive_entries(stream):
        if isinstance(entry, LeftOut):
            allowance.take(0, entries=1)
            trouble(entry)
            continue
        allowance.take(entry.size, entries=1)
        parent = entry.parts[:-1]
        # In order the folder named last is the one that an entry is in, or lies in that one.
        is_ordered = is_ordered and entry.parts > before and folder[: len(parent)] == parent
        before, folder = entry.parts, entry.parts if entry.is_folder else folder
    found = (entry for entry in archive_entries(stream) if isinstance(entry, Entry))
    return found if is_ordered else _sorted(found, allowance)


def _sorted(entries: Iterable[Entry], allowance: Allowance) -> list[Entry]:
    """Each once: the folders in order, then the files as they come. Raises InvalidField for what is named twice, or is a file and a folder.

    Folders that nobody names count too: a short archive could otherwise make millions of them.
    """
    found: dict[tuple[str, ...], Entry] = {}
    left = MOST_NAMES_BYTES
    for entry in entries:
        left -= len(entry.name.encode())
        if left < 0:
            raise InvalidField("bundle", f"names that are not in order have at most {MOST_NAMES_BYTES} bytes together")
        for one in (*(Entry(entry.parts[:depth], is_folder=True) for depth in range(1, len(entry.parts))), entry):
            first = found.setdefault(one.parts, one)
            if first is one and one is not entry:
                allowance.take(0, entries=1)
            if first is not one and not (first.is_folder and one.is_folder):
                raise InvalidField(one.name, "is named twice in the bundle")
    folders = sorted(parts for parts, entry in found.items() if entry.is_folder)
    return [*(found[parts] for parts in folders), *(entry for entry in found.values() if not entry.is_folder)]


def _unpack(entry: Entry, stream: Seekable, root: int) -> None:
    """Walk down from the root folder one part at a time, following no link, so the parts alone decide where we end."""
    folder = os.dup(root)
    try:
        for part in entry.parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        if entry.is_folder:
            _make_folder(entry.parts[-1], folder)
        else:
            _make_file(entry, stream, folder)
    except (FileExistsError, NotADirectoryError) as exc:
        # Only what is already there is the bundle's fault; a full disk is not, and stays an OSError.
        raise InvalidField(entry.name, f"is in the way of what is already there: {exc.strerror}") from exc
    finally:
        os.close(folder)


def _make_folder(name: str, folder: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise


def _make_file(entry: Entry, stream: Seekable, folder: int) -> None:
    # O_EXCL makes a new file or fails: an existing file, or a link in its place, is left alone.
    mode = 0o755 if entry.is_executable else 0o644
    handle = os.open(entry.parts[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
    with open(handle, "wb") as file:
        stream.seek(entry.offset)
        left = entry.size
        while left:
            chunk = stream.read(min(CHUNK, left))
            if not chunk:
                raise InvalidField(entry.name, "is cut short")
            file.write(chunk)
            left -= len(chunk)
