"""Reading an image's layers: tar archives by whoever made them, as Docker, BuildKit, umoci, GNU tar and Python write them.

Written here instead of taken from ``tarfile``, which allocates by sizes that it read: a packed kilobyte can claim a header of
gigabytes. What is not known is refused, never guessed, and one entry is in memory however many there are.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Final

import zstandard

from marketplace.domain.ids import Sha256
from marketplace.images.manifests import refused

BLOCK: Final = 512
CHUNK: Final = 1 << 20
MAX_NAME_BYTES: Final = 4_000
MAX_PART_BYTES: Final = 255
MAX_DEPTH: Final = 128
MAX_LINK_BYTES: Final = 4_000
MAX_EXTENDED_BYTES: Final = 1 << 20
"""Of one extended header: names have 4,000 bytes, the rest are attributes of files."""
_MAX_EXTENDED: Final = 8
"""Extended headers before one entry."""
_ZSTD_WINDOW: Final = 1 << 27
_MAGICS: Final = (b"ustar\x0000", b"ustar  \0", bytes(8))

Spend = Callable[[int], None]
"""Told of all that is unpacked before it is used; raises ImageUnusable where that is too much, or takes too long."""


class EntryKind(StrEnum):
    """What an entry makes."""

    FILE = "file"
    FOLDER = "folder"
    SYMBOLIC_LINK = "symbolic link"
    HARD_LINK = "hard link"
    DEVICE = "device"
    """Or a fifo: left out, because a sandbox has devices of its own."""


_KINDS: Final = {
    b"0": EntryKind.FILE, b"\0": EntryKind.FILE, b"7": EntryKind.FILE, b"1": EntryKind.HARD_LINK,
    b"2": EntryKind.SYMBOLIC_LINK, b"3": EntryKind.DEVICE, b"4": EntryKind.DEVICE, b"5": EntryKind.FOLDER,
    b"6": EntryKind.DEVICE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """One entry. Names are bytes, as the file system has them."""

    parts: tuple[bytes, ...]
    """None for the root folder itself."""
    kind: EntryKind
    mode: int
    size: int
    target: bytes
    """Of a link, as it stands there."""

    @property
    def name(self) -> str:
        """For messages."""
        return ascii(b"/".join(self.parts))[1:][:200]


@dataclass(slots=True)
class _Extended:
    """What the headers before an entry say of it."""

    name: bytes | None = None
    target: bytes | None = None
    size: int | None = None


class LayerStream:
    """An unpacked layer as it is read: once, in order, hashed, and counted before it is believed."""

    def __init__(self, plain: BinaryIO, spend: Spend) -> None:
        self._plain, self._spend = plain, spend
        self._hash = hashlib.sha256()
        self._left = 0
        """Of the content of the newest entry, with its padding."""

    def entries(self) -> Iterator[LayerEntry]:
        """Each entry, whose content may be read until the next one is asked for. Raises ImageUnusable."""
        while block := self._header():
            extended, count = _Extended(), 0
            while block[156:157] in b"xgLK":
                count += 1
                if count > _MAX_EXTENDED:
                    raise refused("a layer has one extended header after the other")
                self._extend(extended, block)
                following = self._header()
                if following is None:
                    raise refused("a layer ends after an extended header")
                block = following
            entry = _entry(block, extended)
            self._left = entry.size + -entry.size % BLOCK
            yield entry
            self._skip()

    def content(self, size: int) -> Iterator[bytes]:
        """The newest entry's content."""
        while size:
            piece = self._read(min(CHUNK, size))
            size -= len(piece)
            self._left -= len(piece)
            yield piece

    def verify(self, diff_id: Sha256) -> None:
        """Read what is left, and raise ImageUnusable where all of it was not what it should be."""
        while piece := self._take(CHUNK):
            del piece
        if self._hash.hexdigest() != diff_id:
            raise refused(f"a layer unpacks to other bytes than sha256:{diff_id}")

    def _skip(self) -> None:
        while self._left:
            self._left -= len(self._read(min(CHUNK, self._left)))

    def _read(self, size: int) -> bytes:
        """So many bytes, at most; none only where the archive is cut short, which is refused."""
        piece = self._take(size)
        if not piece:
            raise refused("a layer is cut short")
        return piece

    def _take(self, size: int) -> bytes:
        try:
            piece = self._plain.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as exc:
            raise refused(f"a layer cannot be unpacked: {exc}") from None
        self._spend(len(piece))
        self._hash.update(piece)
        return piece

    def _exactly(self, size: int) -> bytes:
        content = bytearray()
        while len(content) < size:
            content += self._read(size - len(content))
        return bytes(content)

    def _header(self) -> bytes | None:
        """The next header; None at the end, which is an empty block or nothing."""
        first = self._take(BLOCK)
        if not first:
            return None
        block = first + (self._exactly(BLOCK - len(first)) if len(first) < BLOCK else b"")
        if block == bytes(BLOCK):
            return None
        if _number(block[148:156]) != sum(block[:148]) + sum(block[156:]) + 8 * ord(" "):
            raise refused("a layer is no tar archive: a header's checksum is wrong")
        if block[257:265] not in _MAGICS:
            raise refused("a layer must be a tar archive in GNU, POSIX or pax format")
        return block

    def _extend(self, extended: _Extended, block: bytes) -> None:
        """Take in a header that is about the entry after it; of one about all that follow, nothing but that it is there."""
        kind, size = block[156:157], _number(block[124:136])
        most = MAX_EXTENDED_BYTES if kind in b"xg" else MAX_NAME_BYTES + 1
        if size > most:
            raise refused(f"an extended header of a layer has {size} bytes; at most {most} are read")
        content = self._exactly(size + -size % BLOCK)[:size]
        if kind == b"L":
            extended.name = content.rstrip(b"\0")
        elif kind == b"K":
            extended.target = content.rstrip(b"\0")
        elif kind == b"x":
            _read_records(extended, content)


@contextmanager
def opened_layer(packed: BinaryIO, compression: str, spend: Spend) -> Iterator[LayerStream]:
    """A layer as it is packed, ready to be read. ``compression``: gzip, zstd or none."""
    with _plain(packed, compression) as plain:
        yield LayerStream(plain, spend)


def _plain(packed: BinaryIO, compression: str) -> AbstractContextManager[BinaryIO]:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=packed)  # type: ignore[return-value]  # a reader of bytes like any other
    if compression == "zstd":
        unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        return io.BufferedReader(unpacker.stream_reader(packed, read_across_frames=True), CHUNK)
    return packed


def _entry(block: bytes, extended: _Extended) -> LayerEntry:
    kind = _KINDS.get(block[156:157])
    if kind is None:
        raise refused(f"a layer has an entry of kind {ascii(block[156:157])[1:]}, which is not known here")
    name = _name_in(block) if extended.name is None else extended.name
    if block[156:157] == b"\0" and name.endswith(b"/"):
        kind = EntryKind.FOLDER
    target = _until_nul(block[157:257]) if extended.target is None else extended.target
    size = _number(block[124:136]) if extended.size is None else extended.size
    if kind in (EntryKind.SYMBOLIC_LINK, EntryKind.HARD_LINK):
        if not 0 < len(target) <= MAX_LINK_BYTES:
            raise refused(f"a link of a layer leads to a name of {len(target)} bytes")
        if b"\0" in target:
            raise refused(f"a link of a layer leads to {ascii(target)[1:][:200]}")
    return LayerEntry(
        parts_of(name), kind, _number(block[100:108]) & 0o777, size if kind is EntryKind.FILE else 0, target
    )


def parts_of(name: bytes) -> tuple[bytes, ...]:
    """The parts of a name below the image's root. Raises ImageUnusable for what could lead anywhere else, or nowhere."""
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if b".." in parts or b"\0" in name:
        raise refused(f"a layer names {ascii(name)[1:][:200]}")
    if len(name) > MAX_NAME_BYTES or len(parts) > MAX_DEPTH or any(len(part) > MAX_PART_BYTES for part in parts):
        raise refused(f"a layer names something too long or too deep: {ascii(name)[1:][:80]}…")
    return parts


def _name_in(block: bytes) -> bytes:
    name = _until_nul(block[:100])
    prefix = _until_nul(block[345:500]) if block[257:265] == _MAGICS[0] else b""
    return prefix + b"/" + name if prefix else name


def _read_records(extended: _Extended, content: bytes) -> None:
    """pax records, ``LENGTH KEY=VALUE\\n``."""
    place = 0
    while place < len(content):
        digits, _, _ = content[place : place + 8].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = content[place : place + length]
        key, separator, value = record[len(digits) + 1 : -1].partition(b"=")
        if not separator or len(record) != length or not record.endswith(b"\n"):
            raise refused("an extended header of a layer cannot be read")
        if key.startswith(b"GNU.sparse"):
            raise refused("a layer has a sparse file")
        if key == b"path":
            extended.name = value
        elif key == b"linkpath":
            extended.target = value
        elif key == b"size":
            extended.size = _number(value, base=10)
        place += length


def _until_nul(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes, base: int = 8) -> int:
    """Read an octal number, or a large one in base 256; nothing stands for 0."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if len(digits) > 20 or digits.strip(b"0123456789"[:base]):
        raise refused("a number in a layer's header cannot be read")
    return int(digits, base) if digits else 0
