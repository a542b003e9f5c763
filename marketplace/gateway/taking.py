"""The short way of a new order: read, taken with others in one batch, answered.

What does not go this way, for whatever reason, goes the long one, whose every refusal says what is wrong: nothing is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Message

from marketplace.domain.canonical import parse_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.wire import order_from_wire, signature_from_wire
from marketplace.gateway.auth import path_as_sent
from marketplace.gateway.bodies import MAX_BODY_BYTES, whole_body
from marketplace.gateway.intake import intake_of
from marketplace.gateway.responses import stored_answer
from marketplace.services.idempotency import fingerprint_of, key_in
from marketplace.services.order_batches import Submission

_JSON = "application/json"
_ANY_KIND = frozenset({"*/*", _JSON})
MOST_BYTES = 1 << 13
"""An order has about a quarter of that."""


class TakesOrders(APIRoute):
    """A route that takes orders: in batches where they are plainly good, and as it says itself where not."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, for what does not go the short way."""
        by_itself = super().get_route_handler()

        async def taken(request: Request) -> Response:
            body = await whole_body(request, MAX_BODY_BYTES)
            submission = _submission_in(request, body)
            found = await intake_of(request).orders.ask(submission) if submission else None
            if found is None:
                return await by_itself(Request(request.scope, _again(body)))
            return stored_answer(found.answer, f"/v1/orders/{found.id}")

        return taken


def _submission_in(request: Request, body: bytes) -> Submission | None:
    """The order in a request that is as most are; None for any other."""
    headers = request.headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_usual = kind == _JSON and _ANY_KIND.issuperset(headers.getlist("accept"))
    if not is_usual or request.scope["query_string"] or len(body) > MOST_BYTES:
        return None
    try:
        said = parse_json(body)
        if not isinstance(said, dict) or said.keys() != {"order", "signature"}:
            return None
        order, signature = order_from_wire(said["order"]), signature_from_wire(said["signature"])
        key = key_in(headers.get("idempotency-key"))
    except InvalidField:
        return None
    return Submission(order, signature, key, fingerprint_of(request.method, path_as_sent(request), body))


def _again(body: bytes) -> Callable[[], Coroutine[Any, Any, Message]]:
    """A body that was read already, for who reads it next."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
