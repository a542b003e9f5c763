"""How the gateway is, for supervisors, load balancers and Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from marketplace.domain.wire import block_to_wire
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.metrics import metrics_of
from marketplace.gateway.openapi import told
from marketplace.gateway.problems import HttpRefusal
from marketplace.gateway.responses import answer
from marketplace.gateway.schemas import Live, ReadyAnswer
from marketplace.gateway.streams import is_stopping

router = APIRouter(tags=["health"])


@router.get("/live", responses=told(Live))
async def live() -> Response:
    """Whether the event loop turns."""
    return answer({"live": True})


@router.get("/ready", responses=told(ReadyAnswer))
def ready(request: Request, desks: DesksHere) -> Response:
    """Whether everything behind the gateway does its work; 503 with the reasons by name where something does not."""
    found = desks.readiness.ask()
    reasons = dict(found.reasons) | ({"gateway": "it is stopping"} if is_stopping(request) else {})
    metrics_of(request.app).note(found)
    if reasons or found.head is None or found.projection is None:
        raise HttpRefusal(
            503, "NotReady", "", "; ".join(f"{name}: {why}" for name, why in reasons.items()), reasons=reasons
        )
    return answer({"ready": True, "head": block_to_wire(found.head), "projection": block_to_wire(found.projection)})


@router.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
def metrics(request: Request) -> Response:
    """Counters and histograms as Prometheus reads them."""
    return Response(generate_latest(metrics_of(request.app).registry), 200, {"Content-Type": CONTENT_TYPE_LATEST})
