"""Who brought which blob, and for whom: a blob's name alone lets nobody read it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, insert, select, update

from marketplace.domain.ids import Address, Sha256
from marketplace.domain.units import UnixTime
from marketplace.store.journal.engine import Database
from marketplace.store.journal.schema import UPLOADS


class UploadTable:
    """One row for each account that brought a blob, with its size and when it came last."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self, blob: Sha256, account: Address, size: int, at: UnixTime, *, is_public: bool = False, is_strange: bool = False
    ) -> None:  # fmt: skip
        """Write down that ``account`` brought the blob at block time ``at``. What was public once stays public.

        ``is_strange``: it takes no part in the market, and the blob counts among those of all strangers.
        """
        row = (UPLOADS.c.blob == blob) & (UPLOADS.c.account == account)
        with self._database.write() as connection:
            known = connection.execute(select(UPLOADS.c.is_public).where(row)).first()
            if known is None:
                values = {"blob": blob, "account": account, "bytes": size, "at": at}
                values |= {"is_public": is_public, "is_strange": is_strange}
                connection.execute(insert(UPLOADS).values(**values))
            else:
                connection.execute(update(UPLOADS).where(row).values(at=at, is_public=known.is_public or is_public))

    def has(self, blob: Sha256, accounts: Iterable[Address]) -> bool:
        """Whether one of the accounts brought it."""
        query = select(UPLOADS.c.blob).where(UPLOADS.c.blob == blob, UPLOADS.c.account.in_(list(accounts))).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def is_public(self, blob: Sha256) -> bool:
        """Whether somebody brought it for everybody to read."""
        query = select(UPLOADS.c.blob).where(UPLOADS.c.blob == blob, UPLOADS.c.is_public).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def bytes_of_strangers(self) -> int:
        """How much all accounts together have here that take no part in the market."""
        query = select(func.coalesce(func.sum(UPLOADS.c.bytes), 0)).where(UPLOADS.c.is_strange)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def bytes_of(self, account: Address, since: UnixTime = UnixTime(0)) -> int:  # noqa: B008
        """How much the account has here, of what came at or after ``since``."""
        query = select(func.coalesce(func.sum(UPLOADS.c.bytes), 0)).where(
            UPLOADS.c.account == account, UPLOADS.c.at >= since
        )
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())
