"""The key of a sealed job, sealed once more to the provider that serves it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.leases import JobKeyDocument, JobKeyTold
from marketplace.api.reading import asked_in
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import bytes32
from marketplace.gateway.auth import DesksHere, Sender, Uploader
from marketplace.gateway.bodies import JsonObject
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import LeaseId
from marketplace.gateway.responses import answer, created

router = APIRouter(tags=["leases"])


@router.get("/v1/leases/{lease_id}/key", responses=told(JobKeyTold))
def get_job_key(lease_id: LeaseId, account: Uploader, desks: DesksHere) -> Response:
    """The newest key that the client's side has left, for the lease's parties; only its provider can open it."""
    return answer(JobKeyTold(bytes32(lease_id), desks.job_keys.key(account, bytes32(lease_id))))


@router.post(
    "/v1/leases/{lease_id}/key", status_code=201, responses=told(JobKeyTold, 201), openapi_extra=asked(JobKeyDocument)
)
def post_job_key(lease_id: LeaseId, desks: DesksHere, sender: Sender, document: JsonObject) -> Response:
    """Leave the job's key, sealed to the serving provider's recipient. It takes the place of one that was left before."""
    lease = bytes32(lease_id)
    desks.job_keys.require_giver(sender, lease)
    left = asked_in(JobKeyDocument, document)
    if left.lease != lease:
        raise InvalidField("lease", f"must be {lease}, as in the path")
    desks.job_keys.keep(lease, left.key)
    return created(JobKeyTold(lease, left.key), f"/v1/leases/{lease}/key")
