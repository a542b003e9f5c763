"""Who brought which blob, and for whom: a blob's name alone lets nobody read it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, func, insert, select, update

from marketplace.domain.ids import Address, Bytes32, Sha256
from marketplace.domain.units import UnixTime
from marketplace.store.journal.engine import Database
from marketplace.store.journal.schema import UPLOADS, USES

_AT_ONCE = 200
UNUSED_SECONDS = 86_400
"""How long a blob stays to which nothing refers, in block time."""


class UploadTable:
    """One row for each account that brought a blob, with its size and when it came last."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self, blob: Sha256, account: Address, size: int, at: UnixTime, *, is_public: bool = False, is_strange: bool = False,
        for_good: bool = False,
    ) -> None:  # fmt: skip
        """Write down that ``account`` brought the blob at block time ``at``. What was public once stays public.

        ``is_strange``: it takes no part in the market, and the blob counts among those of all strangers. Unless it is ``for_good``,
        it goes after ``UNUSED_SECONDS`` where nothing refers to it.
        """
        until = None if for_good else UnixTime(at + UNUSED_SECONDS)
        row = (UPLOADS.c.blob == blob) & (UPLOADS.c.account == account)
        with self._database.write() as connection:
            known = connection.execute(select(UPLOADS.c.is_public, UPLOADS.c.keep_until).where(row)).first()
            if known is None:
                values = {"blob": blob, "account": account, "bytes": size, "at": at}
                values |= {"is_public": is_public, "is_strange": is_strange, "keep_until": until}
                connection.execute(insert(UPLOADS).values(**values))
            else:
                kept = None if known.keep_until is None or until is None else max(known.keep_until, until)
                changed = {"at": at, "is_public": known.is_public or is_public, "keep_until": kept}
                connection.execute(update(UPLOADS).where(row).values(**changed))

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

    # How long blobs stay

    def use(self, blobs: Iterable[Sha256], subject: Bytes32) -> None:
        """Write down that an order or lease refers to these blobs."""
        names = sorted(set(blobs))
        with self._database.write() as connection:
            known = {row.blob for row in connection.execute(select(USES.c.blob).where(USES.c.subject == subject))}
            fresh = [{"blob": blob, "subject": subject} for blob in names if blob not in known]
            if fresh:
                connection.execute(insert(USES), fresh)

    def due(self, now: UnixTime, limit: int = _AT_ONCE) -> list[Sha256]:
        """Blobs whose time is over for everybody who brought them, the longest overdue first."""
        stays = UPLOADS.alias()
        lasting = select(stays.c.blob).where(
            stays.c.blob == UPLOADS.c.blob, (stays.c.keep_until.is_(None)) | (stays.c.keep_until > now)
        )
        query = select(UPLOADS.c.blob).where(UPLOADS.c.keep_until <= now, ~lasting.exists())
        query = query.group_by(UPLOADS.c.blob).order_by(func.min(UPLOADS.c.keep_until)).limit(limit)
        with self._database.read() as connection:
            return [Sha256(row.blob) for row in connection.execute(query)]

    def uses_of(self, blob: Sha256) -> dict[Bytes32, UnixTime | None]:
        """The orders and leases that refer to it, and when each was first seen to be over."""
        query = select(USES.c.subject, USES.c.closed_at).where(USES.c.blob == blob)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {Bytes32(row.subject): None if row.closed_at is None else UnixTime(row.closed_at) for row in rows}

    def close(self, subject: Bytes32, at: UnixTime) -> None:
        """An order or lease is over: what it refers to stays for a while from now on."""
        with self._database.write() as connection:
            connection.execute(
                update(USES).where(USES.c.subject == subject, USES.c.closed_at.is_(None)).values(closed_at=at)
            )

    def keep(self, blob: Sha256, until: UnixTime) -> None:
        """Look at the blob again at ``until``."""
        with self._database.write() as connection:
            connection.execute(update(UPLOADS).where(UPLOADS.c.blob == blob).values(keep_until=until))

    def forget(self, blob: Sha256, now: UnixTime) -> bool:
        """Strike the blob out; False where somebody has brought it again meanwhile, or refers to it now."""
        lasting = (UPLOADS.c.blob == blob) & ((UPLOADS.c.keep_until.is_(None)) | (UPLOADS.c.keep_until > now))
        used = (USES.c.blob == blob) & USES.c.closed_at.is_(None)
        with self._database.write() as connection:
            # Who deletes it has closed all uses that were there when it looked: one that is open has come since.
            wanted = select(UPLOADS.c.blob).where(lasting).union_all(select(USES.c.blob).where(used))
            if connection.execute(wanted.limit(1)).first() is not None:
                return False
            connection.execute(delete(UPLOADS).where(UPLOADS.c.blob == blob))
            connection.execute(delete(USES).where(USES.c.blob == blob))
        return True
