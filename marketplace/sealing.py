"""End-to-end encryption of a job (age, x25519): what a gateway carries of a sealed job, its operator cannot read.

A client makes a key for each job (``new_identity``). Work, inputs, outputs and log are sealed to its public half, the
recipient; after the match the client hands the key itself, sealed to the recipient in its machine description, to the
provider that serves the job. Hashes and sizes in documents are those of what is sealed: transport knows no difference.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO, Final, Protocol

import pyrage

from marketplace.domain.errors import InvalidField, MarketplaceError
from marketplace.domain.ids import Sha256
from marketplace.domain.limits import PART_BYTES
from marketplace.domain.work import Sealed, Work

_CHUNK_BYTES: Final = 1 << 16


class Source(Protocol):
    """What can be read a piece at a time."""

    def read(self, size: int, /) -> bytes: ...


def new_identity() -> str:
    """A fresh secret key: ``AGE-SECRET-KEY-1…``."""
    return str(pyrage.x25519.Identity.generate())


def recipient_of(identity: str) -> str:
    """The public half of a secret key: ``age1…``. Raises InvalidField."""
    return str(_identity(identity).to_public())


def seal(content: bytes, recipient: str) -> str:
    """Small content as armored text that only the recipient's secret key opens. Raises InvalidField for what is no recipient."""
    sealed: bytes = pyrage.encrypt(content, [_recipient(recipient)], armored=True)
    return sealed.decode()


def unseal(text: str, identity: str, field: str) -> bytes:
    """The content; raise InvalidField, naming ``field``, where this key does not open it or it was tampered with."""
    try:
        opened: bytes = pyrage.decrypt(text.encode("utf-8", "replace"), [_identity(identity)])
    except (pyrage.DecryptError, OSError) as exc:
        raise InvalidField(field, "cannot be opened with this key") from exc
    return opened


def seal_work(work: Work, recipient: str) -> Work:
    """The same work, its command and environment for whoever has the job's key. Its inputs must be sealed already."""
    return replace(work, sealed=Sealed(recipient, seal(work.opened_content(), recipient)))


def open_work(work: Work, identity: str) -> Work:
    """The same work with what was sealed in it; raise InvalidField where it is not this job's key, or what was sealed is no command."""
    if work.sealed is None:
        return work
    return work.opened_with(unseal(work.sealed.content, identity, "work.sealed.content"))


def seal_into(pieces: Iterable[bytes], stream: BinaryIO, recipient: str) -> None:
    """Seal a stream of any length into a file. Raises what reading or writing raises."""
    reader, writer = _Side(source=_Pieces(pieces)), _Side(sink=stream)
    try:
        pyrage.encrypt_io(reader, writer, [_recipient(recipient)])
    except (pyrage.EncryptError, OSError):
        _raise_own(reader, writer)
        raise


def unseal_into(source: Source, stream: BinaryIO, identity: str, field: str) -> None:
    """Open a sealed stream into a file, which is whole only when this returns: what was cut short is noticed at its end.

    Raises InvalidField, naming ``field``, where the key does not open it; and what reading or writing raises.
    """
    reader, writer = _Side(source=source), _Side(sink=stream)
    try:
        pyrage.decrypt_io(reader, writer, [_identity(identity)])
    except (pyrage.DecryptError, OSError) as exc:
        _raise_own(reader, writer)
        raise InvalidField(field, "cannot be opened with the job's key") from exc


class SealedFile:
    """A sealed bundle on the disk, read and cut as a bundle is (``bundles.Bundle``). Sealing twice gives other bytes: so it is kept."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.bytes = stream.seek(0, os.SEEK_END)

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Its bytes from ``start`` up to ``end``."""
        left = (self.bytes if end is None else min(end, self.bytes)) - start
        self._stream.seek(start)
        while left > 0 and (piece := self._stream.read(min(left, _CHUNK_BYTES))):
            left -= len(piece)
            yield piece

    def parts(self, part_bytes: int = PART_BYTES) -> tuple[Sha256, ...]:
        """The names of its parts, in order."""
        return tuple(self._name_of(start, start + part_bytes) for start in range(0, self.bytes, part_bytes))

    def _name_of(self, start: int, end: int) -> Sha256:
        digest = hashlib.sha256()
        for piece in self.pieces(start, end):
            digest.update(piece)
        return Sha256(digest.hexdigest())


class _Pieces:
    """Pieces as a stream for reading."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._left = iter(pieces), b""

    def read(self, size: int, /) -> bytes:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = piece
        taken, self._left = self._left[:size], self._left[size:]
        return taken


class _Side:
    """One end of a stream. It remembers what went wrong there: pyrage tells of it in words only."""

    def __init__(self, *, source: Source | None = None, sink: BinaryIO | None = None) -> None:
        self._source, self._sink = source, sink
        self.error: OSError | MarketplaceError | None = None

    def read(self, size: int = _CHUNK_BYTES) -> bytes:
        assert self._source is not None
        try:
            return self._source.read(size)
        except (OSError, MarketplaceError) as exc:
            self.error = exc
            raise

    def write(self, content: bytes) -> int:
        assert self._sink is not None
        try:
            return self._sink.write(content)
        except (OSError, MarketplaceError) as exc:
            self.error = exc
            raise

    def flush(self) -> None:
        if self._sink is not None:
            self._sink.flush()


def _raise_own(*sides: _Side) -> None:
    for side in sides:
        if side.error is not None:
            raise side.error


def _identity(text: str) -> pyrage.x25519.Identity:
    try:
        return pyrage.x25519.Identity.from_str(text)
    except pyrage.IdentityError as exc:
        raise InvalidField("key", "must be an age secret key") from exc


def _recipient(text: str, field: str = "recipient") -> pyrage.x25519.Recipient:
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as exc:
        raise InvalidField(field, "must be an age recipient (age1…)") from exc
