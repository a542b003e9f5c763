"""A round as files that somebody handed over: bounded work whatever lies there, and what was saved is whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from marketplace.domain.errors import InvalidField, NotFound
from scheduler.audit import files
from scheduler.audit.files import PAGES_FOLDER, PLAN_FILE, SNAPSHOT_FILE, documents_in, save_documents
from scheduler.audit.replayed import Documents
from scheduler.engine.clear import clear
from scheduler.engine.documents import reading
from scheduler.engine.documents.snapshot import Snapshot
from tests.unit.engine.markets import a_snapshot, an_offer, an_order
from tests.unit.engine.opened import no_page, reader_of


def _saved(folder: Path) -> Snapshot:
    """A round of one page."""
    snapshot = a_snapshot([an_order()], [an_offer()])
    save_documents(Documents(clear(snapshot).canonical(), snapshot.canonical(), reader_of(snapshot)), folder)
    return snapshot


def _found(folder: Path) -> Documents:
    return documents_in(folder / PLAN_FILE, folder / SNAPSHOT_FILE)


def _read(folder: Path) -> Snapshot:
    found = _found(folder)
    assert found.snapshot is not None
    return found.reader.read(found.snapshot)


def test_what_is_no_file_is_no_page(tmp_path: Path) -> None:
    """Nobody waits at a pipe that stands in a page's place, and a folder there is a page that is missing."""
    (name,) = _saved(tmp_path).pages
    page = tmp_path / PAGES_FOLDER / name
    page.unlink()
    os.mkfifo(page)
    with pytest.raises(NotFound):
        _read(tmp_path)
    page.unlink()
    page.mkdir()
    with pytest.raises(NotFound):
        _read(tmp_path)


def test_a_document_is_not_longer_than_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from strangers, packed maybe: before it is parsed it is known to be no longer than an auditor can hold."""
    snapshot = _saved(tmp_path)
    for module in (reading, files):
        monkeypatch.setattr(module, "MAX_DOCUMENT_BYTES", len(snapshot.canonical()))
    assert _read(tmp_path).sha256 == snapshot.sha256
    with (tmp_path / SNAPSHOT_FILE).open("ab") as file:
        file.write(b" " * 1_000)

    assert len(_found(tmp_path).snapshot or b"") == len(snapshot.canonical()) + 1
    with pytest.raises(InvalidField, match="must have at most"):
        reading.SnapshotReader(no_page).read(snapshot.canonical() + b" " * 1_000)


def test_what_was_cut_off_while_it_was_saved_is_saved_again(tmp_path: Path) -> None:
    """A page that a full disk left half written under its name does not spoil each later round that lists it."""
    snapshot = _saved(tmp_path)
    (name,) = snapshot.pages
    page = tmp_path / PAGES_FOLDER / name
    page.write_bytes(snapshot.pages[name][:-9])
    _saved(tmp_path)

    assert _read(tmp_path).sha256 == snapshot.sha256
