"""What a bundle is, for the side that makes one and the side that unpacks it: names, entries, allowances.

A bundle is an uncompressed tar archive (GNU format, so that every tar reads it) in which equal trees are equal bytes:
entries strictly ascending by path, owner and time 0, mode 0644 or 0755. It holds regular files and folders only, and is
sent in parts of ``limits.PART_BYTES``, each named by its sha256. So we write them; read is what any tar writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from marketplace.domain.errors import InvalidField
from marketplace.domain.limits import MAX_DEPTH, MAX_FILES, MAX_NAME_BYTES, MAX_NAME_PART_BYTES

BLOCK: Final = 512
CHUNK: Final = 1 << 20
FILE, FOLDER, LONG_NAME = b"0", b"5", b"L"
END: Final = bytes(2 * BLOCK)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder. ``source`` is where its content is when making, ``offset`` when unpacking."""

    parts: tuple[str, ...]
    is_folder: bool
    is_executable: bool = False
    size: int = 0
    source: str | None = None
    offset: int = 0
    inode: tuple[int, int] | None = None
    """Of a file with several names: which file it is."""

    @property
    def name(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file or folder that was not delivered, by its (escaped) name in the bundle, and why not."""

    path: str
    why: str


Trouble = Callable[[LeftOut], None]


class Allowance:
    """What all bundles of one job may hold together. It shrinks as they are made or unpacked.

    ``bytes`` counts contents by their apparent size: a sparse file is sent, and unpacks, in full.
    """

    def __init__(self, limit_bytes: int, limit_entries: int = MAX_FILES) -> None:
        self._limit_bytes, self._limit_entries = limit_bytes, limit_entries
        self.bytes, self.entries = limit_bytes, limit_entries

    def take(self, size: int, entries: int = 0) -> None:
        """Take that much; raise InvalidField where less is left."""
        if entries > self.entries:
            raise InvalidField("bundle", f"must not hold more than {self._limit_entries} files and folders")
        if size > self.bytes:
            held = self._limit_bytes - self.bytes + size
            raise InvalidField("bundle", f"holds {held} bytes of files; at most {self._limit_bytes} are allowed")
        self.bytes -= size
        self.entries -= entries


def checked_name(name: str) -> tuple[str, ...]:
    """Split a name into its parts, refusing whatever could lead, or look as if it led, anywhere else."""
    shown = name if name.isprintable() else ascii(name)
    parts = tuple(name.split("/"))
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidField(shown, "names must be relative, without empty parts, '.' or '..'")
    if any(is_awkward(letter) for letter in name):
        raise InvalidField(shown, "names must be valid text without control characters")
    if len(parts) > MAX_DEPTH:
        raise InvalidField(shown[:80] + "…", f"must not be more than {MAX_DEPTH} folders deep")
    if len(name.encode()) > MAX_NAME_BYTES or any(len(part.encode()) > MAX_NAME_PART_BYTES for part in parts):
        rule = f"names are at most {MAX_NAME_BYTES} bytes, {MAX_NAME_PART_BYTES} between slashes"
        raise InvalidField(shown[:80] + "…", rule)
    return parts


def is_awkward(letter: str) -> bool:
    """Whether it is a control character, or stands for a byte that is not UTF-8."""
    return ord(letter) < 32 or 127 <= ord(letter) < 160 or 0xD800 <= ord(letter) < 0xE000


def escaped(name: str) -> str:
    r"""A file's name as it is delivered: bytes that no bundle may name as ``\xHH``, and so every backslash.

    Nothing else is changed and no two names become one: ``codecs.escape_decode`` gives the name's bytes back.
    """
    if not any(letter == "\\" or is_awkward(letter) for letter in name):
        return name
    return "".join(map(_escaped_letter, name))


def _escaped_letter(letter: str) -> str:
    if letter != "\\" and not is_awkward(letter):
        return letter
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
