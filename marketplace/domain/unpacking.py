"""Unpacking bundles (``bundle_rules``) without trusting whoever made them: a client may upload what no tar wrote.

The reader is written here, for exactly what the writer writes, instead of taken from ``tarfile``: what it does not know
it refuses, it never allocates by a size it read, it holds one entry in memory however many there are, and it has seen
every header before it writes the first byte.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from marketplace.domain.bundle_rules import BLOCK, CHUNK, FILE, FOLDER, LONG_NAME, Allowance, Entry, checked_name
from marketplace.domain.errors import InvalidField
from marketplace.domain.limits import MAX_NAME_BYTES


class Seekable(Protocol):
    """What bundles are read from: a file, or parts that are read like one."""

    def read(self, size: int, /) -> bytes:
        """So many bytes; fewer only at the end."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """As a file's."""

    def tell(self) -> int:
        """Where it stands."""


def unpack_bundle(bundle: bytes | Seekable, into: Path, allowance: Allowance) -> tuple[str, ...]:
    """Unpack below ``into`` (made if absent) and return the entries' names; a stream must be seekable.

    All headers are read, judged and counted against the allowance before anything is written, so a refused bundle leaves
    nothing behind. Files that are already there are never overwritten, and links that are already there never followed.
    """
    return tuple(unpacking(bundle, into, allowance))


def unpacking(
    bundle: bytes | Seekable, into: Path, allowance: Allowance, when_judged: Callable[[], object] = lambda: None
) -> Iterator[str]:
    """The same, entry by entry: a name for each one that is written. However many there are, one is in memory.

    ``when_judged`` is called once all has been judged: from then on each byte is read once, in order."""
    stream: Seekable = io.BytesIO(bundle) if isinstance(bundle, bytes) else bundle
    for entry in _entries(stream):
        allowance.take(entry.size, entries=1)
    when_judged()
    into.mkdir(parents=True, exist_ok=True)
    root = os.open(into, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for entry in _entries(stream):
            _unpack(entry, stream, root)
            yield entry.name
    finally:
        os.close(root)


def _entries(stream: Seekable) -> Iterator[Entry]:
    """All entries, each judged beside those before it; whoever takes them may read elsewhere meanwhile."""
    end = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    before, folder = tuple[str, ...](), tuple[str, ...]()
    while entry := _next_entry(stream):
        if entry.parts <= before:
            raise InvalidField(entry.name, "entries must be in ascending order, each named once")
        # In that order the folder named last is the one that it is in, or lies in that one.
        parent = entry.parts[:-1]
        if folder[: len(parent)] != parent:
            raise InvalidField(entry.name, "must come after the folder it is in")
        before, folder = entry.parts, entry.parts if entry.is_folder else folder
        place = entry.offset + entry.size + -entry.size % BLOCK
        if place > end:
            raise InvalidField(entry.name, "is cut short")
        yield entry
        stream.seek(place)
    if stream.read(BLOCK + 1) != bytes(BLOCK):
        raise InvalidField("bundle", "must end with two empty blocks and nothing after them")


def _next_entry(stream: Seekable) -> Entry | None:
    """Read one entry's header, with the header for a long name before it if there is one; None at the end marker."""
    block = _header(stream)
    if block is None:
        return None
    long_name = None
    if block[156:157] == LONG_NAME:
        long_name = _long_name(stream, _number(block[124:136], "bundle"))
        block = _header(stream)
        if block is None:
            raise InvalidField("bundle", "a long name must be followed by its entry")
    kind = block[156:157]
    name = _text(long_name or _until_nul(block[:100]))
    if kind not in (FILE, FOLDER):
        raise InvalidField(name or "bundle", "only regular files and folders can be in a bundle")
    is_folder = kind == FOLDER
    parts = checked_name(name.removesuffix("/") if is_folder else name)
    size = _number(block[124:136], "/".join(parts))
    if is_folder and size:
        raise InvalidField(name, "a folder has no content")
    mode = _number(block[100:108], name)
    return Entry(parts, is_folder, bool(mode & stat.S_IXUSR), size, offset=stream.tell())


def _header(stream: Seekable) -> bytes | None:
    block = stream.read(BLOCK)
    if len(block) < BLOCK:
        raise InvalidField("bundle", "is cut short")
    if block == bytes(BLOCK):
        return None
    if _number(block[148:156], "bundle") != sum(block[:148]) + sum(block[156:]) + 8 * ord(" "):
        raise InvalidField("bundle", "is not a tar archive: a header's checksum is wrong")
    if block[257:265] != tarfile.GNU_MAGIC:
        raise InvalidField("bundle", "must be a tar archive in GNU format")
    return block


def _long_name(stream: Seekable, size: int) -> bytes:
    if not 100 < size <= MAX_NAME_BYTES + 2:
        raise InvalidField("bundle", f"names must not be longer than {MAX_NAME_BYTES} bytes")
    padded = stream.read(size + -size % BLOCK)
    return _until_nul(padded[:size])


def _until_nul(field: bytes) -> bytes:
    content, _, rest = field.partition(b"\0")
    if rest.strip(b"\0"):
        raise InvalidField("bundle", "a name must not hold NUL")
    return content


def _number(field: bytes, name: str) -> int:
    """Read an octal number, or a large one in base 256; tar has both."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise InvalidField(name, "a number in its header is not octal")
    return int(digits, 8)


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


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise InvalidField(ascii(name), "names must be UTF-8") from None
