"""The sessions of an agent whose files are kept after their close, for whoever goes on with them: known before they run."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, insert, select

from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime
from marketplace.store.journal.engine import Database
from marketplace.store.journal.rows import ServingKey
from marketplace.store.journal.schema import WORKSPACES


class WorkspaceTable:
    """One row for each serving. How long its files are kept is counted from its close, which its serving says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ServingKey) -> None:
        """Write it down; harmless where it is known. Raises StoreUnavailable."""
        with self._database.write() as connection:
            connection.execute(delete(WORKSPACES).where(_is(key)))
            connection.execute(insert(WORKSPACES).values(lease=key[0], opened_at=key[1]))

    def forget(self, key: ServingKey) -> None:
        """Its files were handed on, or may go."""
        with self._database.write() as connection:
            connection.execute(delete(WORKSPACES).where(_is(key)))

    def has(self, key: ServingKey) -> bool:
        with self._database.read() as connection:
            return connection.execute(select(WORKSPACES.c.lease).where(_is(key))).first() is not None

    def all(self) -> list[ServingKey]:
        with self._database.read() as connection:
            rows = connection.execute(select(WORKSPACES).order_by(WORKSPACES.c.opened_at, WORKSPACES.c.lease)).all()
        return [(Bytes32(row.lease), UnixTime(row.opened_at)) for row in rows]


def _is(key: ServingKey) -> ColumnElement[bool]:
    return (WORKSPACES.c.lease == key[0]) & (WORKSPACES.c.opened_at == key[1])
