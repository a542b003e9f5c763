"""Reading tar archives as GNU tar, bsdtar and Python's ``tarfile`` write them, without trusting whoever made them.

Written here instead of taken from ``tarfile``: what it does not know it refuses, it never allocates by a size it read, and it holds one
entry in memory however many there are. What no bundle holds (links, devices, fifos) is told apart from what is broken: that one is left
out by name, this one ends it all. ``unpacking`` judges the entries beside each other and writes them down.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from marketplace.domain.bundle_rules import BLOCK, CHUNK, FILE, FOLDER, LONG_NAME, Entry, LeftOut, checked_name, escaped
from marketplace.domain.errors import InvalidField
from marketplace.domain.limits import MAX_NAME_BYTES

MOST_EXTENDED_BYTES: Final = 1 << 16
"""Of one extended header: names have 4,000 bytes, the rest is what somebody's disk knows of a file."""

_POSIX_MAGIC: Final = b"ustar\x0000"
_OLD_MAGIC: Final = bytes(8)
_OLD_FILE, _EXTENDED, _GLOBAL, _LONG_LINK = b"\0", b"x", b"g", b"K"
_LEFT_OUT: Final = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a fifo"}


class Seekable(Protocol):
    """What bundles are read from: a file, or parts that are read like one."""

    def read(self, size: int, /) -> bytes:
        """So many bytes; fewer only at the end."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """As a file's."""

    def tell(self) -> int:
        """Where it stands."""


@dataclass(slots=True)
class _Extended:
    """What the headers before an entry say of it."""

    name: bytes | None = None
    size: int | None = None


def archive_entries(stream: Seekable) -> Iterator[Entry | LeftOut]:
    """All entries in the archive's own order; whoever takes them may read elsewhere meanwhile. Raises InvalidField."""
    end = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    while block := _header(stream):
        extended = _Extended()
        while block[156:157] in (LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL):
            _extend(extended, block, stream)
            if (following := _header(stream)) is None:
                raise InvalidField("bundle", "a long name must be followed by its entry")
            block = following
        entry = _entry(block, extended, stream.tell())
        place = stream.tell() + (entry.size + -entry.size % BLOCK if isinstance(entry, Entry) else 0)
        if place > end:
            raise InvalidField(entry.name if isinstance(entry, Entry) else entry.path, "is cut short")
        if isinstance(entry, LeftOut) or entry.parts:
            yield entry
        stream.seek(place)
    _require_end(stream)


def _entry(block: bytes, extended: _Extended, offset: int) -> Entry | LeftOut:
    kind, name = block[156:157], _text(extended.name or _name_in(block))
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    if kind in _LEFT_OUT:
        return LeftOut(escaped(name), f"is {_LEFT_OUT[kind]}; only regular files and folders are bundled")
    if kind not in (FILE, FOLDER, _OLD_FILE):
        raise InvalidField(name or "bundle", "only regular files and folders can be in a bundle")
    is_folder = kind == FOLDER or (kind == _OLD_FILE and name.endswith("/"))
    size = _number(block[124:136], name) if extended.size is None else extended.size
    if is_folder and size:
        raise InvalidField(name, "a folder has no content")
    if is_folder and name in ("", "."):
        return Entry((), is_folder=True)  # the folder that was packed, which is the one to unpack into
    parts = checked_name(name.removesuffix("/") if is_folder else name)
    return Entry(parts, is_folder, bool(_number(block[100:108], name) & stat.S_IXUSR), size, offset=offset)


def _header(stream: Seekable) -> bytes | None:
    block = stream.read(BLOCK)
    if len(block) < BLOCK:
        raise InvalidField("bundle", "is cut short")
    if block == bytes(BLOCK):
        return None
    if _number(block[148:156], "bundle") != sum(block[:148]) + sum(block[156:]) + 8 * ord(" "):
        raise InvalidField("bundle", "is not a tar archive: a header's checksum is wrong")
    if block[257:265] not in (tarfile.GNU_MAGIC, _POSIX_MAGIC, _OLD_MAGIC):
        raise InvalidField("bundle", "must be a tar archive in GNU, POSIX or pax format")
    return block


def _name_in(block: bytes) -> bytes:
    name = _until_nul(block[:100])
    prefix = _until_nul(block[345:500]) if block[257:265] == _POSIX_MAGIC else b""
    return prefix + b"/" + name if prefix else name


def _extend(extended: _Extended, block: bytes, stream: Seekable) -> None:
    """Take in a header that is about the entry after it."""
    kind, size = block[156:157], _number(block[124:136], "bundle")
    if kind == LONG_NAME and not 100 < size <= MAX_NAME_BYTES + 2:
        raise InvalidField("bundle", f"names must not be longer than {MAX_NAME_BYTES} bytes")
    if size > MOST_EXTENDED_BYTES:
        raise InvalidField("bundle", f"an extended header must not be longer than {MOST_EXTENDED_BYTES} bytes")
    content = stream.read(size + -size % BLOCK)[:size]
    if len(content) < size:
        raise InvalidField("bundle", "is cut short")
    if kind == LONG_NAME:
        extended.name = _until_nul(content)
    elif kind != _LONG_LINK:
        _read_records(extended, content, is_global=kind == _GLOBAL)


def _read_records(extended: _Extended, content: bytes, *, is_global: bool) -> None:
    """pax records, ``LENGTH KEY=VALUE\\n``: of those about all that follow (as of git) none may say where or how long a file is."""
    while content:
        digits, _, _ = content.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 7 else 0
        record, content = content[:length], content[length:]
        key, separator, value = record[len(digits) + 1 : -1].partition(b"=")
        if not separator or len(record) != length or not record.endswith(b"\n"):
            raise InvalidField("bundle", "an extended header cannot be read")
        if key.startswith(b"GNU.sparse") or (is_global and key in (b"path", b"size")):
            raise InvalidField("bundle", f"an extended header says {escaped(key.decode('utf-8', 'surrogateescape'))}")
        if key == b"path":
            extended.name = _until_nul(value)
        elif key == b"size":
            extended.size = _number(value, "bundle", base=10)


def _require_end(stream: Seekable) -> None:
    """Behind the first empty block a second one, and nothing but such: tars fill up to the size of their tapes."""
    block = stream.read(BLOCK)
    while block:
        if len(block) % BLOCK or block.strip(b"\0"):
            raise InvalidField("bundle", "must end with two empty blocks and nothing after them")
        block = stream.read(CHUNK)
        if not block:
            return
    raise InvalidField("bundle", "must end with two empty blocks and nothing after them")


def _until_nul(field: bytes) -> bytes:
    content, _, rest = field.partition(b"\0")
    if rest.strip(b"\0"):
        raise InvalidField("bundle", "a name must not hold NUL")
    return content


def _number(field: bytes, name: str, base: int = 8) -> int:
    """Read an octal number, or a large one in base 256; tar has both, and decimal ones in extended headers."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits or len(digits) > 20 or digits.strip(b"0123456789"[:base]):
        raise InvalidField(name or "bundle", "a number in its header cannot be read")
    return int(digits, base)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise InvalidField(ascii(name), "names must be UTF-8") from None
