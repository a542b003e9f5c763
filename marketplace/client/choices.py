"""Which leases of a job were given up, and whose result was taken: the part of the journal that lets a job have two leases and one result."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager

from marketplace.client.lease_events import Transaction
from marketplace.domain.errors import Conflict
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime

SCHEMA = """
CREATE TABLE IF NOT EXISTS given_up (lease TEXT PRIMARY KEY, given_up_at INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS taken (of_job TEXT PRIMARY KEY, taken TEXT NOT NULL) STRICT;
"""


class Choices:
    """Marks in a journal's file. Safe for several threads and processes: what was taken first stays taken."""

    def __init__(self, db: sqlite3.Connection, lock: AbstractContextManager[object], transaction: Transaction) -> None:
        self._db, self._lock, self._transaction = db, lock, transaction

    def give_up(self, lease: Bytes32, at: UnixTime) -> None:
        """Its provider is silent. The first time stays."""
        with self._transaction():
            self.mark_given_up(lease, at)

    def mark_given_up(self, lease: Bytes32, at: UnixTime) -> None:
        """The same, within the caller's transaction."""
        self._db.execute("INSERT INTO given_up VALUES (?, ?) ON CONFLICT DO NOTHING", (lease, at))

    def forget(self, lease: Bytes32) -> None:
        """It was not given up after all: what ends it now ends the job."""
        with self._transaction():
            self._db.execute("DELETE FROM given_up WHERE lease = ?", (lease,))

    def take(self, job: Bytes32, order: Bytes32) -> None:
        """From now on the job is about this order of its. Raise Conflict where another one's result was taken before."""
        with self._transaction():
            self.mark_taken(job, order)

    def mark_taken(self, job: Bytes32, order: Bytes32) -> None:
        """The same, within the caller's transaction."""
        self._db.execute("INSERT INTO taken VALUES (?, ?) ON CONFLICT DO NOTHING", (job, order))
        if self._db.execute("SELECT taken FROM taken WHERE of_job = ?", (job,)).fetchone()[0] != order:
            raise Conflict("result of job", job)

    def release(self, job: Bytes32) -> None:
        """Within the caller's transaction: the job is about its newest order again."""
        self._db.execute("DELETE FROM taken WHERE of_job = ?", (job,))

    def jobs_with_others(self) -> list[Bytes32]:
        """The jobs that have, or had, more than the lease that they are about; and those whose provider was given up."""
        with self._lock:
            rows = self._db.execute(
                "SELECT job FROM orders LEFT JOIN given_up ON lease = orders.id GROUP BY job"
                " HAVING count(*) > 1 OR count(given_up_at) > 0"
            ).fetchall()
        return [Bytes32(row[0]) for row in rows]
