"""SQLite files as clients and tools keep them: readable by their owner only, durable at each commit, one writer at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from marketplace.private_files import owners_database

WAIT_SECONDS = 10
"""How long a writer waits for another process's."""


def opened(path: Path | None, schema: str) -> sqlite3.Connection:
    """The file, with what is missing of it and of its schema; in memory without a path. Raises OSError, sqlite3.Error."""
    if path:
        owners_database(path)
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=WAIT_SECONDS)
    # FULL: what others are told must be in the file after a power cut, too.
    db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;" + schema)
    return db


@contextmanager
def transaction(db: sqlite3.Connection, lock: AbstractContextManager[object]) -> Iterator[None]:
    """All of it or nothing, with the connection's lock held. Raises sqlite3.Error."""
    with lock:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite has rolled it back already.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
