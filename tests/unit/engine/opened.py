"""Snapshots by hand: read back, taken apart, changed, and put together again."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from marketplace.domain.canonical import canonical_json
from marketplace.domain.ids import Sha256, sha256_of
from scheduler.engine.documents.reading import SnapshotReader
from scheduler.engine.documents.records import TABLES
from scheduler.engine.documents.snapshot import Snapshot

Tables = dict[str, Any]


def reader_of(*snapshots: Snapshot) -> SnapshotReader:
    """Of these snapshots' pages."""
    return SnapshotReader(_fetching({name: page for one in snapshots for name, page in one.pages.items()}))


def read_back(snapshot: Snapshot) -> Snapshot:
    """From its document and pages alone."""
    return reader_of(snapshot).read(snapshot.canonical())


def tables_of(snapshot: Snapshot) -> Tables:
    """All rows of its pages; none may be gone."""
    assert all(page["gone"] == "" for page in json.loads(snapshot.canonical())["pages"])
    found: Tables = {name: [] for name in TABLES}
    for content in snapshot.pages.values():
        for name, rows in json.loads(zlib.decompress(content)).items():
            found[name] += rows
    return found


def page_of(content: bytes, gone: str = "") -> dict[str, Any]:
    """As a document lists it."""
    return {"bytes": len(content), "gone": gone, "sha256": sha256_of(content)}


def read_changed(snapshot: Snapshot, change: Callable[[dict[str, Any], Tables], object]) -> Snapshot:
    """Change the document, or its rows, and read what comes of it."""
    document, tables = json.loads(snapshot.canonical()), tables_of(snapshot)
    change(document, tables)
    return read_listing(document, [packed({name: rows for name, rows in tables.items() if rows != []})])


def read_listing(document: dict[str, Any], pages: list[bytes], gone: str = "") -> Snapshot:
    """The document, listing these pages."""
    document["pages"] = [page_of(page, gone) for page in pages]
    return SnapshotReader(_fetching({sha256_of(page): page for page in pages})).read(canonical_json(document))


def packed(rows: Mapping[str, Any]) -> bytes:
    """A page, which may hold what no document should."""
    return zlib.compress(json.dumps(rows, sort_keys=True, separators=(",", ":")).encode())


def no_page(name: Sha256, limit_bytes: int) -> bytes:
    raise AssertionError(f"nobody asks for page {name}")


def _fetching(pages: Mapping[Sha256, bytes]) -> Callable[[Sha256, int], bytes]:
    def fetch(name: Sha256, limit_bytes: int) -> bytes:
        assert len(pages[name]) <= limit_bytes
        return pages[name]

    return fetch
