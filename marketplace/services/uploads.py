"""Files that strangers may and may not leave here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, Sha256
from marketplace.domain.units import UnixTime
from marketplace.services.participants import Participants
from marketplace.store.blobs import FolderBlobs
from marketplace.store.journal.uploads import UploadTable

PARTICIPANT_LIMIT_BYTES = 1 << 30
STRANGER_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way: who brings it, and whether everybody may read it."""

    name: Sha256
    sender: Address
    is_public: bool
    at: UnixTime


class UploadDesk:
    """Takes and hands out blobs by hash."""

    def __init__(
        self,
        blobs: FolderBlobs,
        uploads: UploadTable,
        participants: Participants,
        *,
        participant_limit_bytes: int = PARTICIPANT_LIMIT_BYTES,
    ) -> None:
        self._blobs, self._uploads, self._participants = blobs, uploads, participants
        self._participant_limit_bytes = participant_limit_bytes

    def limit_bytes(self, sender: Address, represented: Address | None = None) -> int:
        """How large a file the sender may send: who takes part in the market may send large ones, and so may its delegates."""
        takes_part = self._participants.has(sender) or (
            represented is not None and self._participants.has_delegate(represented, sender)
        )
        return self._participant_limit_bytes if takes_part else STRANGER_LIMIT_BYTES

    def keep(self, upload: Upload, content: Iterable[bytes], limit_bytes: int) -> int:
        """Keep content that hashes to its name; its size. Raises HashMismatch, InvalidField, StoreUnavailable."""
        size = self._blobs.put(content, upload.name, limit_bytes)
        self._note(upload, size)
        return size

    def kept(self, upload: Upload) -> int | None:
        """The file's size where this very sender has brought it before; others prove that they have the content."""
        size = self._blobs.size(upload.name)
        if size is None or not self._uploads.has(upload.name, (upload.sender,)):
            return None
        self._note(upload, size)
        return size

    def size(self, reader: Address | None, name: Sha256) -> int:
        """The size of a file that everybody, or this reader because it brought it, may read. Raises NotFound."""
        size = self._blobs.size(name)
        if size is None or not (self._uploads.is_public(name) or (reader and self._uploads.has(name, (reader,)))):
            raise NotFound("blob", name)
        return size

    def size_of(self, name: Sha256) -> int:
        """The size of a file whose reader was let in before. Raises NotFound."""
        size = self._blobs.size(name)
        if size is None:
            raise NotFound("blob", name)
        return size

    def open(self, name: Sha256) -> BinaryIO:
        """Raises NotFound."""
        return self._blobs.open(name)

    def _note(self, upload: Upload, size: int) -> None:
        self._uploads.note(upload.name, upload.sender, size, upload.at, is_public=upload.is_public)
