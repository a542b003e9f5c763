"""Files that strangers may and may not leave here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from marketplace.domain.ids import Address, Sha256
from marketplace.services.participants import Participants
from marketplace.store.blobs import FolderBlobs

PARTICIPANT_LIMIT_BYTES = 1 << 30
STRANGER_LIMIT_BYTES = 64 * 1024


class UploadDesk:
    """Takes and hands out blobs by hash."""

    def __init__(
        self, blobs: FolderBlobs, participants: Participants, *, participant_limit_bytes: int = PARTICIPANT_LIMIT_BYTES
    ) -> None:
        self._blobs, self._participants = blobs, participants
        self._participant_limit_bytes = participant_limit_bytes

    def limit_bytes(self, sender: Address, represented: Address | None = None) -> int:
        """How large a file the sender may send: who takes part in the market may send large ones, and so may its delegates."""
        takes_part = self._participants.has(sender) or (
            represented is not None and self._participants.has_delegate(represented, sender)
        )
        return self._participant_limit_bytes if takes_part else STRANGER_LIMIT_BYTES

    def keep(self, name: Sha256, content: Iterable[bytes], limit_bytes: int) -> int:
        """Keep content that hashes to ``name``; its size. Raises HashMismatch, InvalidField, StoreUnavailable."""
        return self._blobs.put(content, name, limit_bytes)

    def size(self, name: Sha256) -> int | None:
        return self._blobs.size(name)

    def open(self, name: Sha256) -> BinaryIO:
        """Raises NotFound."""
        return self._blobs.open(name)
