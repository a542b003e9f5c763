"""How the gateway is, for supervisors, load balancers and Prometheus."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from marketplace.api.health import LiveAnswer, ReadyAnswer
from marketplace.api.record import BlockTold
from marketplace.domain.errors import InvalidField
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.metrics import metrics_of
from marketplace.gateway.openapi import told
from marketplace.gateway.problems import HttpRefusal
from marketplace.gateway.responses import answer
from marketplace.gateway.streams import is_stopping
from marketplace.health import ready_document
from marketplace.services.readiness import GATEWAY_DUTIES

router = APIRouter(tags=["health"])


Duty = Annotated[
    str | None, Query(alias="for", min_length=1, max_length=32, json_schema_extra={"enum": sorted(GATEWAY_DUTIES)})
]


@router.get("/live", responses=told(LiveAnswer))
async def live() -> Response:
    """Whether the event loop turns."""
    return answer(LiveAnswer(True))


@router.get("/ready", responses=told(ReadyAnswer))
def ready(request: Request, desks: DesksHere, duty: Duty = None) -> Response:
    """Whether what a duty needs (without ``for``: everything behind the gateway) does its work; 503 with the reasons by name where not."""
    try:
        found = desks.readiness.ask(duty or "")
    except InvalidField as error:
        raise HttpRefusal(400, "UnknownDuty", error.field, error.rule) from error
    reasons = dict(found.reasons) | ({"gateway": "it is stopping"} if is_stopping(request) else {})
    metrics_of(request.app).note(found)
    document = ready_document(duty or "", found.findings)
    if reasons:
        rule = "; ".join(f"{name}: {why}" for name, why in reasons.items())
        raise HttpRefusal(503, "NotReady", "", rule, reasons=reasons, **(document | {"ready": False}))
    blocks = {"head": found.head, "projection": found.projection}
    return answer(document | {name: block and BlockTold.of(block) for name, block in blocks.items()})


@router.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
def metrics(request: Request) -> Response:
    """Counters and histograms as Prometheus reads them."""
    return Response(generate_latest(metrics_of(request.app).registry), 200, {"Content-Type": CONTENT_TYPE_LATEST})
