"""Accounts, providers, and signs of life."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from marketplace.domain.ids import address
from marketplace.gateway.auth import DesksHere, Sender, signed_at
from marketplace.gateway.bodies import JsonObject, only_fields
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import AccountAddress
from marketplace.gateway.provider_schemas import ProviderAnswer
from marketplace.gateway.render import Renderer, iso
from marketplace.gateway.responses import answer
from marketplace.gateway.schemas import AccountAnswer, Heartbeat, HeartbeatAnswer

router = APIRouter(tags=["accounts"])


@router.get("/v1/accounts/{account}", responses=told(AccountAnswer))
def get_account(account: AccountAddress, desks: DesksHere) -> Response:
    """The free balance as the chain has it, and what live leases hold of the account's money."""
    return answer(Renderer(desks.market.terms()).account(desks.accounts.account(address(account))))


@router.get("/v1/providers/{provider}", responses=told(ProviderAnswer))
def get_provider(provider: AccountAddress, desks: DesksHere) -> Response:
    """A provider's offers, how many leases it serves, its last sign of life, and its reputation with the evidence."""
    return answer(Renderer(desks.market.terms()).provider(desks.accounts.provider(address(provider))))


@router.post("/v1/heartbeats", responses=told(HeartbeatAnswer), openapi_extra=asked(Heartbeat))
def post_heartbeat(document: JsonObject, request: Request, sender: Sender, desks: DesksHere) -> Response:
    """A provider says that it is alive; the scheduler skips the offers of silent ones."""
    only_fields(document)
    at = desks.accounts.beat(sender, signed_at(request))
    return answer({"at": at, "atTime": iso(at)})
