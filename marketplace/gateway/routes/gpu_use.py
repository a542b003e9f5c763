"""How busy the GPUs of a running job are."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.gpu_use import GpuSamplesAnswer, GpuSamplesSent
from marketplace.api.reading import asked_in
from marketplace.domain.ids import bytes32
from marketplace.gateway.auth import DesksHere, LeaseReader, Sender
from marketplace.gateway.bodies import JsonObject
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import LeaseId
from marketplace.gateway.responses import answer

router = APIRouter(tags=["leases"])


@router.get("/v1/leases/{lease_id}/gpus", responses=told(GpuSamplesAnswer))
def list_gpu_samples(lease_id: LeaseId, reader: LeaseReader, desks: DesksHere) -> Response:
    """The newest samples of the lease's GPUs, for whoever may read its log; none where its provider tells of none."""
    return answer(desks.gpu_use.samples(reader, bytes32(lease_id)))


@router.post("/v1/leases/{lease_id}/gpus", responses=told(GpuSamplesAnswer), openapi_extra=asked(GpuSamplesSent))
def post_gpu_samples(lease_id: LeaseId, document: JsonObject, sender: Sender, desks: DesksHere) -> Response:
    """The lease's provider says how busy its GPUs are; the answer is what it sent."""
    sent = asked_in(GpuSamplesSent, document)
    desks.gpu_use.post(sender, bytes32(lease_id), sent)
    return answer(GpuSamplesAnswer(sent.samples))
