"""Where signed transactions are kept from before their broadcast: the promise, and a file that keeps it.

The operator's and the agents' journals keep it in SQL (``store.journal.outbox``); clients and tools in the file here.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.transactions import Outgoing, SendingState
from marketplace.file_locks import file_turn
from marketplace.sqlite_files import opened, transaction

TURN_SECONDS: Final = 30.0
"""How long a process waits for its turn: another one is signing and broadcasting, which takes a second or two."""

_COLUMNS = "account, nonce, name, verb, raw, tx_hash, since_block, stake, state, block_number, block_hash, why, is_told"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS transactions (
    account TEXT NOT NULL, nonce INTEGER NOT NULL, name TEXT NOT NULL, verb TEXT NOT NULL, raw TEXT NOT NULL,
    tx_hash TEXT PRIMARY KEY, since_block INTEGER NOT NULL, stake TEXT NOT NULL, state TEXT NOT NULL,
    block_number INTEGER, block_hash TEXT, why TEXT NOT NULL, is_told INTEGER NOT NULL,
    CHECK ((state = 'mined') = (block_number IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS transactions_by_nonce ON transactions (account, nonce);
"""


class Outbox(Protocol):
    """Signed transactions, by account and nonce. What a method wrote has survived a crash when it returns."""

    def turn(self, account: Address) -> AbstractContextManager[None]:
        """The account's only writer, among all processes of this outbox, while the block lasts. Raises Conflict after TURN_SECONDS."""

    def put(self, *outgoing: Outgoing) -> None:
        """Keep signed transactions, all or none. One that is known stays as it is, but for a dropped one: it lives again."""

    def unsettled(self, account: Address, above_block: int) -> Sequence[Outgoing]:
        """What may need care, by nonce, oldest first: unmined, or mined above that block, or not told to who wanted it."""

    def from_nonce(self, account: Address, nonce: int) -> Sequence[Outgoing]:
        """Everything of this nonce and later ones, in whatever state, by nonce, oldest first."""

    def mined(self, tx_hash: Bytes32, block: BlockRef, *, is_told: bool = False) -> None:
        """It is in that block; others of its nonce never will be. May be said twice, and of another block later.

        ``is_told``: who wanted it knows how it ended."""

    def all_mined(self, places: Mapping[Bytes32, BlockRef], *, is_told: bool = False) -> None:
        """The same of many, in this order, all or none: one wait for the disk."""

    def taken_back(self, tx_hash: Bytes32) -> None:
        """Its block is none of the chain's any more: whoever was told how it ended was told too early, and is told anew."""

    def dropped(self, tx_hash: Bytes32, why: str) -> None:
        """It will not be broadcast again."""


class OutboxFile:
    """An outbox in a file of its own, or in memory for tools that end when their transaction is mined. Threads may share it."""

    def __init__(self, path: Path | None = None) -> None:
        """Open, creating what is missing. This and every method raise StoreUnavailable where the file cannot be read or written."""
        self._turns = path.with_suffix(".turn") if path else None
        self._lock, self._own_turn = threading.RLock(), threading.Lock()
        with _translated():
            self._db = opened(path, _SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def turn(self, account: Address) -> Iterator[None]:
        gate = self._turns.with_name(f"{self._turns.name}-{account[2:10]}") if self._turns else None
        with ExitStack() as held:
            with _translated():
                held.enter_context(file_turn(gate, self._own_turn, account, seconds=TURN_SECONDS))
            yield

    def put(self, *outgoing: Outgoing) -> None:
        marks = ", ".join("?" * len(_COLUMNS.split(", ")))
        revive = "UPDATE SET state = 'unmined', why = '' WHERE state = 'dropped'"
        with self._writing():
            for one in outgoing:
                self._db.execute(
                    f"INSERT INTO transactions ({_COLUMNS}) VALUES ({marks}) ON CONFLICT DO {revive}", _values(one)
                )

    def unsettled(self, account: Address, above_block: int) -> list[Outgoing]:
        return self._read(
            "account = ? AND state <> 'dropped' AND (state = 'unmined' OR is_told = 0 OR block_number > ?)",
            account, above_block,
        )  # fmt: skip

    def from_nonce(self, account: Address, nonce: int) -> list[Outgoing]:
        return self._read("account = ? AND nonce >= ?", account, nonce)

    def mined(self, tx_hash: Bytes32, block: BlockRef, *, is_told: bool = False) -> None:
        self.all_mined({tx_hash: block}, is_told=is_told)

    def all_mined(self, places: Mapping[Bytes32, BlockRef], *, is_told: bool = False) -> None:
        with self._writing():
            for tx_hash, block in places.items():
                self._mined(tx_hash, block, is_told=is_told)

    def _mined(self, tx_hash: Bytes32, block: BlockRef, *, is_told: bool) -> None:
        self._db.execute(
            "UPDATE transactions SET state = 'mined', block_number = ?, block_hash = ?, why = '',"
            " is_told = max(is_told, ?) WHERE tx_hash = ?",
            (block.number, block.hash, int(is_told), tx_hash),
        )
        self._db.execute(
            "UPDATE transactions SET state = 'dropped', block_number = NULL, block_hash = NULL, why = ?"
            " WHERE tx_hash <> ? AND state <> 'dropped' AND (account, nonce) ="
            " (SELECT account, nonce FROM transactions WHERE tx_hash = ?)",
            (used_by(tx_hash), tx_hash, tx_hash),
        )

    def taken_back(self, tx_hash: Bytes32) -> None:
        self._write("state = 'unmined', block_number = NULL, block_hash = NULL, is_told = 0 WHERE tx_hash = ?", tx_hash)

    def dropped(self, tx_hash: Bytes32, why: str) -> None:
        self._write("state = 'dropped', why = ? WHERE tx_hash = ? AND state = 'unmined'", why, tx_hash)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _translated(), transaction(self._db, self._lock):
            yield

    def _write(self, change: str, *values: object) -> None:
        with self._writing():
            self._db.execute(f"UPDATE transactions SET {change}", values)

    def _read(self, which: str, *values: object) -> list[Outgoing]:
        with self._lock, _translated():
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM transactions WHERE {which} ORDER BY nonce, rowid", values
            ).fetchall()
        return [_outgoing(row) for row in rows]


def used_by(tx_hash: Bytes32) -> str:
    """Why a rival is dropped."""
    return f"its nonce was used by {tx_hash}"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as exc:
        raise StoreUnavailable("outbox") from exc


def _values(one: Outgoing) -> tuple[object, ...]:
    return (
        one.account, one.nonce, one.name, one.verb, one.raw, one.tx_hash, one.since_block, str(one.stake),
        str(one.state), one.block_number, one.block_hash, one.why, int(one.is_told),
    )  # fmt: skip


def _outgoing(row: tuple[object, ...]) -> Outgoing:
    account, nonce, name, verb, raw, tx_hash, since, stake, state, number, block_hash, why, is_told = row
    return Outgoing(
        Address(str(account)), int(str(nonce)), str(name), str(verb), str(raw), Bytes32(str(tx_hash)), int(str(since)),
        int(str(stake)), SendingState(str(state)), None if number is None else int(str(number)),
        None if block_hash is None else Bytes32(str(block_hash)), str(why), bool(is_told),
    )  # fmt: skip
