"""What the chain did about a client's leases, and how far that has been read: the part of the journal that blocks can take back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from marketplace.domain.ids import Bytes32
from marketplace.domain.models import BlockRef
from marketplace.domain.units import UnixTime

BLOCKS_KEPT = 160
"""Blocks remembered below the cursor: a reorganisation is followed 128 blocks back."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS moves (
  block_hash TEXT NOT NULL, log_index INTEGER NOT NULL, number INTEGER NOT NULL, lease TEXT NOT NULL,
  name TEXT NOT NULL, at INTEGER NOT NULL, amounts TEXT NOT NULL, PRIMARY KEY (block_hash, log_index)
) STRICT;
CREATE INDEX IF NOT EXISTS moves_of_lease ON moves (lease, number, log_index);
CREATE TABLE IF NOT EXISTS cursor (only INTEGER PRIMARY KEY CHECK (only = 1), next_block INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, hash TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS changes (
  job TEXT NOT NULL, event INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (job, event)
) STRICT;
CREATE TABLE IF NOT EXISTS first_block (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL) STRICT;
"""

Transaction = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Move:
    """An event of the chain about one of our leases, with the amounts that it moved."""

    block_hash: Bytes32
    log_index: int
    number: int
    """Of the block."""
    lease: Bytes32
    name: str
    """The event's name in the contract, e.g. ``LeaseSettled``."""
    at: UnixTime
    amounts: dict[str, int | str]


class Moves:
    """The moves and the cursor in a journal's file. Several processes may read the chain into one book: only who saw its cursor moves it."""

    def __init__(self, db: sqlite3.Connection, lock: AbstractContextManager[object], transaction: Transaction) -> None:
        self._db, self._lock, self._transaction = db, lock, transaction

    def next_block(self) -> int | None:
        """The first block whose events have not been read; None before the first order."""
        rows = self._rows("SELECT next_block FROM cursor")
        return int(rows[0][0]) if rows else None

    def first_block(self) -> int:
        """No event before this block is about an order of this book."""
        rows = self._rows("SELECT number FROM first_block")
        return int(rows[0][0]) if rows else 0

    def cursor(self) -> BlockRef | None:
        """The last block whose events have been read; None before the first, and in a book of an older version."""
        rows = self._rows("SELECT number, hash, at FROM blocks JOIN cursor ON number = next_block - 1")
        return _block(rows[0]) if rows else None

    def trail(self) -> list[BlockRef]:
        """The blocks below the cursor that are remembered, oldest first."""
        return [_block(row) for row in self._rows("SELECT number, hash, at FROM blocks ORDER BY number")]

    def start_at(self, block: int) -> None:
        """Begin to read events at this block, unless that was decided before."""
        with self._transaction():
            self._db.execute("INSERT INTO cursor VALUES (1, ?) ON CONFLICT DO NOTHING", (block,))
            self._db.execute("INSERT INTO first_block VALUES (1, ?) ON CONFLICT DO NOTHING", (block,))

    def take_in(self, seen: BlockRef | None, moves: Iterable[Move], blocks: Sequence[BlockRef]) -> bool:
        """Keep the events about our own leases and go on behind these blocks; False where another process has gone on from ``seen``."""
        with self._transaction():
            if self.cursor() != seen or not blocks:
                return False
            self._keep(moves)
            self._db.executemany(
                "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", [(one.number, one.hash, one.timestamp) for one in blocks]
            )  # fmt: skip
            self._db.execute("DELETE FROM blocks WHERE number < ?", (blocks[-1].number - BLOCKS_KEPT,))
            self._db.execute("UPDATE cursor SET next_block = ?", (blocks[-1].number + 1,))
        return True

    def mend(self, moves: Iterable[Move], first: int, upto: int) -> int:
        """Keep events that had been missed up to the block ``upto``; how many were kept or dropped.

        From block ``first`` on these are all that there are: others that are kept of those blocks never happened, nor did any above the cursor.
        """
        found = list(moves)
        real = {(move.block_hash, move.log_index) for move in found}
        with self._transaction():
            kept = self._rows(
                "SELECT block_hash, log_index FROM moves"
                " WHERE number BETWEEN ? AND ? OR number >= (SELECT next_block FROM cursor)", first, upto,
            )  # fmt: skip
            false = [(row[0], row[1]) for row in kept if (row[0], row[1]) not in real]
            self._db.executemany("DELETE FROM moves WHERE block_hash = ? AND log_index = ?", false)
            return len(false) + self._keep(found)

    def of(self, lease: Bytes32) -> list[Move]:
        """What the chain did about this lease, in its order."""
        return [
            _move(row) for row in self._rows("SELECT * FROM moves WHERE lease = ? ORDER BY number, log_index", lease)
        ]

    def drop_after(self, block: int) -> None:
        """Within the caller's transaction: what was read after this block never happened."""
        self._db.execute("DELETE FROM moves WHERE number > ?", (block,))
        self._db.execute("DELETE FROM blocks WHERE number > ?", (block,))
        self._db.execute("UPDATE cursor SET next_block = min(next_block, ?)", (block + 1,))

    def note_change(self, job: Bytes32, event: int) -> None:
        """Within the caller's transaction: this event of the job's history rests on what has been read up to the cursor."""
        self._db.execute("INSERT OR REPLACE INTO changes SELECT ?, ?, max(next_block - 1, 0) FROM cursor", (job, event))

    def drop_changes(self, job: Bytes32, block: int) -> frozenset[int]:
        """Within the caller's transaction: the events of the job's history that rest on blocks after this one; they rest on nothing then."""
        rows = self._rows("SELECT event FROM changes WHERE job = ? AND number > ?", job, block)
        self._db.execute("DELETE FROM changes WHERE job = ? AND number > ?", (job, block))
        return frozenset(int(row[0]) for row in rows)

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _keep(self, moves: Iterable[Move]) -> int:
        rows = [
            (one.block_hash, one.log_index, one.number, one.lease, one.name, one.at, json.dumps(one.amounts))
            for one in moves
        ]
        if not rows:
            return 0
        return self._db.executemany(
            "INSERT INTO moves VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
        ).rowcount


def _block(row: sqlite3.Row) -> BlockRef:
    return BlockRef(row[0], Bytes32(row[1]), UnixTime(row[2]))


def _move(row: sqlite3.Row) -> Move:
    return Move(
        Bytes32(row["block_hash"]), row["log_index"], row["number"], Bytes32(row["lease"]), row["name"],
        UnixTime(row["at"]), json.loads(row["amounts"]),
    )  # fmt: skip
