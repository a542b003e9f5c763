"""Outgoing transactions, written down before they are sent, so that a crash neither loses nor repeats one.

Satisfies ``chain.transactions.Outbox`` without importing it: the store and the chain do not know each other.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, Bytes32
from marketplace.store.journal.engine import Database, record_move
from marketplace.store.journal.rows import OutboxRow, SendingState
from marketplace.store.journal.schema import OUTBOX


class OutboxTable:
    """Transactions by account and nonce. Two with one nonce may wait (a replacement); at most one of them is mined."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, account: Address, nonce: int, verb: str, raw: str, tx_hash: Bytes32) -> None:
        """Write down a signed transaction that is about to be broadcast; durable when this returns.

        The same one again changes nothing, unless it had been dropped: then it is on its way again."""
        with self._database.write() as connection:
            known = connection.execute(select(OUTBOX).where(OUTBOX.c.tx_hash == tx_hash)).first()
            if known is not None:
                if known.state == SendingState.DROPPED:
                    self._move(connection, _row(known), SendingState.UNMINED, None, "")
                return
            connection.execute(
                insert(OUTBOX).values(
                    account=account, nonce=nonce, verb=verb, raw=raw, tx_hash=tx_hash,
                    state=SendingState.UNMINED, why="",
                )
            )  # fmt: skip
            record_move(connection, "transaction", tx_hash, "", SendingState.UNMINED, note=f"{verb}, nonce {nonce}")

    def unmined(self, account: Address) -> list[OutboxRow]:
        """What may still have to be broadcast (again), lowest nonce first; of one nonce the oldest first."""
        query = select(OUTBOX).where(OUTBOX.c.account == account, OUTBOX.c.state == SendingState.UNMINED)
        with self._database.read() as connection:
            return [_row(row) for row in connection.execute(query.order_by(OUTBOX.c.nonce))]

    def mined(self, tx_hash: Bytes32, block_number: int) -> None:
        """The transaction is in a block; others with its nonce can never be. Raises NotFound, InvalidTransition."""
        with self._database.write() as connection:
            row = self._load(connection, tx_hash)
            if row.state is SendingState.MINED and row.block_number == block_number:
                return
            self._move(connection, row, SendingState.MINED, block_number, f"block {block_number}")
            for rival in self._rivals(connection, row):
                self._move(connection, rival, SendingState.DROPPED, None, f"its nonce was used by {tx_hash}")

    def dropped(self, tx_hash: Bytes32, why: str) -> None:
        """The transaction will not be sent again. Raises NotFound, InvalidTransition (it is mined)."""
        with self._database.write() as connection:
            row = self._load(connection, tx_hash)
            if row.state is not SendingState.DROPPED:
                self._move(connection, row, SendingState.DROPPED, None, why)

    def find(self, tx_hash: Bytes32) -> OutboxRow | None:
        """The transaction, in whatever state."""
        with self._database.read() as connection:
            found = connection.execute(select(OUTBOX).where(OUTBOX.c.tx_hash == tx_hash)).first()
        return _row(found) if found else None

    def _load(self, connection: Connection, tx_hash: Bytes32) -> OutboxRow:
        found = connection.execute(select(OUTBOX).where(OUTBOX.c.tx_hash == tx_hash).with_for_update()).first()
        if found is None:
            raise NotFound("outgoing transaction", tx_hash)
        return _row(found)

    def _rivals(self, connection: Connection, row: OutboxRow) -> list[OutboxRow]:
        same_nonce = select(OUTBOX).where(
            OUTBOX.c.account == row.account, OUTBOX.c.nonce == row.nonce, OUTBOX.c.tx_hash != row.tx_hash
        )
        found = connection.execute(same_nonce.where(OUTBOX.c.state == SendingState.UNMINED)).all()
        return [_row(rival) for rival in found]

    def _move(
        self, connection: Connection, row: OutboxRow, to: SendingState, block_number: int | None, why: str
    ) -> None:
        record_move(connection, "transaction", row.tx_hash, row.state, to, note=why)
        connection.execute(
            update(OUTBOX).where(OUTBOX.c.tx_hash == row.tx_hash).values(state=to, block_number=block_number, why=why)
        )


def _row(row: Row[Any]) -> OutboxRow:
    return OutboxRow(
        Address(row.account),
        row.nonce,
        row.verb,
        row.raw,
        Bytes32(row.tx_hash),
        SendingState(row.state),
        row.block_number,
        row.why,
    )
