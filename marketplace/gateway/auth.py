"""Who sent a request: EIP-191 over method, path, the body's hash and block time (``chain.request_signing``). Reads of what is private are signed, too.

An account that is a contract is asked at the head whether the signature is its own; while no node answers, nobody is let in (503).
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from marketplace.chain.request_signing import ACCOUNT_HEADER, FOR_HEADER, SIGNATURE_HEADER, TIME_HEADER, verify_request
from marketplace.chain.shares import read_share
from marketplace.domain.errors import Unauthorized
from marketplace.domain.ids import Address, Bytes32, Sha256, address, sha256_of
from marketplace.domain.units import UnixTime
from marketplace.gateway.bodies import LogChunk, RawBody
from marketplace.gateway.desks import Desks, desks_of
from marketplace.gateway.methods import method_as_sent
from marketplace.gateway.page_session import kept_token
from marketplace.gateway.parameters import SharedBy
from marketplace.gateway.rate_limiting import cost_of
from marketplace.services.access import Asker
from marketplace.services.rate_limits import Cost

_TOKEN = re.compile("[A-Za-z0-9_-]{20,128}")
_NO_BODY = sha256_of(b"")

DesksHere = Annotated[Desks, Depends(desks_of)]


def path_as_sent(request: Request) -> str:
    """The path with its query, as the client wrote it: that is what it signed."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope.get("query_string", b"")
    return (raw + (b"?" + query if query else b"")).decode("latin-1")


def sender_of(request: Request, desks: Desks, body_sha256: Sha256) -> Address:
    """The account that signed this request with this body, with its key or as a contract, or for a company as its operator. Raises Unauthorized, TooManyRequests, ChainUnavailable."""
    head = desks.chain.paced_head()

    def is_approved(account: Address, digest: Bytes32, signature: str) -> bool:
        return desks.market.companies.approves(account, digest, signature, head)

    sender = verify_request(
        request.headers, method_as_sent(request), path_as_sent(request), body_sha256, head.timestamp, desks.market.domain,
        is_approved=is_approved,
    )  # fmt: skip
    desks.limits.admit_account(sender, cost_of(request.method, request.url.path))
    return sender


def signed_at(request: Request) -> UnixTime | None:
    """The block time that the sender of a verified request signed; None where it came in another way."""
    told = request.headers.get(TIME_HEADER)
    return UnixTime(int(told)) if told and told.isascii() and told.isdecimal() else None


def account_represented(request: Request) -> Address | None:
    """The account as whose delegate the sender says to come; None where it says nothing. Raises InvalidField."""
    named = request.headers.get(FOR_HEADER)
    return address(named, field=FOR_HEADER) if named else None


def _sender(request: Request, body: RawBody, desks: DesksHere) -> Address:
    return sender_of(request, desks, sha256_of(body))


def _log_sender(request: Request, chunk: LogChunk, desks: DesksHere) -> Address:
    return sender_of(request, desks, sha256_of(chunk))


def token_in(request: Request) -> str | None:
    """The token of a session; None where the request brings none. Raises Unauthorized for another kind of authorization."""
    said = request.headers.get("authorization")
    if said is None:
        return None
    scheme, _, token = said.partition(" ")
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token):
        raise Unauthorized("Authorization must be: Bearer, and a session's token")
    return token


async def _reader(request: Request, desks: DesksHere) -> Address | None:
    """Who reads; None where nobody says so, which costs no thread. Raises Unauthorized for a signature or a session that is none."""
    token = token_in(request)
    if token is not None:
        return await run_in_threadpool(_account_of, desks, token)
    kept = kept_token(request)
    if kept is not None:
        return await run_in_threadpool(_account_kept, desks, kept)
    names = (ACCOUNT_HEADER, TIME_HEADER, SIGNATURE_HEADER)
    if not any(name in request.headers for name in names):
        return None
    return await run_in_threadpool(sender_of, request, desks, _NO_BODY)


def _account_kept(desks: Desks, token: str) -> Address | None:
    """A browser brings its cookie whether it helps or not: one that is over is nobody's, and what is public stays readable."""
    try:
        return _account_of(desks, token)
    except Unauthorized:
        return None


def _account_of(desks: Desks, token: str) -> Address:
    account = desks.sessions.account_of(token)
    desks.limits.admit_account(account, Cost.READ)
    return account


Uploader = Annotated[Address | None, Depends(_reader)]
"""For reads of what somebody brought."""


def _lease_reader(account: Uploader, share: SharedBy = None) -> Asker:
    """A share goes before a signature: who brings both asks for what was shared. Raises InvalidField for a share that is none."""
    return Asker(account, None if share is None else read_share(share))


LeaseReader = Annotated[Asker, Depends(_lease_reader)]
"""For reads of what belongs to a lease."""

Sender = Annotated[Address, Depends(_sender)]
"""For routes with a small body."""

LogSender = Annotated[Address, Depends(_log_sender)]
"""For a piece of log."""

SENDERS, READERS = (_sender, _log_sender), (_reader,)
"""Which dependencies ask for a signature, and which for one or a session where what is read is private."""
