"""Sessions by the hash of their token, so that all gateways over one journal know them, and the secret that their nonces are made with."""

from __future__ import annotations

from sqlalchemy import delete, insert, select

from marketplace.domain.errors import Conflict
from marketplace.domain.ids import Address, Sha256
from marketplace.domain.units import UnixTime
from marketplace.store.journal.engine import Database
from marketplace.store.journal.schema import SECRETS, SESSIONS


class SessionTable:
    """Who is signed in until when. A nonce is used once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def secret(self, name: str, fresh: bytes) -> bytes:
        """The secret of this name; ``fresh`` becomes it where there is none yet."""
        query = select(SECRETS.c.value).where(SECRETS.c.name == name)
        with self._database.read() as connection:
            known = connection.execute(query).scalar_one_or_none()
        if known is not None:
            return bytes(known)
        with self._database.write() as connection:
            known = connection.execute(query).scalar_one_or_none()
            if known is None:
                connection.execute(insert(SECRETS).values(name=name, value=fresh))
        return fresh if known is None else bytes(known)

    def open(self, token: Sha256, account: Address, nonce: str, now: UnixTime, expires_at: UnixTime, most: int) -> None:
        """Keep a session; the account's oldest make room where it has ``most``. Raises Conflict where the nonce was used before."""
        mine = select(SESSIONS.c.token).where(SESSIONS.c.account == account).order_by(SESSIONS.c.expires_at.desc())
        with self._database.write() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.expires_at <= now))
            if connection.execute(select(SESSIONS.c.token).where(SESSIONS.c.nonce == nonce)).first() is not None:
                raise Conflict("nonce", nonce)
            surplus = [row.token for row in connection.execute(mine)][most - 1 :]
            connection.execute(delete(SESSIONS).where(SESSIONS.c.token.in_(surplus)))
            values = {"token": token, "account": account, "nonce": nonce, "expires_at": expires_at}
            connection.execute(insert(SESSIONS).values(**values))

    def account_of(self, token: Sha256, now: UnixTime) -> Address | None:
        """Whose session it is; None where there is none, or it is over."""
        query = select(SESSIONS.c.account).where(SESSIONS.c.token == token, SESSIONS.c.expires_at > now)
        with self._database.read() as connection:
            found = connection.execute(query).scalar_one_or_none()
        return Address(found) if found else None

    def close(self, token: Sha256) -> None:
        """End a session; one that is not there is ended."""
        with self._database.write() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.token == token))
