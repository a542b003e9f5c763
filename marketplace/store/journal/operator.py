"""The operator's journal, shared by gateway, indexer and scheduler.

What is in here was accepted: it is durable before anybody is told so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.orders import SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedReason
from marketplace.domain.rounds import RoundSums
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.domain.wire import order_from_wire
from marketplace.store.journal.answers import AnswerTable
from marketplace.store.journal.engine import Database, history_of, next_number, record_move
from marketplace.store.journal.intake import OrderIntake, keep_orders
from marketplace.store.journal.outbox import OutboxTable
from marketplace.store.journal.receipts import ReceiptTable
from marketplace.store.journal.rows import (
    JournalEvent,
    JournalOrder,
    JournalReceipt,
    JournalRound,
    Role,
    RoundRow,
)
from marketplace.store.journal.schema import OPERATOR_TABLES, ORDER_CHANGES, ORDERS, ROUND_SUMS, ROUNDS
from marketplace.store.journal.sessions import SessionTable
from marketplace.store.journal.uploads import UploadTable

PAGE = 500
RoundCursor = tuple[int, Bytes32]
"""A round's block and hash."""


class OperatorJournal:
    """Opened by URL: ``sqlite:///path`` or ``postgresql+driver://…``. Threads may share one, processes may not."""

    def __init__(self, url: str) -> None:
        """Open, creating what is missing. Raises StoreUnavailable, ConfigError."""
        self._database = Database(url, OPERATOR_TABLES)
        self.outbox = OutboxTable(self._database)
        """Satisfies ``chain.transactions.Outbox``."""
        self.sessions = SessionTable(self._database)
        self.uploads = UploadTable(self._database)
        """Who brought which blob."""
        answers = AnswerTable(self._database)
        self.remember, self.recall, self.forget_answers_before = answers.remember, answers.recall, answers.forget_before
        self.intake = OrderIntake(self._database)
        self._receipts = ReceiptTable(self._database)
        self.write_probe, self.kind = self._database.write_probe, self._database.kind

    def close(self) -> None:
        self._database.close()

    # Orders

    def add_order(self, signed: SignedOrder, spec: bytes, accepted_at: UnixTime) -> bool:
        """Keep an accepted order and its spec; durable when this returns.

        False where the id is known: nothing changes, and an order that was withdrawn stays withdrawn (its client signs
        another, with another salt)."""
        with self._database.write() as connection:
            if _order_row(connection, signed.id) is not None:
                return False
            keep_orders(connection, [(signed, spec, accepted_at)])
        return True

    def order(self, order_id: Bytes32) -> JournalOrder | None:
        """The order, withdrawn or not; None where it was never accepted."""
        with self._database.read() as connection:
            row = _order_row(connection, order_id)
        return _order(row) if row else None

    def orders_of(self, client: Address, after: int | None = None, limit: int = 50) -> list[JournalOrder]:
        """A client's orders, newest first. ``after``: the ``sequence`` of the last one on the page before."""
        query = select(ORDERS).where(ORDERS.c.client == client).order_by(ORDERS.c.sequence.desc()).limit(limit)
        return self._orders(query if after is None else query.where(ORDERS.c.sequence < after))

    def all_orders(self) -> Iterator[JournalOrder]:
        """Every order, by acceptance. Reads in pages, so that no transaction stays open between two of them."""
        last = 0
        while page := self._orders(
            select(ORDERS).where(ORDERS.c.sequence > last).order_by(ORDERS.c.sequence).limit(PAGE)
        ):
            yield from page
            last = page[-1].sequence

    def orders_since(self, changed: int, limit: int = PAGE) -> list[JournalOrder]:
        """Orders accepted or withdrawn after the change numbered ``changed`` (0: all), oldest change first.

        Whoever remembers the ``changed`` of the last row that it saw misses nothing: numbers are given in commit order.
        """
        return self._orders(select(ORDERS).where(ORDERS.c.changed > changed).order_by(ORDERS.c.changed).limit(limit))

    def withdraw_order(self, order_id: Bytes32, at: UnixTime) -> bool:
        """Take an order off the book for good; False where that was done before. Raises NotFound.

        The signature stays valid on the chain: only ``cancel`` ends it there."""
        with self._database.write() as connection:
            row = _order_row(connection, order_id, for_update=True)
            if row is None:
                raise NotFound("order", order_id)
            if row.withdrawn_at is not None:
                return False
            record_move(connection, "order", order_id, "accepted", "withdrawn", at=at)
            number = next_number(connection, ORDER_CHANGES)
            connection.execute(update(ORDERS).where(ORDERS.c.id == order_id).values(withdrawn_at=at, changed=number))
        return True

    def history_of_order(self, order_id: Bytes32) -> list[JournalEvent]:
        with self._database.read() as connection:
            return history_of(connection, "order", order_id)

    def _orders(self, query: Select[Any]) -> list[JournalOrder]:
        with self._database.read() as connection:
            return [_order(row) for row in connection.execute(query)]

    # Receipts

    def add_receipt(
        self, receipt: Receipt, role: Role, signature: str, at: UnixTime, ended: EndedReason | None = None
    ) -> bool:
        """Keep one side's signature under a receipt, durably, and why the job ended, where that is known; False where that side signed it before."""
        return self._receipts.add(receipt, role, signature, at, ended)

    def receipts(self, lease: Bytes32, opened_at: UnixTime | None = None) -> list[JournalReceipt]:
        """The receipts of a lease, or of one serving of it, oldest first."""
        return self._receipts.of(lease, opened_at)

    # Rounds

    def add_round(self, round_hash: Bytes32, content: bytes, block_number: int, sums: RoundSums | None = None) -> bool:
        """Keep a round by the hash under which it is posted; False where it is there."""
        with self._database.write() as connection:
            if connection.execute(select(ROUNDS.c.hash).where(ROUNDS.c.hash == round_hash)).first() is not None:
                return False
            connection.execute(insert(ROUNDS).values(hash=round_hash, content=content, block_number=block_number))
            if sums is not None:
                gains = {"client_gain": str(sums.client_gain), "provider_gain": str(sums.provider_gain)}
                row = {"hash": round_hash, "fills": sums.fills, "gpus": sums.gpus, **gains}
                connection.execute(insert(ROUND_SUMS).values(row))
        return True

    def round(self, round_hash: Bytes32) -> JournalRound | None:
        with self._database.read() as connection:
            row = connection.execute(select(ROUNDS).where(ROUNDS.c.hash == round_hash)).first()
        return JournalRound(Bytes32(row.hash), row.content, row.block_number) if row else None

    def rounds(self, after: RoundCursor | None = None, limit: int = 50) -> list[RoundRow]:
        """The rounds, those of the newest blocks first. ``after``: the last one of the page before."""
        size = func.length(ROUNDS.c.content).label("bytes")
        sums = ROUND_SUMS.c
        both = ROUNDS.outerjoin(ROUND_SUMS, sums.hash == ROUNDS.c.hash)
        columns = (
            ROUNDS.c.hash,
            ROUNDS.c.block_number,
            size,
            sums.fills,
            sums.gpus,
            sums.client_gain,
            sums.provider_gain,
        )
        query = select(*columns).select_from(both).limit(limit)
        if after is not None:
            number, name = after
            is_older = ROUNDS.c.block_number < number
            query = query.where(is_older | ((ROUNDS.c.block_number == number) & (ROUNDS.c.hash > name)))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(ROUNDS.c.block_number.desc(), ROUNDS.c.hash))
            return [RoundRow(Bytes32(row.hash), row.block_number, row.bytes, _sums(row)) for row in rows]


def _sums(row: Any) -> RoundSums | None:
    if row.fills is None:
        return None
    return RoundSums(row.fills, row.gpus, TokenUnits(int(row.client_gain)), TokenUnits(int(row.provider_gain)))


def _order_row(connection: Connection, order_id: Bytes32, *, for_update: bool = False) -> Row[Any] | None:
    query = select(ORDERS).where(ORDERS.c.id == order_id)
    return connection.execute(query.with_for_update() if for_update else query).first()


def _order(row: Row[Any]) -> JournalOrder:
    withdrawn_at = None if row.withdrawn_at is None else UnixTime(row.withdrawn_at)
    signed = SignedOrder(Bytes32(row.id), order_from_wire(row._mapping["order"]), row.signature)
    return JournalOrder(row.sequence, row.changed, signed, row.spec, UnixTime(row.accepted_at), withdrawn_at)
