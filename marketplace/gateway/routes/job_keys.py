"""The key of a sealed job, sealed once more to the provider that serves it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import bytes32
from marketplace.gateway.auth import DesksHere, Sender, Uploader
from marketplace.gateway.bodies import JsonObject, only_fields
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import LeaseId
from marketplace.gateway.responses import answer, created
from marketplace.gateway.schemas import JobKey

router = APIRouter(tags=["leases"])

MOST_LETTERS = 4096


@router.get("/v1/leases/{lease_id}/key", responses=told(JobKey))
def get_job_key(lease_id: LeaseId, account: Uploader, desks: DesksHere) -> Response:
    """The newest key that the client's side has left, for the lease's parties; only its provider can open it."""
    return answer({"lease": lease_id, "key": desks.job_keys.key(account, bytes32(lease_id))})


@router.post("/v1/leases/{lease_id}/key", status_code=201, responses=told(JobKey, 201), openapi_extra=asked(JobKey))
def post_job_key(lease_id: LeaseId, desks: DesksHere, sender: Sender, document: JsonObject) -> Response:
    """Leave the job's key, sealed to the serving provider's recipient. It takes the place of one that was left before."""
    lease = bytes32(lease_id)
    desks.job_keys.require_giver(sender, lease)
    only_fields(document, required=("lease", "key"), optional=())
    key = document["key"]
    if document["lease"] != lease:
        raise InvalidField("lease", f"must be {lease}, as in the path")
    if not isinstance(key, str) or not 1 <= len(key) <= MOST_LETTERS or not key.isascii():
        raise InvalidField("key", f"must be armored text of at most {MOST_LETTERS} letters")
    desks.job_keys.keep(lease, key)
    return created({"lease": lease, "key": key}, f"/v1/leases/{lease}/key")
