"""Bundles: folders as one file with one hash, and back, without trusting whoever made them.

A bundle is an uncompressed tar archive (GNU format, so that every tar reads it) in which equal trees are equal bytes:
entries strictly ascending by path, owner and time 0, mode 0644 or 0755. It holds regular files and folders only.
Everything else is refused on both sides, when making and when unpacking, because the two sides do not trust each other:
a job may leave links in its outputs for the agent to follow, a client may upload an archive that no tar wrote.

The reader is written here, for exactly what the writer writes, instead of taken from ``tarfile``: what it does not know
it refuses, it never allocates by a size it read, and it has seen every header before it writes the first byte.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256

BUNDLE_ENTRIES: Final = 100_000
"""How many files and folders one bundle may hold unless the caller says otherwise."""
MAX_DEPTH: Final = 64
"""How many folders deep a file may lie: bounds open folders, and deeper trees are not made by accident."""
MAX_NAME_BYTES: Final = 4_000
MAX_PART_BYTES: Final = 255

_BLOCK: Final = 512
_CHUNK: Final = 1 << 20
_FILE, _FOLDER, _LONG_NAME = b"0", b"5", b"L"
_END: Final = bytes(2 * _BLOCK)


@dataclass(frozen=True, slots=True)
class Bundled:
    """A bundle that was made or unpacked: its own hash and size, and how many files and folders are in it."""

    sha256: Sha256
    bytes: int
    entries: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """One file or folder. ``source`` is where its content is when making, ``offset`` when unpacking."""

    parts: tuple[str, ...]
    is_folder: bool
    is_executable: bool = False
    size: int = 0
    source: Path | None = None
    offset: int = 0

    @property
    def name(self) -> str:
        return "/".join(self.parts)


# Making


def bundle_files(root: Path, *, limit_bytes: int, limit_entries: int = BUNDLE_ENTRIES) -> bytes:
    """Bundle everything below ``root`` in memory; see ``write_bundle``."""
    stream = io.BytesIO()
    write_bundle(root, stream, limit_bytes=limit_bytes, limit_entries=limit_entries)
    return stream.getvalue()


def bundle_paths(paths: Iterable[tuple[str, Path]], *, limit_bytes: int, limit_entries: int = BUNDLE_ENTRIES) -> bytes:
    """Bundle files, and folders with all below them, each under the name it shall have in the bundle."""
    found: dict[tuple[str, ...], _Entry] = {}
    for name, path in paths:
        parts = _checked_name(name)
        for entry in [*_parents(parts), *_entries(path, parts)]:
            first = found.setdefault(entry.parts, entry)
            if first is not entry and not (first.is_folder and entry.is_folder):
                raise InvalidField(entry.name, "is named twice in the bundle")
            _check_count(len(found), limit_entries)
    stream = io.BytesIO()
    _write(found.values(), stream, limit_bytes)
    return stream.getvalue()


def write_bundle(root: Path, stream: BinaryIO, *, limit_bytes: int, limit_entries: int = BUNDLE_ENTRIES) -> Bundled:
    """Bundle everything below ``root`` into ``stream``; ``limit_bytes`` bounds the sum of the files' sizes.

    Raises InvalidField, naming the entry, for what no bundle holds. A file with several names (a hard link) is stored
    once for each: nothing tells which is "the" file, and a job cannot link to what lies outside its own mounts.
    """
    entries: list[_Entry] = []
    for entry in _entries(root, ()):
        entries.append(entry)
        _check_count(len(entries), limit_entries)
    return _write(entries, stream, limit_bytes)


def _entries(path: Path, parts: tuple[str, ...]) -> Iterator[_Entry]:
    """Yield ``path`` (unless it is the bundle's root) and all below it, by an explicit stack: depth costs nothing."""
    waiting = [(path, parts)]
    while waiting:
        here, name = waiting.pop()
        entry = _looked_at(here, name)
        if name:
            yield entry
        if not entry.is_folder:
            continue
        try:
            children = os.listdir(here)
        except OSError as exc:
            raise InvalidField(entry.name or "bundle", f"cannot be read: {exc.strerror}") from exc
        waiting += [(here / child, (*name, child)) for child in children]


def _looked_at(path: Path, parts: tuple[str, ...]) -> _Entry:
    if parts:
        _checked_name("/".join(parts))
    try:
        status = path.lstat()
    except OSError as exc:
        raise InvalidField("/".join(parts) or "bundle", f"cannot be read: {exc.strerror}") from exc
    if stat.S_ISDIR(status.st_mode):
        return _Entry(parts, is_folder=True, source=path)
    if not stat.S_ISREG(status.st_mode) or not parts:
        raise InvalidField("/".join(parts) or "bundle", "only regular files and folders can be bundled")
    is_executable = bool(status.st_mode & stat.S_IXUSR)
    return _Entry(parts, is_folder=False, is_executable=is_executable, size=status.st_size, source=path)


def _write(entries: Iterable[_Entry], stream: BinaryIO, limit_bytes: int) -> Bundled:
    ordered = sorted(entries, key=lambda entry: entry.parts)
    _check_size(sum(entry.size for entry in ordered), limit_bytes)
    digest, written = hashlib.sha256(), 0
    for entry in ordered:
        for chunk in _encoded(entry):
            digest.update(chunk)
            written += stream.write(chunk)
    digest.update(_END)
    written += stream.write(_END)
    return Bundled(Sha256(digest.hexdigest()), written, len(ordered))


def _encoded(entry: _Entry) -> Iterator[bytes]:
    header = tarfile.TarInfo(entry.name)
    header.type = _FOLDER if entry.is_folder else _FILE
    header.mode = 0o755 if entry.is_folder or entry.is_executable else 0o644
    header.size = entry.size
    yield header.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
    if entry.is_folder or entry.source is None:
        return
    yield from _content(entry, entry.source)
    yield bytes(-entry.size % _BLOCK)


def _content(entry: _Entry, source: Path) -> Iterator[bytes]:
    """Read exactly the size in the header: a file that is shorter or longer by now was changed under our hands."""
    try:
        # O_NONBLOCK: a fifo put in its place must not hang us. O_NOFOLLOW: nor a link lead us elsewhere.
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise InvalidField(entry.name, f"cannot be read: {exc.strerror}") from exc
    with open(handle, "rb", buffering=0) as file:
        left = entry.size if stat.S_ISREG(os.fstat(handle).st_mode) else -1
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
        if left != 0 or file.read(1):
            raise InvalidField(entry.name, "changed while it was being bundled")


def _parents(parts: tuple[str, ...]) -> list[_Entry]:
    return [_Entry(parts[:depth], is_folder=True) for depth in range(1, len(parts))]


# Unpacking


def unpack_bundle(
    bundle: bytes | BinaryIO, into: Path, *, limit_bytes: int, limit_entries: int = BUNDLE_ENTRIES
) -> tuple[str, ...]:
    """Unpack below ``into`` (made if absent) and return the entries' names; a stream must be seekable.

    All headers are read and judged before anything is written, so a refused bundle leaves nothing behind. Files that
    are already there are never overwritten, and links that are already there never followed.
    """
    stream = io.BytesIO(bundle) if isinstance(bundle, bytes) else bundle
    entries = _read_headers(stream, limit_bytes, limit_entries)
    into.mkdir(parents=True, exist_ok=True)
    root = os.open(into, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for entry in entries:
            _unpack(entry, stream, root)
    finally:
        os.close(root)
    return tuple(entry.name for entry in entries)


def _read_headers(stream: BinaryIO, limit_bytes: int, limit_entries: int) -> list[_Entry]:
    end = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    entries: list[_Entry] = []
    folders: set[tuple[str, ...]] = {()}
    total = 0
    while entry := _next_entry(stream):
        if entries and entry.parts <= entries[-1].parts:
            raise InvalidField(entry.name, "entries must be in ascending order, each named once")
        if entry.parts[:-1] not in folders:
            raise InvalidField(entry.name, "must come after the folder it is in")
        if entry.is_folder:
            folders.add(entry.parts)
        entries.append(entry)
        total += entry.size
        _check_count(len(entries), limit_entries)
        _check_size(total, limit_bytes)
        if stream.seek(entry.offset + entry.size + -entry.size % _BLOCK) > end:
            raise InvalidField(entry.name, "is cut short")
    if stream.read(_BLOCK + 1) != bytes(_BLOCK):
        raise InvalidField("bundle", "must end with two empty blocks and nothing after them")
    return entries


def _next_entry(stream: BinaryIO) -> _Entry | None:
    """Read one entry's header, with the header for a long name before it if there is one; None at the end marker."""
    block = _header(stream)
    if block is None:
        return None
    long_name = None
    if block[156:157] == _LONG_NAME:
        long_name = _long_name(stream, _number(block[124:136], "bundle"))
        block = _header(stream)
        if block is None:
            raise InvalidField("bundle", "a long name must be followed by its entry")
    kind = block[156:157]
    name = _text(long_name or _until_nul(block[:100]))
    if kind not in (_FILE, _FOLDER):
        raise InvalidField(name or "bundle", "only regular files and folders can be in a bundle")
    is_folder = kind == _FOLDER
    parts = _checked_name(name.removesuffix("/") if is_folder else name)
    size = _number(block[124:136], "/".join(parts))
    if is_folder and size:
        raise InvalidField(name, "a folder has no content")
    mode = _number(block[100:108], name)
    return _Entry(parts, is_folder, bool(mode & stat.S_IXUSR), size, offset=stream.tell())


def _header(stream: BinaryIO) -> bytes | None:
    block = stream.read(_BLOCK)
    if len(block) < _BLOCK:
        raise InvalidField("bundle", "is cut short")
    if block == bytes(_BLOCK):
        return None
    if _number(block[148:156], "bundle") != sum(block[:148]) + sum(block[156:]) + 8 * ord(" "):
        raise InvalidField("bundle", "is not a tar archive: a header's checksum is wrong")
    if block[257:265] != tarfile.GNU_MAGIC:
        raise InvalidField("bundle", "must be a tar archive in GNU format")
    return block


def _long_name(stream: BinaryIO, size: int) -> bytes:
    if not 100 < size <= MAX_NAME_BYTES + 2:
        raise InvalidField("bundle", f"names must not be longer than {MAX_NAME_BYTES} bytes")
    padded = stream.read(size + -size % _BLOCK)
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


def _unpack(entry: _Entry, stream: BinaryIO, root: int) -> None:
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


def _make_file(entry: _Entry, stream: BinaryIO, folder: int) -> None:
    # O_EXCL makes a new file or fails: an existing file, or a link in its place, is left alone.
    mode = 0o755 if entry.is_executable else 0o644
    handle = os.open(entry.parts[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
    with open(handle, "wb") as file:
        stream.seek(entry.offset)
        left = entry.size
        while left:
            chunk = stream.read(min(_CHUNK, left))
            if not chunk:
                raise InvalidField(entry.name, "is cut short")
            file.write(chunk)
            left -= len(chunk)


# Rules that hold on both sides


def _checked_name(name: str) -> tuple[str, ...]:
    """Split a name into its parts, refusing whatever could lead, or look as if it led, anywhere else."""
    shown = name if name.isprintable() else ascii(name)
    parts = tuple(name.split("/"))
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidField(shown, "names must be relative, without empty parts, '.' or '..'")
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 or 0xD800 <= ord(letter) < 0xE000 for letter in name):
        raise InvalidField(shown, "names must be valid text without control characters")
    if len(parts) > MAX_DEPTH:
        raise InvalidField(shown[:80] + "…", f"must not be more than {MAX_DEPTH} folders deep")
    if len(name.encode()) > MAX_NAME_BYTES or any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        raise InvalidField(
            shown[:80] + "…", f"names are at most {MAX_NAME_BYTES} bytes, {MAX_PART_BYTES} between slashes"
        )
    return parts


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise InvalidField(ascii(name), "names must be UTF-8") from None


def _check_count(entries: int, limit_entries: int) -> None:
    if entries > limit_entries:
        raise InvalidField("bundle", f"must not hold more than {limit_entries} files and folders")


def _check_size(total_bytes: int, limit_bytes: int) -> None:
    if total_bytes > limit_bytes:
        raise InvalidField("bundle", f"holds {total_bytes} bytes of files; at most {limit_bytes} are allowed")
