"""What a client has signed for leases that go on: the newest progress receipt of each serving. The part of the journal that keeps its word growing."""

from __future__ import annotations

import json
import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass

from marketplace.client.lease_events import Transaction
from marketplace.domain.ids import Bytes32
from marketplace.domain.receipts import Receipt
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import receipt_from_wire, receipt_to_wire

SCHEMA = """
CREATE TABLE IF NOT EXISTS instalments (
  lease TEXT NOT NULL, opened_at INTEGER NOT NULL, used_seconds INTEGER NOT NULL, document TEXT NOT NULL, signature TEXT NOT NULL,
  is_posted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (lease, opened_at)
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Instalment:
    """A progress receipt that we signed."""

    receipt: Receipt
    signature: str
    is_posted: bool


class Instalments:
    """Rows in a journal's file. Safe for several threads and processes: a serving's seconds only grow."""

    def __init__(self, db: sqlite3.Connection, lock: AbstractContextManager[object], transaction: Transaction) -> None:
        self._db, self._lock, self._transaction = db, lock, transaction

    def add(self, receipt: Receipt, signature: str) -> None:
        """Write our signature down before it is handed out. One over fewer seconds than another changes nothing."""
        document = json.dumps(receipt_to_wire(receipt), sort_keys=True)
        with self._transaction():
            self._db.execute(
                "INSERT INTO instalments VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET used_seconds = excluded.used_seconds,"
                " document = excluded.document, signature = excluded.signature, is_posted = 0"
                " WHERE excluded.used_seconds > used_seconds",
                (receipt.lease, receipt.opened_at, receipt.used_seconds, document, signature),
            )

    def newest(self, lease: Bytes32, opened_at: UnixTime) -> Instalment | None:
        """The one over the most seconds."""
        with self._lock:
            row = self._db.execute(
                "SELECT * FROM instalments WHERE lease = ? AND opened_at = ?", (lease, opened_at)
            ).fetchone()
        if row is None:
            return None
        return Instalment(receipt_from_wire(json.loads(row["document"])), row["signature"], bool(row["is_posted"]))

    def mark_posted(self, receipt: Receipt) -> None:
        """The gateway has our signature under this one."""
        with self._transaction():
            self._db.execute(
                "UPDATE instalments SET is_posted = 1 WHERE lease = ? AND opened_at = ? AND used_seconds = ?",
                (receipt.lease, receipt.opened_at, receipt.used_seconds),
            )
