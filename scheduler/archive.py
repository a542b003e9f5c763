"""Where the snapshots of rounds are kept: among the blobs, for everybody and for good."""

from __future__ import annotations

from collections.abc import Callable

from marketplace.domain.ids import Sha256
from marketplace.domain.units import UnixTime
from marketplace.store.blobs import FolderBlobs
from scheduler.engine.documents.snapshot import Snapshot


class Archive:
    """Keeps one scheduler's snapshots. A page that it kept for a former one is there already."""

    def __init__(self, blobs: FolderBlobs, note: Callable[[Sha256, int, UnixTime], object]) -> None:
        """``note`` is told of each blob that is on the disk, of its size, and of the round's time: nobody may read one that nobody has noted, and it is swept away."""
        self._blobs, self._note = blobs, note
        self._kept = set[Sha256]()

    def keep(self, snapshot: Snapshot) -> int:
        """Keep the pages, and then the document that lists them; how many bytes of it all are new. Raises StoreUnavailable."""
        stored, at = 0, snapshot.view.block.timestamp
        for name, content in snapshot.pages.items():
            # Somebody may have emptied the folder since: a page that is gone would take all later rounds with it.
            if name not in self._kept or not self._blobs.has(name):
                stored += self._put(name, content, at)
                self._kept.add(name)
        self._kept.intersection_update(snapshot.pages)
        return stored + self._put(snapshot.sha256, snapshot.canonical(), at)

    def _put(self, name: Sha256, content: bytes, at: UnixTime) -> int:
        self._blobs.put(content, name, len(content))
        self._note(name, len(content), at)
        return len(content)
