"""Blobs by who may see them: those that somebody brought for everybody, and those that certain accounts brought.

To everybody else a blob is not there, whether it is or not: nobody learns by its name what others keep here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, Bytes32, Sha256
from marketplace.domain.orders import Order
from marketplace.domain.units import UnixTime
from marketplace.store.blobs import FolderBlobs
from marketplace.store.journal.uploads import UploadTable


class Holdings:
    """The blobs that some accounts brought, and the public ones."""

    def __init__(self, blobs: FolderBlobs, uploads: UploadTable, accounts: Iterable[Address]) -> None:
        self._blobs, self._uploads = blobs, uploads
        self._accounts = frozenset(accounts)

    def size(self, name: Sha256) -> int | None:
        """Size in bytes; None where there is no such blob, or none for these accounts."""
        size = self._blobs.size(name)
        if size is None or not (self._uploads.has(name, self._accounts) or self._uploads.is_public(name)):
            return None
        return size

    def read(self, name: Sha256, limit_bytes: int) -> bytes:
        """Small content, hashed again. Raises NotFound, InvalidField (too large), HashMismatch (the disk rotted)."""
        if self.size(name) is None:
            raise NotFound("blob", name)
        return self._blobs.read(name, limit_bytes)


class BlobAccess:
    """All blobs, with who brought them."""

    def __init__(self, blobs: FolderBlobs, uploads: UploadTable) -> None:
        self._blobs, self._uploads = blobs, uploads

    def of(self, accounts: Iterable[Address]) -> Holdings:
        """As these accounts see it."""
        return Holdings(self._blobs, self._uploads, accounts)

    @property
    def public(self) -> Holdings:
        """As everybody sees it."""
        return self.of(())

    def open(self, name: Sha256) -> BinaryIO:
        """The content of a blob whose reader was let in before. Raises NotFound."""
        return self._blobs.open(name)

    def publish(self, name: Sha256, account: Address, at: UnixTime) -> None:
        """Let everybody read a blob that ``account`` brought, or that was public already."""
        if not self._uploads.is_public(name):
            self._uploads.note(name, account, self._blobs.size(name) or 0, at, is_public=True)

    def use(self, names: Iterable[Sha256], subject: Bytes32) -> None:
        """An order or lease refers to these blobs: they stay as long as it goes on, and a while longer."""
        self._uploads.use(names, subject)

    def keep(self, name: Sha256, content: bytes, account: Address, at: UnixTime) -> None:
        """Keep small content that ``account`` brought."""
        self._blobs.put(content, name, len(content))
        self._uploads.note(name, account, len(content), at)


def bringers_of(order: Order, signer: Address | None) -> frozenset[Address]:
    """Whose files an order may name: its client's, and those of whoever signed it. What it says of others, they have not said."""
    return frozenset({order.client} | ({signer} if signer else set()))
