"""Accounts, providers, and signs of life."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from marketplace.api.accounts import AccountAnswer, BeatsAnswer, HeartbeatAnswer, HeartbeatRequest, ProviderAnswer
from marketplace.chain.request_signing import HEARTBEAT_BODY, SIGNATURE_HEADER
from marketplace.domain.ids import address
from marketplace.gateway.answer_cache import AboutAccount
from marketplace.gateway.auth import DesksHere, Sender, signed_at
from marketplace.gateway.bodies import JsonObject, RawBody, only_fields
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import AccountAddress, ProviderNamed
from marketplace.gateway.responses import answer

router = APIRouter(tags=["accounts"])
living = APIRouter(tags=["accounts"], route_class=AboutAccount)
"""What changes with blocks and signs of life only, while there is a projection."""


@living.get("/v1/accounts/{account}", responses=told(AccountAnswer))
def get_account(account: AccountAddress, desks: DesksHere) -> Response:
    """The free balance as the chain has it, and what live leases hold of the account's money."""
    return answer(desks.accounts.account(address(account)))


@living.get("/v1/providers/{provider}", responses=told(ProviderAnswer))
def get_provider(provider: AccountAddress, desks: DesksHere) -> Response:
    """A provider's offers, how many leases it serves, its last sign of life, and its reputation with the evidence."""
    return answer(desks.accounts.provider(address(provider)))


@router.post("/v1/heartbeats", responses=told(HeartbeatAnswer), openapi_extra=asked(HeartbeatRequest))
def post_heartbeat(document: JsonObject, body: RawBody, request: Request, sender: Sender, desks: DesksHere) -> Response:
    """A provider says that it is alive; the scheduler skips the offers of silent ones. What it signed is kept for who reads."""
    only_fields(document)
    # Readers make the signed text anew; a body with other spaces in it has been signed as another text.
    signature = request.headers.get(SIGNATURE_HEADER, "") if body == HEARTBEAT_BODY else ""
    return answer(desks.accounts.beat(sender, signed_at(request), signature))


@router.get("/v1/heartbeats", responses=told(BeatsAnswer))
def list_heartbeats(provider: ProviderNamed, desks: DesksHere) -> Response:
    """A provider's last sign of life, and the newest of others beside it, as they were signed."""
    return answer(desks.accounts.beats(address(provider)))
