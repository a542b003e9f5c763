"""By what key the machine of a lease is known to who sits at it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.reading import asked_in
from marketplace.api.ssh import HostKeyDocument, HostKeyTold
from marketplace.domain.ids import bytes32
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.bodies import JsonObject
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import LeaseId
from marketplace.gateway.responses import answer, created

router = APIRouter(tags=["leases"])


@router.get("/v1/leases/{lease_id}/host-key", responses=told(HostKeyTold))
def get_host_key(lease_id: LeaseId, desks: DesksHere) -> Response:
    """The newest one that the provider has left; check its signature against the provider that the chain names."""
    return answer(HostKeyTold.of(desks.host_keys.host_key(bytes32(lease_id))))


@router.post(
    "/v1/leases/{lease_id}/host-key",
    status_code=201,
    responses=told(HostKeyTold, 201),
    openapi_extra=asked(HostKeyDocument),
)
def post_host_key(lease_id: LeaseId, desks: DesksHere, document: JsonObject) -> Response:
    """Say by what key the machine is known. The signature in the document is the authority; the newest one stays."""
    signed = asked_in(HostKeyDocument, document).signed
    desks.host_keys.keep(bytes32(lease_id), signed)
    return created(HostKeyTold.of(signed), f"/v1/leases/{signed.host_key.lease}/host-key")
