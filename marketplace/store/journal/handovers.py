"""What an agent still has to hand over of servings that are closed: it goes on with that when it is started again."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, insert, select

from marketplace.domain.ids import Bytes32
from marketplace.domain.results import EndedReason
from marketplace.domain.units import Seconds, UnixTime
from marketplace.store.journal.engine import Database
from marketplace.store.journal.rows import OwedHandover, ServingKey
from marketplace.store.journal.schema import PARTINGS


class HandoverTable:
    """One row for each serving."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, owed: OwedHandover) -> None:
        """Write it down, in the place of an earlier one of the same serving. Raises StoreUnavailable."""
        lease, opened_at = owed.key
        row = {
            "lease": lease, "opened_at": opened_at, "ended": str(owed.ended), "exit_code": owed.exit_code,
            "note": owed.note, "used_seconds": owed.used_seconds, "until": owed.until,
        }  # fmt: skip
        with self._database.write() as connection:
            connection.execute(delete(PARTINGS).where(_is(owed.key)))
            connection.execute(insert(PARTINGS).values(**row))

    def forget(self, key: ServingKey) -> None:
        """All is handed over, or given up."""
        with self._database.write() as connection:
            connection.execute(delete(PARTINGS).where(_is(key)))

    def all(self) -> list[OwedHandover]:
        with self._database.read() as connection:
            rows = connection.execute(select(PARTINGS).order_by(PARTINGS.c.until, PARTINGS.c.lease)).all()
        return [
            OwedHandover(
                (Bytes32(row.lease), UnixTime(row.opened_at)), EndedReason(row.ended), row.exit_code, row.note,
                Seconds(row.used_seconds), UnixTime(row.until),
            )
            for row in rows
        ]  # fmt: skip


def _is(key: ServingKey) -> ColumnElement[bool]:
    return (PARTINGS.c.lease == key[0]) & (PARTINGS.c.opened_at == key[1])
