"""Outgoing transactions, written down before they are sent, so that a crash neither loses nor repeats one.

Satisfies ``chain.outbox.Outbox`` without importing it: the store and the chain do not know each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, insert, or_, select, update

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.transactions import Outgoing, SendingState
from marketplace.store.journal.engine import Database, Move, record_moves
from marketplace.store.journal.schema import TRANSACTIONS

_T = TRANSACTIONS.c
_NOWHERE: dict[str, Any] = {"block_number": None, "block_hash": None}
_Move = tuple[Outgoing, SendingState, str, dict[str, Any]]
"""A row as it is, the state that it goes to, why, and the block that it is in then."""


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
            known = self._known(connection, [one.tx_hash for one in outgoing])
            fresh = {one.tx_hash: one for one in outgoing if one.tx_hash not in known}
            if fresh:
                connection.execute(insert(TRANSACTIONS), [_values(one) for one in fresh.values()])
                notes = [
                    Move(one.tx_hash, "", one.state, note=f"{one.verb}, nonce {one.nonce}") for one in fresh.values()
                ]
                record_moves(connection, "transaction", notes)
            dropped = [row for row in known.values() if row.state is SendingState.DROPPED]
            self._move(connection, [(row, SendingState.UNMINED, "", _NOWHERE) for row in dropped])

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
        self.all_mined({tx_hash: block}, is_told=is_told)

    def all_mined(self, places: Mapping[Bytes32, BlockRef], *, is_told: bool = False) -> None:
        """The same of many, in this order, all or none: one wait for the disk."""
        with self._database.write() as connection:
            rows = self._known(connection, list(places), locks=True)
            moves: list[_Move] = []
            for tx_hash, block in places.items():
                if tx_hash not in rows:
                    raise NotFound("outgoing transaction", tx_hash)
                row = rows[tx_hash]
                place = {"block_number": block.number, "block_hash": block.hash, "is_told": row.is_told or is_told}
                is_known = row.state is SendingState.MINED and row.block_hash == block.hash
                moves.append((row, SendingState.MINED, row.why if is_known else f"block {block.number}", place))
            moves += [
                (rival, SendingState.DROPPED, f"its nonce was used by {user}", _NOWHERE)
                for rival, user in self._rivals(connection, rows.values())
            ]
            self._move(connection, moves)

    def taken_back(self, tx_hash: Bytes32) -> None:
        """Its block is none of the chain's any more: it may be mined again, and who was told how it ended is told anew. Raises NotFound."""
        with self._database.write() as connection:
            row = self._load(connection, tx_hash)
            if row.state is SendingState.MINED:
                why = f"block {row.block_number} was taken back by a reorganisation"
                self._move(connection, [(row, SendingState.UNMINED, why, _NOWHERE | {"is_told": False})])

    def dropped(self, tx_hash: Bytes32, why: str) -> None:
        """The transaction will not be sent again, unless it is mined already. Raises NotFound."""
        with self._database.write() as connection:
            row = self._load(connection, tx_hash)
            if row.state is SendingState.UNMINED:
                self._move(connection, [(row, SendingState.DROPPED, why, _NOWHERE)])

    def find(self, tx_hash: Bytes32) -> Outgoing | None:
        """The transaction, in whatever state."""
        return next(iter(self._read(_T.tx_hash == tx_hash)), None)

    def _read(self, *which: ColumnElement[bool]) -> list[Outgoing]:
        query = select(TRANSACTIONS).where(*which).order_by(_T.nonce, _T.sequence)
        with self._database.read() as connection:
            return [_outgoing(row) for row in connection.execute(query)]

    def _known(
        self, connection: Connection, tx_hashes: Sequence[Bytes32], *, locks: bool = False
    ) -> dict[Bytes32, Outgoing]:
        query = select(TRANSACTIONS).where(_T.tx_hash.in_(tx_hashes))
        found = connection.execute(query.with_for_update() if locks else query)
        return {row.tx_hash: row for row in map(_outgoing, found)}

    def _load(self, connection: Connection, tx_hash: Bytes32) -> Outgoing:
        found = self._known(connection, [tx_hash], locks=True)
        if tx_hash not in found:
            raise NotFound("outgoing transaction", tx_hash)
        return found[tx_hash]

    def _rivals(self, connection: Connection, rows: Collection[Outgoing]) -> list[tuple[Outgoing, Bytes32]]:
        """What else there is of their nonces that is not given up, each with the hash of the one whose nonce it has."""
        users = {(row.account, row.nonce): row.tx_hash for row in rows}
        same_nonce = select(TRANSACTIONS).where(
            _T.account.in_({account for account, _ in users}),
            _T.nonce.in_({nonce for _, nonce in users}),
            _T.state != SendingState.DROPPED,
        )
        found = [_outgoing(row) for row in connection.execute(same_nonce)]
        rivals = [(one, users.get((one.account, one.nonce), one.tx_hash)) for one in found]
        return [(one, user) for one, user in rivals if one.tx_hash != user]

    def _move(self, connection: Connection, moves: Sequence[_Move]) -> None:
        """Each row to its state, with the reason, and to its place. A row that stays where it is is not noted again."""
        if not moves:
            return
        noted = [
            Move(row.tx_hash, row.state, to, note=why) for row, to, why, place in moves if not _stays(row, to, place)
        ]
        record_moves(connection, "transaction", noted)
        changed = update(TRANSACTIONS).where(_T.tx_hash == bindparam("which"))
        for names, some in _by_columns(moves).items():
            columns: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
            connection.execute(changed.values(columns), some)


def _stays(row: Outgoing, to: SendingState, place: Mapping[str, Any]) -> bool:
    return row.state is to and row.block_hash == place["block_hash"]


def _by_columns(moves: Sequence[_Move]) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """The changes of rows as parameters, by which columns they are of: one statement for all of them."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row, to, why, place in moves:
        values = {"state": str(to), "why": why, **place}
        parameters = {"which": row.tx_hash} | {f"new_{name}": value for name, value in values.items()}
        found.setdefault(tuple(values), []).append(parameters)
    return found


def _values(one: Outgoing) -> dict[str, Any]:
    return asdict(one) | {"state": str(one.state), "stake": str(one.stake)}


def _outgoing(row: Row[Any]) -> Outgoing:
    return Outgoing(
        account=Address(row.account), nonce=row.nonce, name=row.name, verb=row.verb, raw=row.raw,
        tx_hash=Bytes32(row.tx_hash), since_block=row.since_block, stake=int(row.stake),
        state=SendingState(row.state), block_number=row.block_number,
        block_hash=None if row.block_hash is None else Bytes32(row.block_hash), why=row.why, is_told=row.is_told,
    )  # fmt: skip
