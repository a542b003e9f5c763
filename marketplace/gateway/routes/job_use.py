"""What a running job uses of processors and memory."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.job_use import JobSamplesAnswer, JobSamplesSent
from marketplace.api.reading import asked_in
from marketplace.domain.ids import bytes32
from marketplace.gateway.auth import DesksHere, LeaseReader, Sender
from marketplace.gateway.bodies import JsonObject
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import LeaseId
from marketplace.gateway.responses import answer

router = APIRouter(tags=["leases"])


@router.get("/v1/leases/{lease_id}/usage", responses=told(JobSamplesAnswer))
def list_job_samples(lease_id: LeaseId, reader: LeaseReader, desks: DesksHere) -> Response:
    """The newest samples of what the lease's job uses, for whoever may read its log; none where its provider tells of none."""
    return answer(desks.job_use.samples(reader, bytes32(lease_id)))


@router.post("/v1/leases/{lease_id}/usage", responses=told(JobSamplesAnswer), openapi_extra=asked(JobSamplesSent))
def post_job_samples(lease_id: LeaseId, document: JsonObject, sender: Sender, desks: DesksHere) -> Response:
    """The lease's provider says what its job uses; the answer is what it sent."""
    sent = asked_in(JobSamplesSent, document)
    desks.job_use.post(sender, bytes32(lease_id), sent)
    return answer(JobSamplesAnswer(sent.samples))
