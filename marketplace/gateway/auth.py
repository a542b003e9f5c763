"""Who sent a write: EIP-191 over method, path, the body's hash and block time (``chain.requests``). Sessions may come later.

An account that is a contract is asked at the head whether the signature is its own; while no node answers, nobody is let in (503).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from marketplace.chain.requests import FOR_HEADER, TIME_HEADER, verify_request
from marketplace.chain.wallets import is_approved_by
from marketplace.domain.ids import Address, Bytes32, Sha256, address, sha256_of
from marketplace.domain.units import UnixTime
from marketplace.gateway.bodies import LogChunk, RawBody
from marketplace.gateway.desks import Desks, desks_of

DesksHere = Annotated[Desks, Depends(desks_of)]


def path_as_sent(request: Request) -> str:
    """The path with its query, as the client wrote it: that is what it signed."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope.get("query_string", b"")
    return (raw + (b"?" + query if query else b"")).decode("latin-1")


def sender_of(request: Request, desks: Desks, body_sha256: Sha256) -> Address:
    """The account that signed this request with this body, with its key or as a contract. Raises Unauthorized, ChainUnavailable."""
    head = desks.chain.paced_head()

    def is_approved(account: Address, digest: Bytes32, signature: str) -> bool:
        return is_approved_by(desks.chain, account, digest, signature, head)

    return verify_request(
        request.headers, request.method, path_as_sent(request), body_sha256, head.timestamp, desks.market.domain,
        is_approved=is_approved,
    )  # fmt: skip


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


Sender = Annotated[Address, Depends(_sender)]
"""For routes with a small body."""

LogSender = Annotated[Address, Depends(_log_sender)]
"""For a piece of log."""
