"""Sessions: Sign-In with Ethereum (EIP-4361), for reading."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from marketplace.domain.errors import InvalidField, Unauthorized
from marketplace.domain.ids import address
from marketplace.domain.wire import signature_from_wire
from marketplace.gateway.auth import DesksHere, token_in
from marketplace.gateway.bodies import JsonObject, only_fields
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import ADDRESS
from marketplace.gateway.render import iso
from marketplace.gateway.responses import answer, created
from marketplace.gateway.session_schemas import Challenge, Session, SessionClosed, SignInRequest

router = APIRouter(tags=["sessions"])


@router.get("/v1/sessions/challenge", responses=told(Challenge))
def get_challenge(account: Annotated[str, Query(pattern=ADDRESS)], desks: DesksHere) -> Response:
    """The message that this account signs to open a session; it is answered once, within five minutes of block time."""
    given = desks.sessions.challenge(address(account))
    return answer(
        {
            "message": given.text(), "domain": given.domain, "nonce": given.nonce, "expiresAt": given.expires_at,
            "expiresTime": iso(given.expires_at),
        }
    )  # fmt: skip


@router.post("/v1/sessions", status_code=201, responses=told(Session, 201), openapi_extra=asked(SignInRequest))
def post_session(document: JsonObject, desks: DesksHere) -> Response:
    """Open a session for whoever signed the challenge, with its key or as a contract. The token is told once."""
    only_fields(document, required=("message", "signature"))
    if not isinstance(document["message"], str):
        raise InvalidField("message", "must be a string")
    opened = desks.sessions.open(document["message"], signature_from_wire(document["signature"]))
    shown = {"token": opened.token, "account": opened.account, "expiresAt": opened.expires_at}
    return created(shown | {"expiresTime": iso(opened.expires_at)}, "/v1/sessions")


@router.delete("/v1/sessions", responses=told(SessionClosed))
def delete_session(request: Request, desks: DesksHere) -> Response:
    """End the session whose token is in ``Authorization``."""
    token = token_in(request)
    if token is None:
        raise Unauthorized("bring the session's token: Authorization: Bearer …")
    desks.sessions.close(token)
    return answer({"closed": True})
