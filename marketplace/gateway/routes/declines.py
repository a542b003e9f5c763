"""Why a lease was given back, in its provider's signed words."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.leases import DeclineDocument, DeclinesAnswer, DeclineTold
from marketplace.domain.declines import decline_from_wire
from marketplace.domain.ids import bytes32
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.bodies import JsonObject
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import LeaseId
from marketplace.gateway.responses import answer, created

router = APIRouter(tags=["leases"])


@router.get("/v1/leases/{lease_id}/declines", responses=told(DeclinesAnswer))
def list_declines(lease_id: LeaseId, desks: DesksHere) -> Response:
    """Why providers gave this order back, by opening; check each signature against the provider that the chain names."""
    return answer(DeclinesAnswer([DeclineTold.of(one) for one in desks.declines.declines(bytes32(lease_id))]))


@router.post(
    "/v1/leases/{lease_id}/declines",
    status_code=201,
    responses=told(DeclineTold, 200, 201),
    openapi_extra=asked(DeclineDocument),
)
def post_decline(lease_id: LeaseId, desks: DesksHere, document: JsonObject) -> Response:
    """Say why a lease is given back. The signature in the document is the authority; saying it twice changes nothing."""
    signed = decline_from_wire(document)
    is_new = desks.declines.post(bytes32(lease_id), signed)
    told_back = DeclineTold.of(signed)
    return created(told_back, f"/v1/leases/{signed.decline.lease}/declines") if is_new else answer(told_back)
