"""Orders: taken, shown, listed, withdrawn."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from marketplace.domain.ids import address, bytes32
from marketplace.domain.models import Order
from marketplace.domain.wire import explanation_to_wire, order_from_wire, signature_from_wire
from marketplace.gateway.auth import DesksHere, Sender, path_as_sent
from marketplace.gateway.bodies import JsonObject, RawBody, only_fields
from marketplace.gateway.desks import Desks
from marketplace.gateway.intake import intake_of
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import After, ClientFilter, IdempotencyKey, Limit, OrderId
from marketplace.gateway.render import Renderer
from marketplace.gateway.responses import Written, answer, once, page, stored
from marketplace.gateway.schemas import Explanation, OrderAnswer, OrderPage, OrderSubmission
from marketplace.services.idempotency import fingerprint_of, key_in
from marketplace.services.order_batches import Submission

router = APIRouter(tags=["orders"])


@router.post("/v1/orders", status_code=201, responses=told(OrderAnswer, 200, 201), openapi_extra=asked(OrderSubmission))
async def post_order(
    request: Request, desks: DesksHere, document: JsonObject, body: RawBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Put a signed order on the book; 200 where it was put there before."""
    only_fields(document, required=("order", "signature"))
    order, signature = order_from_wire(document["order"]), signature_from_wire(document["signature"])
    fingerprint = fingerprint_of(request.method, path_as_sent(request), body)
    taken = await intake_of(request).orders.ask(Submission(order, signature, key_in(idempotency_key), fingerprint))
    if taken is not None:
        return stored(taken.answer, f"/v1/orders/{taken.id}")
    return await run_in_threadpool(_accept, request, desks, order, signature, idempotency_key, body)


def _accept(
    request: Request, desks: Desks, order: Order, signature: str, idempotency_key: str | None, body: bytes
) -> Response:
    """Take an order by itself, or say what is wrong with it."""
    signed = desks.orders.signed(order, signature)

    def write() -> Written:
        accepted = desks.orders.accept(signed)
        standing = accepted.standing
        return Written(Renderer(desks.market.terms()).order(standing), accepted.is_new, standing.block.timestamp)

    return once(request, desks, order.client, idempotency_key, body, f"/v1/orders/{signed.id}", write)


@router.get("/v1/orders", responses=told(OrderPage))
def list_orders(desks: DesksHere, client: ClientFilter, after: After = None, limit: Limit = "50") -> Response:
    """A client's orders, newest first."""
    cursor = int(after) if after is not None else None
    standings, onward = desks.orders.page_of(address(client), cursor, int(limit))
    return page([Renderer(desks.market.terms()).order(standing) for standing in standings], onward)


@router.get("/v1/orders/{order_id}", responses=told(OrderAnswer))
def get_order(order_id: OrderId, desks: DesksHere) -> Response:
    """Where an order stands, and what the last round said about it."""
    return answer(Renderer(desks.market.terms()).order(desks.orders.standing(bytes32(order_id))))


@router.get("/v1/orders/{order_id}/explanation", responses=told(Explanation))
def get_explanation(order_id: OrderId, desks: DesksHere) -> Response:
    """Why an order stands where it stands: what the last round said about it, and nothing that needs the chain."""
    return answer(explanation_to_wire(desks.orders.explanation(bytes32(order_id))))


@router.delete("/v1/orders/{order_id}", responses=told(OrderAnswer))
def delete_order(order_id: OrderId, sender: Sender, desks: DesksHere) -> Response:
    """Take an order off the book. Its signature stays good: ``cancel`` on the chain is for good."""
    return answer(Renderer(desks.market.terms()).order(desks.orders.withdraw(bytes32(order_id), sender)))
