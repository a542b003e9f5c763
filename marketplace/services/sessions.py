"""Sessions: an account signs once (EIP-4361) and reads for a while by a bearer token. Nothing is written in the name of a session.

Nonces are not stored when they are given: they carry their time and a seal that only gateways over this journal can make, so that
asking for many costs nobody anything. A nonce that was used is kept until its session is over.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from marketplace.api.record import iso
from marketplace.api.sessions import ChallengeAnswer, SessionAnswer
from marketplace.chain.blocks import Chain
from marketplace.chain.eip1271 import is_approved_by
from marketplace.chain.market import MarketContract
from marketplace.chain.sign_in import SignIn, read_sign_in
from marketplace.chain.signing import recover_text, text_id
from marketplace.domain.errors import Conflict, InvalidField, Unauthorized
from marketplace.domain.ids import Address, sha256_of
from marketplace.domain.units import UnixTime
from marketplace.store.journal.sessions import SessionTable

SESSION_SECONDS = 3600
CHALLENGE_SECONDS = 300
"""How long a challenge may be answered, in block time."""
MOST_SESSIONS = 16
"""Of one account; the oldest go first."""
_RANDOM, _SEAL, _TIME = 16, 32, 10


class SessionDesk:
    """Gives challenges, opens and closes sessions, and says whose token it is. ``site`` is the gateway's own address, as people know it."""

    def __init__(self, chain: Chain, market: MarketContract, sessions: SessionTable, site: str) -> None:
        self._chain, self._market, self._sessions, self._site = chain, market, sessions, site
        self._secret = b""

    def challenge(self, account: Address) -> ChallengeAnswer:
        """What ``account`` signs to open a session."""
        now = self._chain.paced_head().timestamp
        head = f"{now:0{_TIME}x}{secrets.token_hex(_RANDOM // 2)}"
        expires_at = UnixTime(now + SESSION_SECONDS)
        given = SignIn(account, self._site, self._market.domain, head + self._seal(head, account), now, expires_at)
        return ChallengeAnswer(given.text(), given.domain, given.nonce, expires_at, iso(expires_at))

    def open(self, text: str, signature: str) -> SessionAnswer:
        """A session for whoever signed the challenge. Raises InvalidField, Unauthorized, ChainUnavailable."""
        head, said = self._chain.paced_head(), read_sign_in(text, self._market.domain)
        self._check(said, head.timestamp)
        signer = recover_text(text, signature)
        if signer != said.account and not is_approved_by(self._chain, said.account, text_id(text), signature, head):
            raise Unauthorized("the signature is not the account's of this message")
        token, expires_at = secrets.token_urlsafe(32), UnixTime(min(said.expires_at, head.timestamp + SESSION_SECONDS))
        name = sha256_of(token.encode())
        try:
            self._sessions.open(name, said.account, said.nonce, head.timestamp, expires_at, MOST_SESSIONS)
        except Conflict:
            raise Unauthorized("this challenge was answered before: ask for another one") from None
        return SessionAnswer(token, said.account, expires_at, iso(expires_at))

    def account_of(self, token: str) -> Address:
        """Whose session it is. Raises Unauthorized."""
        now = self._chain.paced_head().timestamp
        account = self._sessions.account_of(sha256_of(token.encode()), now)
        if account is None:
            raise Unauthorized("the session is over: sign in again")
        return account

    def close(self, token: str) -> None:
        """End a session."""
        self._sessions.close(sha256_of(token.encode()))

    def _check(self, said: SignIn, now: UnixTime) -> None:
        if said.site != self._site:
            raise InvalidField("message", f"must be for {self._site}: you may be talking to somebody in between")
        head, seal = said.nonce[:-_SEAL], said.nonce[-_SEAL:]
        if len(head) != _TIME + _RANDOM or not hmac.compare_digest(seal, self._seal(head, said.account)):
            raise Unauthorized("the nonce is not one that this gateway gave to this account")
        given_at = int(head[:_TIME], 16)
        if said.issued_at != given_at or not given_at <= now < given_at + CHALLENGE_SECONDS:
            raise Unauthorized(f"a challenge is answered within {CHALLENGE_SECONDS} s: ask for another one")
        if said.expires_at <= now:
            raise Unauthorized("the message has expired")

    def _seal(self, head: str, account: Address) -> str:
        self._secret = self._secret or self._sessions.secret("nonces", secrets.token_bytes(32))
        return hmac.new(self._secret, f"{head}{account}".encode(), hashlib.sha256).hexdigest()[:_SEAL]
