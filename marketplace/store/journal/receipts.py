"""Signed receipts, in the operator's and in each agent's journal: either alone can settle."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row, insert, select

from marketplace.domain.ids import Bytes32, sha256_of
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedReason
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import receipt_from_wire, receipt_to_wire
from marketplace.store.journal.engine import Database
from marketplace.store.journal.rows import JournalReceipt, Role
from marketplace.store.journal.schema import RECEIPTS


class ReceiptTable:
    """Receipts with one signature per side; they are added and never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, receipt: Receipt, role: Role, signature: str, at: UnixTime, ended: EndedReason | None) -> bool:
        """Keep one side's signature; False where it signed this very receipt before (the first stays)."""
        wire = receipt_to_wire(receipt)
        fingerprint = sha256_of(json.dumps(wire, sort_keys=True).encode())
        known = select(RECEIPTS.c.sequence).where(RECEIPTS.c.fingerprint == fingerprint, RECEIPTS.c.role == role)
        with self._database.write() as connection:
            if connection.execute(known).first() is not None:
                return False
            connection.execute(
                insert(RECEIPTS).values(
                    lease=receipt.lease, opened_at=receipt.opened_at, role=role, fingerprint=fingerprint,
                    receipt=wire, signature=signature, ended=ended, at=at,
                )
            )  # fmt: skip
        return True

    def of(self, lease: Bytes32, opened_at: UnixTime | None = None) -> list[JournalReceipt]:
        """The receipts of a lease, or of one serving of it, oldest first."""
        query = select(RECEIPTS).where(RECEIPTS.c.lease == lease).order_by(RECEIPTS.c.sequence)
        if opened_at is not None:
            query = query.where(RECEIPTS.c.opened_at == opened_at)
        with self._database.read() as connection:
            return [_receipt(row) for row in connection.execute(query)]


def _receipt(row: Row[Any]) -> JournalReceipt:
    ended = EndedReason(row.ended) if row.ended else None
    return JournalReceipt(row.role, receipt_from_wire(row.receipt), row.signature, UnixTime(row.at), ended)
