"""Files that strangers may and may not leave here."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import BinaryIO

from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, Sha256
from marketplace.domain.units import UnixTime
from marketplace.services.quotas import Quotas, Reservation
from marketplace.store.blobs import BlobFile, FolderBlobs
from marketplace.store.journal.uploads import UploadTable

PARTICIPANT_LIMIT_BYTES = 1 << 30
STRANGER_LIMIT_BYTES = 64 * 1024
PUBLIC_KNOWN = 10_000
"""As many public files are remembered as such."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way: who brings it, and whether everybody may read it."""

    name: Sha256
    sender: Address
    is_public: bool
    at: UnixTime
    payer: Address | None = None
    """Whose room it takes, where that is not the sender's: of the account whose delegate the sender is."""
    is_strange: bool = False


class UploadDesk:
    """Takes and hands out blobs by hash."""

    def __init__(
        self,
        blobs: FolderBlobs,
        uploads: UploadTable,
        quotas: Quotas,
        *,
        participant_limit_bytes: int = PARTICIPANT_LIMIT_BYTES,
    ) -> None:
        self._blobs, self._uploads, self._quotas = blobs, uploads, quotas
        self._participant_limit_bytes = participant_limit_bytes
        self._public = dict[Sha256, BlobFile]()
        """Files that are known to be public."""

    def reservation(self) -> AbstractContextManager[Reservation]:
        """Room for one file, held until it is here or given up."""
        return self._quotas.reservation()

    def admit(
        self, upload: Upload, represented: Address | None, promised: int, held: Reservation
    ) -> tuple[Upload, int]:
        """The upload with who answers for it, and how large it may be, by what that account has at stake; its room is held from now on.

        Raises OverQuota for one that promises to be larger than its room. What is larger than anybody may send at once is another
        matter: whoever reads the body says so.
        """
        payer = self._quotas.payer_of(upload.sender, represented)
        most = STRANGER_LIMIT_BYTES if payer.is_strange else self._participant_limit_bytes
        limit_bytes = self._quotas.reserve(held, payer, promised, most, upload.at)
        return replace(upload, payer=payer.account, is_strange=payer.is_strange), limit_bytes

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
        found = self._blobs.look(name)
        if found is None or not (self._is_public(name, found) or (reader and self._uploads.has(name, (reader,)))):
            raise NotFound("blob", name)
        return found.size

    def size_of(self, name: Sha256) -> int:
        """The size of a file whose reader was let in before. Raises NotFound."""
        size = self._blobs.size(name)
        if size is None:
            raise NotFound("blob", name)
        return size

    def open(self, name: Sha256) -> BinaryIO:
        """Raises NotFound."""
        return self._blobs.open(name)

    def _is_public(self, name: Sha256, found: BlobFile) -> bool:
        """What is public stays so as long as there is this very file: one that is deleted and brought again need not be."""
        if self._public.get(name) == found:
            return True
        if not self._uploads.is_public(name):
            return False
        if len(self._public) >= PUBLIC_KNOWN:
            self._public.clear()
        self._public[name] = found
        return True

    def _note(self, upload: Upload, size: int) -> None:
        """Charged to who answers for it, and there for both."""
        payer = upload.payer or upload.sender
        told = {"is_public": upload.is_public, "is_strange": upload.is_strange}
        self._uploads.note(upload.name, payer, size, upload.at, **told)
        if payer != upload.sender:
            self._uploads.note(upload.name, upload.sender, 0, upload.at, **told)
