"""Files named by their sha256: specs, machine descriptions, inputs, outputs, logs.

A name is only ever given to content that hashes to it, and only once the content is on the disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from marketplace.domain.bundle_parts import PartStream
from marketplace.domain.errors import HashMismatch, InvalidField, NotFound, StoreUnavailable
from marketplace.domain.ids import Sha256, sha256, sha256_of

CHUNK_BYTES = 1 << 20
_FAN_OUT = 2
"""Hex digits per level: 256 folders of 256 folders."""


@dataclass(frozen=True, slots=True)
class BlobFile:
    """A blob's file: its size, and by what it differs from one that was kept under the same name at another time."""

    size: int
    inode: int
    written_ns: int


class FolderBlobs:
    """A local folder. Processes may share it."""

    def __init__(self, path: Path | str) -> None:
        """Open, creating it. Raises StoreUnavailable."""
        self.path = Path(path)
        self._incoming = self.path / "incoming"
        with _translated():
            self._incoming.mkdir(parents=True, exist_ok=True)
            self._sweep()

    def put(self, content: bytes | BinaryIO | Iterable[bytes], expected: Sha256, limit_bytes: int) -> int:
        """Keep content under its name; its size in bytes. On return it is on the disk; a second time changes nothing.

        Raises HashMismatch or InvalidField (more than ``limit_bytes``), leaving nothing behind, and StoreUnavailable.
        """
        name = sha256(expected)
        with _translated(), self._arriving() as (file, arriving):
            digest, size = hashlib.sha256(), 0
            for chunk in _chunks(content):
                size += len(chunk)
                if size > limit_bytes:
                    raise InvalidField("blob", f"must be at most {limit_bytes} bytes")
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != name:
                raise HashMismatch("the blob", name, digest.hexdigest())
            file.flush()
            os.fsync(file.fileno())
            _settle(arriving, self._place(name))
        return size

    def open(self, name: Sha256) -> BinaryIO:
        """The content, to be closed by the caller. Raises NotFound."""
        try:
            return self._place(name).open("rb")
        except FileNotFoundError:
            raise NotFound("blob", name) from None

    def joined(self, names: Sequence[Sha256]) -> PartStream:
        """The contents one after the other, as if they were one file, to be closed by the caller. Raises NotFound."""
        try:
            return PartStream([self._place(name) for name in names])
        except FileNotFoundError as exc:
            raise NotFound("blob", Path(str(exc.filename)).name) from None

    def read(self, name: Sha256, limit_bytes: int) -> bytes:
        """Small content, hashed again. Raises NotFound, InvalidField (too large), HashMismatch (the disk rotted)."""
        with self.open(name) as file:
            content = file.read(limit_bytes + 1)
        if len(content) > limit_bytes:
            raise InvalidField("blob", f"must be at most {limit_bytes} bytes")
        if (actual := sha256_of(content)) != name:
            raise HashMismatch("the blob", name, actual)
        return content

    def size(self, name: Sha256) -> int | None:
        """Size in bytes; None where there is no such blob."""
        found = self.look(name)
        return None if found is None else found.size

    def look(self, name: Sha256) -> BlobFile | None:
        """Which file has the name now; None where there is no such blob."""
        try:
            found = self._place(name).stat()
        except FileNotFoundError:
            return None
        return BlobFile(found.st_size, found.st_ino, found.st_mtime_ns)

    def has(self, name: Sha256) -> bool:
        return self.size(name) is not None

    def remove(self, name: Sha256) -> None:
        """Delete a blob; one that is not there is gone. Raises StoreUnavailable."""
        with _translated():
            self._place(name).unlink(missing_ok=True)

    def write_probe(self) -> None:
        """Write a file and throw it away. Raises StoreUnavailable where that is not possible."""
        with _translated(), self._arriving() as (file, _):
            file.write(b"?")
            file.flush()
            os.fsync(file.fileno())

    def _place(self, name: Sha256) -> Path:
        """Where the blob is. A name is never trusted to be one: whoever asks for ``../x`` gets InvalidField."""
        plain = sha256(name)
        return self.path / plain[:_FAN_OUT] / plain[_FAN_OUT : 2 * _FAN_OUT] / plain

    @contextmanager
    def _arriving(self) -> Iterator[tuple[BinaryIO, Path]]:
        """A file for content that is not yet proven; gone afterwards unless it was given its name."""
        with (self._incoming / ".lock").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_SH)
            with tempfile.NamedTemporaryFile(dir=self._incoming, delete=False) as file:
                arriving = Path(file.name)
                try:
                    yield file, arriving  # type: ignore[misc]  # the wrapper writes like the file it wraps
                finally:
                    arriving.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what killed writers left. Living writers share the lock: then it can wait until next time."""
        with (self._incoming / ".lock").open("w") as gate:
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            for left in self._incoming.iterdir():
                if left.name != ".lock":
                    left.unlink(missing_ok=True)


def _settle(arriving: Path, place: Path) -> None:
    """Give proven content its name, and make the name itself durable."""
    place.parent.mkdir(parents=True, exist_ok=True)
    arriving.replace(place)
    for folder in (place.parent, place.parent.parent, place.parent.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _chunks(content: bytes | BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, Iterable) and not hasattr(content, "read"):
        yield from content
    else:
        while chunk := content.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreUnavailable("blob store") from exc
