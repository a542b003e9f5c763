"""Since when a provider would have been heard: the part of the journal that lets evidence of its silence outlast a restart."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass

from marketplace.client.lease_events import Transaction
from marketplace.domain.ids import Address
from marketplace.domain.units import Seconds, UnixTime

SCHEMA = """
CREATE TABLE IF NOT EXISTS witnessed (
  provider TEXT NOT NULL, patience INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (provider, patience)
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Witnessed:
    """From when to when (block time), without a gap, somebody would have been heard."""

    since: UnixTime
    until: UnixTime


class Witnesses:
    """The newest stretch for each provider and patience. Safe for several threads and processes: the last to write is right for all."""

    def __init__(self, db: sqlite3.Connection, lock: AbstractContextManager[object], transaction: Transaction) -> None:
        self._db, self._lock, self._transaction = db, lock, transaction

    def of(self, provider: Address, patience: Seconds) -> Witnessed | None:
        """What was written down last."""
        with self._lock:
            row = self._db.execute(
                "SELECT since, until FROM witnessed WHERE provider = ? AND patience = ?", (provider, patience)
            ).fetchone()
        return None if row is None else Witnessed(UnixTime(row["since"]), UnixTime(row["until"]))

    def keep(self, provider: Address, patience: Seconds, seen: Witnessed) -> None:
        """Write it down in the place of what was there."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO witnessed VALUES (?, ?, ?, ?)", (provider, patience, seen.since, seen.until)
            )
