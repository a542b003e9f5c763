"""What the chain did about a client's leases, and how far that has been read: the part of the journal that blocks can take back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, get_args

from marketplace.domain import events as e
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import ZERO_BYTES32, Bytes32
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import order_from_wire

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


LeaseEvent = (
    e.LeaseOpened | e.FillRefused | e.SettlementRefused | e.OrderCancelled | e.LeaseSettled | e.LeaseClaimed | e.LeaseFinalized
    | e.LeaseTerminated | e.LeaseDeclined | e.LeaseExpired | e.LeaseDisputed | e.LeaseRuled | e.LeaseLapsed | e.LeaseAssigned
)  # fmt: skip
"""An event of the market about one lease or order."""

_KINDS: dict[str, type[LeaseEvent]] = {kind.__name__: kind for kind in get_args(LeaseEvent)}
_KEPT_ELSEWHERE = frozenset({"ref", "lease", "order"})
"""In columns of their own; the order of an opening is with the orders."""


def lease_of(event: LeaseEvent) -> Bytes32:
    """The lease, which is the order, that the event is about."""
    return event.order if isinstance(event, e.FillRefused) else event.lease


class LeaseEvents:
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

    def take_in(self, seen: BlockRef | None, moves: Iterable[LeaseEvent], blocks: Sequence[BlockRef]) -> bool:
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

    def mend(self, moves: Iterable[LeaseEvent], first: int, upto: int) -> int:
        """Keep events that had been missed up to the block ``upto``; how many were kept or dropped.

        From block ``first`` on these are all that there are: others that are kept of those blocks never happened, nor did any above the cursor.
        """
        found = list(moves)
        real = {(event.ref.block.hash, event.ref.log_index) for event in found}
        with self._transaction():
            kept = self._rows(
                "SELECT block_hash, log_index FROM moves"
                " WHERE number BETWEEN ? AND ? OR number >= (SELECT next_block FROM cursor)", first, upto,
            )  # fmt: skip
            false = [(row[0], row[1]) for row in kept if (row[0], row[1]) not in real]
            self._db.executemany("DELETE FROM moves WHERE block_hash = ? AND log_index = ?", false)
            return len(false) + self._keep(found)

    def of(self, lease: Bytes32) -> list[LeaseEvent]:
        """What the chain did about this lease, in its order."""
        return [
            _event(row)
            for row in self._rows(
                "SELECT moves.*, document FROM moves LEFT JOIN orders ON orders.id = lease WHERE lease = ? ORDER BY number, log_index",
                lease,
            )
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

    def _keep(self, moves: Iterable[LeaseEvent]) -> int:
        rows = [_row(event) for event in moves]
        if not rows:
            return 0
        return self._db.executemany(
            "INSERT INTO moves VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
        ).rowcount


def _block(row: sqlite3.Row) -> BlockRef:
    return BlockRef(row[0], Bytes32(row[1]), UnixTime(row[2]))


def _row(event: LeaseEvent) -> tuple[object, ...]:
    """The event as its columns; what the chain's log says beside where it stands is one JSON object."""
    block = event.ref.block
    told = {name: _plain(getattr(event, name)) for name in _told_by(type(event))} | {"tx_hash": event.ref.tx_hash}
    return (
        block.hash, event.ref.log_index, block.number, lease_of(event), type(event).__name__, block.timestamp, json.dumps(told),
    )  # fmt: skip


def _event(row: sqlite3.Row) -> LeaseEvent:
    kind, told = _KINDS[row["name"]], json.loads(row["amounts"])
    block = BlockRef(row["number"], Bytes32(row["block_hash"]), UnixTime(row["at"]))
    # Older books do not say in which transaction.
    facts: dict[str, Any] = {"ref": e.LogRef(block, Bytes32(told.get("tx_hash", ZERO_BYTES32)), row["log_index"])}
    facts |= {name: Refusal[told[name]] if name == "reason" else told[name] for name in _told_by(kind)}
    if kind is e.FillRefused:
        return e.FillRefused(order=Bytes32(row["lease"]), **facts)
    if kind is e.LeaseOpened:
        facts["order"] = order_from_wire(json.loads(row["document"]))
    return kind(**facts | {"lease": Bytes32(row["lease"])})


def _told_by(kind: type[LeaseEvent]) -> list[str]:
    return [name for name in kind.__dataclass_fields__ if name not in _KEPT_ELSEWHERE]


def _plain(value: object) -> int | str:
    if isinstance(value, Refusal):
        return value.name
    return value if isinstance(value, int) else str(value)
