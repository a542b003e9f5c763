"""Sessions: Sign-In with Ethereum (EIP-4361), for reading."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from msgspec.structs import replace
from starlette.responses import Response

from marketplace.api.sessions import ChallengeAnswer, SessionAnswer, SessionClosed, SignInRequest
from marketplace.domain.errors import InvalidField, Unauthorized
from marketplace.domain.ids import address
from marketplace.domain.units import Seconds
from marketplace.domain.wire import signature_from_wire
from marketplace.gateway import page_session
from marketplace.gateway.auth import DesksHere, token_in
from marketplace.gateway.bodies import JsonObject, only_fields
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import ADDRESS
from marketplace.gateway.responses import answer, created
from marketplace.gateway.signing_told import IN_SESSION

router = APIRouter(tags=["sessions"])


@router.get("/v1/sessions/challenge", responses=told(ChallengeAnswer))
def get_challenge(account: Annotated[str, Query(pattern=ADDRESS)], desks: DesksHere) -> Response:
    """The message that this account signs to open a session; it is answered once, within five minutes of block time."""
    return answer(desks.sessions.challenge(address(account)))


@router.post("/v1/sessions", status_code=201, responses=told(SessionAnswer, 201), openapi_extra=asked(SignInRequest))
def post_session(request: Request, document: JsonObject, desks: DesksHere) -> Response:
    """Open a session for whoever signed the challenge, with its key or as a contract. The token is told once; the page is not told, its browser keeps it."""
    only_fields(document, required=("message", "signature"))
    if not isinstance(document["message"], str):
        raise InvalidField("message", "must be a string")
    opened = desks.sessions.open(document["message"], signature_from_wire(document["signature"]))
    if not page_session.is_of_page(request):
        return created(opened, "/v1/sessions")
    response = created(replace(opened, token=""), "/v1/sessions")
    lasts = Seconds(opened.expires_at - desks.chain.paced_head().timestamp)
    page_session.keep(response, request, opened.token, lasts)
    return response


@router.delete("/v1/sessions", responses=told(SessionClosed), openapi_extra={"security": IN_SESSION})
def delete_session(request: Request, desks: DesksHere) -> Response:
    """End the session whose token is in ``Authorization``."""
    token = token_in(request) or page_session.kept_token(request)
    if token is None:
        raise Unauthorized("bring the session's token: Authorization: Bearer …")
    desks.sessions.close(token)
    response = answer(SessionClosed(True))
    page_session.forget(response)
    return response
