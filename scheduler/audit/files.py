"""A round as files, for another machine: with them it needs a node, and no gateway."""

from __future__ import annotations

from pathlib import Path

from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Sha256
from scheduler.audit.replayed import Documents
from scheduler.audit.round import snapshot_in
from scheduler.engine.documents.reading import MAX_DOCUMENT_BYTES, SnapshotReader

PLAN_FILE, SNAPSHOT_FILE, PAGES_FOLDER = "plan.json", "snapshot.json", "pages"


def documents_in(plan: Path, snapshot: Path) -> Documents:
    """The documents of a round; the pages are in their folder beside the snapshot. Which are missing is found when it is read."""

    def fetch(page: Sha256, limit_bytes: int) -> bytes:
        path = snapshot.parent / PAGES_FOLDER / page
        if not path.is_file():  # nor a pipe, at which one would wait for ever
            raise NotFound("page", page)
        return _start_of(path, limit_bytes)

    return Documents(
        _start_of(plan, MAX_DOCUMENT_BYTES), _start_of(snapshot, MAX_DOCUMENT_BYTES), SnapshotReader(fetch)
    )


def _start_of(path: Path, limit_bytes: int) -> bytes:
    """All of it, or so much that whoever reads it sees that it is too long."""
    with path.open("rb") as file:
        return file.read(limit_bytes + 1)


def save_documents(documents: Documents, folder: Path) -> None:
    """Each as a file of its own. A page that is there from another round is there already, if it is whole."""
    (folder / PAGES_FOLDER).mkdir(parents=True, exist_ok=True)
    for name, content in ((PLAN_FILE, documents.plan), (SNAPSHOT_FILE, documents.snapshot)):
        if content is not None:
            (folder / name).write_bytes(content)
    snapshot = snapshot_in(documents)
    for page, content in snapshot.pages.items() if snapshot else ():
        path = folder / PAGES_FOLDER / page
        if not path.is_file() or _start_of(path, len(content)) != content:
            path.write_bytes(content)
