"""Files that nobody but their owner may read: journals hold signed orders, receipts and transactions before they are sent."""

from __future__ import annotations

import os
from pathlib import Path

OWNER_ONLY = 0o600
OWNERS_FOLDER = 0o700


def owners_only(path: str | Path, flags: int) -> int:
    """An ``opener`` for ``open``: 0600 whatever the umask is, also where an older version left it readable."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, OWNER_ONLY)
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, OWNER_ONLY)
    return descriptor


def owners_database(path: Path) -> None:
    """Make the file of a database, and its folder where there is none: SQLite gives its -wal and -shm files the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=OWNERS_FOLDER)
    os.close(owners_only(path, os.O_RDWR | os.O_CREAT))
