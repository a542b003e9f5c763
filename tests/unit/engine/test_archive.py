"""Where rounds are kept: each page once, and never a document without its pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.ids import Sha256
from marketplace.domain.units import UnixTime
from marketplace.store.blobs import FolderBlobs
from scheduler.archive import Archive
from scheduler.engine.documents.reading import SnapshotReader
from scheduler.engine.documents.snapshot import Snapshot
from scripts.bench.generators import Uniform

MARKET = Uniform(orders=120, offers=30)


class Noted:
    """Who writes down what is kept; out of order when it has been told of so many blobs."""

    def __init__(self, works_for: int = 1_000) -> None:
        self.names, self.works_for = list[Sha256](), works_for

    def __call__(self, name: Sha256, size: int, at: UnixTime) -> None:
        if len(self.names) == self.works_for:
            raise StoreUnavailable("journal")
        self.names.append(name)


def _read(blobs: FolderBlobs, snapshot: Snapshot) -> Snapshot:
    return SnapshotReader(blobs.read).read(blobs.read(snapshot.sha256, 1 << 20))


def test_a_page_that_two_rounds_share_is_stored_once(tmp_path: Path) -> None:
    """The later round stores its new page and its document, and says how much that is; both rounds can be read."""
    blobs, noted = FolderBlobs(tmp_path), Noted()
    archive, first = Archive(blobs, noted), MARKET.snapshot(1)
    whole = archive.keep(first)
    second = MARKET.churned(first, 2)
    more = archive.keep(second)
    (fresh,) = second.pages.keys() - first.pages.keys()

    assert noted.names == [*first.pages, first.sha256, fresh, second.sha256]
    assert whole == sum(map(len, first.pages.values())) + len(first.canonical())
    assert more == len(second.pages[fresh]) + len(second.canonical())
    assert [_read(blobs, one).sha256 for one in (first, second)] == [first.sha256, second.sha256]


@pytest.mark.parametrize("works_for", range(3))
def test_what_is_cut_off_between_pages_and_document_loses_nothing(tmp_path: Path, works_for: int) -> None:
    """Wherever it stops: no document is there without its pages, and whoever keeps the round again, this process or another, has all of it."""
    blobs, noted, first = FolderBlobs(tmp_path), Noted(works_for), MARKET.snapshot(1)
    archive, pages = Archive(blobs, noted), len(first.pages)
    snapshot = MARKET.churned(first, 2)
    with pytest.raises(StoreUnavailable):
        archive.keep(snapshot)

    assert (pages, len(snapshot.pages)) == (1, 2)
    assert not blobs.has(snapshot.sha256) or all(map(blobs.has, snapshot.pages))
    noted.works_for = 1_000
    for again in (archive, Archive(blobs, noted)):
        again.keep(snapshot)
        assert _read(blobs, snapshot).sha256 == snapshot.sha256
        assert {*snapshot.pages, snapshot.sha256} <= set(noted.names)


def test_a_page_that_was_deleted_is_stored_again(tmp_path: Path) -> None:
    """Whoever empties the folder loses the rounds that were in it, and not those that come after."""
    blobs, noted, first = FolderBlobs(tmp_path), Noted(), MARKET.snapshot(1)
    archive = Archive(blobs, noted)
    archive.keep(first)
    for page in first.pages:
        blobs.remove(page)
    second = MARKET.churned(first, 2)
    archive.keep(second)

    assert first.pages.keys() < second.pages.keys()
    assert _read(blobs, second).sha256 == second.sha256
