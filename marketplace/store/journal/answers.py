"""What requests with an Idempotency-Key were answered, by account and key."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from marketplace.domain.errors import IdempotencyMismatch
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime
from marketplace.store.journal.engine import Database
from marketplace.store.journal.rows import RememberedAnswer
from marketplace.store.journal.schema import ANSWERS

MOST_ANSWERS = 128
"""Kept of one account: a request is repeated soon, or not at all."""


class AnswerTable:
    """Kept until they are old, or an account has too many."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember(self, key: str, account: Address, fingerprint: str, status: int, body: bytes, at: UnixTime) -> bool:
        """Keep what a request was answered, for its repetition; False where that was kept before (the first stays).

        ``fingerprint`` is sha256 hex over what makes the request itself. Raises IdempotencyMismatch where the key came
        before with another one. An account's oldest answers make room where it has MOST_ANSWERS."""
        with self._database.write() as connection:
            known = _answer_row(connection, key, account)
            if known is None:
                connection.execute(
                    insert(ANSWERS).values(
                        account=account, key=key, fingerprint=fingerprint, status=status, body=body, at=at
                    )
                )
                drop_oldest_answers(connection, account)
            elif known.fingerprint != fingerprint:
                raise IdempotencyMismatch(key)
        return known is None

    def recall(self, key: str, account: Address) -> RememberedAnswer | None:
        """The answer given to this account's request with this key; the caller compares the fingerprint."""
        with self._database.read() as connection:
            row = _answer_row(connection, key, account)
        return RememberedAnswer(row.fingerprint, row.status, row.body) if row else None

    def forget_before(self, at: UnixTime) -> int:
        """Drop answers older than ``at``; how many."""
        with self._database.write() as connection:
            return int(connection.execute(delete(ANSWERS).where(ANSWERS.c.at < at)).rowcount)


def drop_oldest_answers(connection: Connection, account: Address) -> None:
    """Make room for what an account was answered last; for use inside ``write`` only."""
    mine = select(ANSWERS.c.key).where(ANSWERS.c.account == account).order_by(ANSWERS.c.at.desc(), ANSWERS.c.key)
    surplus = [row.key for row in connection.execute(mine.offset(MOST_ANSWERS))]
    if surplus:
        connection.execute(delete(ANSWERS).where(ANSWERS.c.account == account, ANSWERS.c.key.in_(surplus)))


def _answer_row(connection: Connection, key: str, account: Address) -> Row[Any] | None:
    return connection.execute(select(ANSWERS).where(ANSWERS.c.key == key, ANSWERS.c.account == account)).first()
