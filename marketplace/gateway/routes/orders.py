"""Orders: taken, shown, listed, withdrawn."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from marketplace.api.orders import ExplanationTold, OrderAnswer, OrderPage, OrderSubmission
from marketplace.api.timelines import OrderEventPage
from marketplace.domain.ids import address, bytes32
from marketplace.domain.wire import order_from_wire, signature_from_wire
from marketplace.gateway.answer_cache import AboutOrder
from marketplace.gateway.auth import DesksHere, Sender
from marketplace.gateway.bodies import JsonObject, RawBody, only_fields
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import After, AfterPlace, ClientFilter, IdempotencyKey, Limit, OrderId
from marketplace.gateway.responses import Written, answer, once
from marketplace.gateway.taking import TakesOrders

router = APIRouter(tags=["orders"])
timelines = APIRouter(tags=["orders"], route_class=AboutOrder)


def post_order(
    request: Request, desks: DesksHere, document: JsonObject, body: RawBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Put a signed order on the book; 200 where it was put there before."""
    only_fields(document, required=("order", "signature"))
    order = order_from_wire(document["order"])
    signed = desks.orders.signed(order, signature_from_wire(document["signature"]))

    def write() -> Written:
        accepted = desks.orders.accept(signed)
        standing = accepted.standing
        return Written(standing.told(desks.market.terms()), accepted.is_new, standing.block.timestamp)

    return once(request, desks, order.client, idempotency_key, body, f"/v1/orders/{signed.id}", write)


def add_often_asked(app: FastAPI) -> None:
    """The route by which orders come, outside of the router."""
    app.router.add_api_route(
        "/v1/orders", post_order, methods=["POST"], tags=["orders"], status_code=201, responses=told(OrderAnswer, 200, 201),
        openapi_extra=asked(OrderSubmission), route_class_override=TakesOrders,
    )  # fmt: skip


@router.get("/v1/orders", responses=told(OrderPage))
def list_orders(desks: DesksHere, client: ClientFilter, after: After = None, limit: Limit = "50") -> Response:
    """A client's orders, newest first."""
    cursor = int(after) if after is not None else None
    standings, onward = desks.orders.page_of(address(client), cursor, int(limit))
    told = [standing.told(desks.market.terms()) for standing in standings]
    return answer(OrderPage(told, None if onward is None else str(onward)))


@router.get("/v1/orders/{order_id}", responses=told(OrderAnswer))
def get_order(order_id: OrderId, desks: DesksHere) -> Response:
    """Where an order stands, and what the last round said about it."""
    return answer(desks.orders.standing(bytes32(order_id)).told(desks.market.terms()))


@router.get("/v1/orders/{order_id}/explanation", responses=told(ExplanationTold))
def get_explanation(order_id: OrderId, desks: DesksHere) -> Response:
    """Why an order stands where it stands: what the last round said about it, and nothing that needs the chain."""
    order = bytes32(order_id)
    found = desks.orders.explanation(order)
    return answer(ExplanationTold.of(found) if found else ExplanationTold.none_yet(order))


@timelines.get("/v1/orders/{order_id}/events", responses=told(OrderEventPage))
def list_order_events(order_id: OrderId, desks: DesksHere, after: AfterPlace = None, limit: Limit = "50") -> Response:
    """What has happened to an order, from its acceptance to the end of its lease."""
    return answer(desks.timelines.events(bytes32(order_id), after, int(limit)))


@router.delete("/v1/orders/{order_id}", responses=told(OrderAnswer))
def delete_order(order_id: OrderId, sender: Sender, desks: DesksHere) -> Response:
    """Take an order off the book. Its signature stays good: ``cancel`` on the chain is for good."""
    return answer(desks.orders.withdraw(bytes32(order_id), sender).told(desks.market.terms()))
