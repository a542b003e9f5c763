"""Outgoing transactions, written down before they are sent, so that a crash neither loses nor repeats one.

Satisfies ``chain.outbox.Outbox`` without importing it: the store and the chain do not know each other.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, or_, select, update

from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.models import BlockRef
from marketplace.domain.sending import Outgoing, SendingState
from marketplace.store.journal.engine import Database, record_move
from marketplace.store.journal.schema import TRANSACTIONS

_T = TRANSACTIONS.c
_NOWHERE: dict[str, Any] = {"block_number": None, "block_hash": None}


class OutboxTable:
    """Transactions by account and nonce. Several with one nonce may wait (replacements); at most one of them is mined."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def turn(self, account: Address) -> AbstractContextManager[None]:
        """The account's only writer, among all processes of this journal. Raises Conflict where another keeps it."""
        return self._database.turn(account)

    def put(self, *outgoing: Outgoing) -> None:
        """Write down signed transactions that are about to be broadcast, all or none; durable when this returns.

        The same one again changes nothing, unless it had been dropped: then it is on its way again."""
        with self._database.write() as connection:
            for one in outgoing:
                self._put(connection, one)

    def unsettled(self, account: Address, above_block: int) -> list[Outgoing]:
        """What may need care, by nonce, oldest first: unmined, or mined above that block, or not told to who wanted it."""
        is_open = or_(_T.state == SendingState.UNMINED, _T.is_told.is_(False), _T.block_number > above_block)
        return self._read(_T.account == account, _T.state != SendingState.DROPPED, is_open)

    def from_nonce(self, account: Address, nonce: int) -> list[Outgoing]:
        """Everything of this nonce and later ones, in whatever state, by nonce, oldest first."""
        return self._read(_T.account == account, _T.nonce >= nonce)

    def mined(self, tx_hash: Bytes32, block: BlockRef, *, is_told: bool = False) -> None:
        """The transaction is in that block; others with its nonce can never be. Raises NotFound.

        ``is_told``: who wanted it knows how it ended."""
        with self._database.write() as connection:
            row = self._load(connection, tx_hash)
            place = {"block_number": block.number, "block_hash": block.hash, "is_told": row.is_told or is_told}
            if row.state is SendingState.MINED and row.block_hash == block.hash:
                connection.execute(update(TRANSACTIONS).where(_T.tx_hash == tx_hash).values(place))
                return
            self._move(connection, row, SendingState.MINED, f"block {block.number}", place)
            for rival in self._rivals(connection, row):
                self._move(connection, rival, SendingState.DROPPED, f"its nonce was used by {tx_hash}", _NOWHERE)

    def taken_back(self, tx_hash: Bytes32) -> None:
        """Its block is none of the chain's any more: it may be mined again. Raises NotFound."""
        with self._database.write() as connection:
            row = self._load(connection, tx_hash)
            if row.state is SendingState.MINED:
                why = f"block {row.block_number} was taken back by a reorganisation"
                self._move(connection, row, SendingState.UNMINED, why, _NOWHERE)

    def dropped(self, tx_hash: Bytes32, why: str) -> None:
        """The transaction will not be sent again, unless it is mined already. Raises NotFound."""
        with self._database.write() as connection:
            row = self._load(connection, tx_hash)
            if row.state is SendingState.UNMINED:
                self._move(connection, row, SendingState.DROPPED, why, _NOWHERE)

    def find(self, tx_hash: Bytes32) -> Outgoing | None:
        """The transaction, in whatever state."""
        return next(iter(self._read(_T.tx_hash == tx_hash)), None)

    def _put(self, connection: Connection, one: Outgoing) -> None:
        known = connection.execute(select(TRANSACTIONS).where(_T.tx_hash == one.tx_hash)).first()
        if known is None:
            values = asdict(one) | {"state": str(one.state), "stake": str(one.stake)}
            connection.execute(insert(TRANSACTIONS).values(**values))
            record_move(connection, "transaction", one.tx_hash, "", one.state, note=f"{one.verb}, nonce {one.nonce}")
        elif known.state == SendingState.DROPPED:
            self._move(connection, _outgoing(known), SendingState.UNMINED, "", _NOWHERE)

    def _read(self, *which: ColumnElement[bool]) -> list[Outgoing]:
        query = select(TRANSACTIONS).where(*which).order_by(_T.nonce, _T.sequence)
        with self._database.read() as connection:
            return [_outgoing(row) for row in connection.execute(query)]

    def _load(self, connection: Connection, tx_hash: Bytes32) -> Outgoing:
        found = connection.execute(select(TRANSACTIONS).where(_T.tx_hash == tx_hash).with_for_update()).first()
        if found is None:
            raise NotFound("outgoing transaction", tx_hash)
        return _outgoing(found)

    def _rivals(self, connection: Connection, row: Outgoing) -> list[Outgoing]:
        same_nonce = select(TRANSACTIONS).where(
            _T.account == row.account,
            _T.nonce == row.nonce,
            _T.tx_hash != row.tx_hash,
            _T.state != SendingState.DROPPED,
        )
        return [_outgoing(rival) for rival in connection.execute(same_nonce).all()]

    def _move(self, connection: Connection, row: Outgoing, to: SendingState, why: str, place: dict[str, Any]) -> None:
        record_move(connection, "transaction", row.tx_hash, row.state, to, note=why)
        changed = update(TRANSACTIONS).where(_T.tx_hash == row.tx_hash)
        connection.execute(changed.values(state=str(to), why=why, **place))


def _outgoing(row: Row[Any]) -> Outgoing:
    return Outgoing(
        account=Address(row.account), nonce=row.nonce, name=row.name, verb=row.verb, raw=row.raw,
        tx_hash=Bytes32(row.tx_hash), since_block=row.since_block, stake=int(row.stake),
        state=SendingState(row.state), block_number=row.block_number,
        block_hash=None if row.block_hash is None else Bytes32(row.block_hash), why=row.why, is_told=row.is_told,
    )  # fmt: skip
