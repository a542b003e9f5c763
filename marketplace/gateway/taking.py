"""The short way of a new order: read, taken with others in one batch, answered.

What does not go this way, for whatever reason, goes the long one, whose every refusal says what is wrong: nothing is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from msgspec import DecodeError, Struct
from msgspec.json import Decoder
from starlette.responses import Response
from starlette.types import Message

from marketplace.domain.errors import InvalidField
from marketplace.domain.wire import ORDER_FIELDS, order_from_wire, signature_from_wire
from marketplace.gateway.auth import path_as_sent
from marketplace.gateway.bodies import MAX_BODY_BYTES, whole_body
from marketplace.gateway.intake import intake_of
from marketplace.gateway.responses import stored_answer
from marketplace.services.idempotency import fingerprint_of, key_in
from marketplace.services.order_batches import Submission

_JSON = b"application/json"
_FITTING = frozenset({b"*/*", _JSON})
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


class _Said(Struct, forbid_unknown_fields=True):
    """The body of such a request."""

    order: dict[str, str]
    signature: str


_BODY = Decoder(_Said)
_QUOTES = 4 * (len(ORDER_FIELDS) + 1) + 2
"""Of a body that has each field once, and no sign written as an escape: reading it would not tell of a field that is there twice."""


def _submission_in(request: Request, body: bytes) -> Submission | None:
    """The order in a request that is as most are; None for any other."""
    headers: dict[bytes, bytes] = dict(request.scope["headers"])
    is_usual = (
        len(headers) == len(request.scope["headers"])
        and headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == _JSON
        and headers.get(b"accept", _JSON) in _FITTING
        and not request.scope["query_string"]
    )
    if not is_usual or len(body) > MOST_BYTES or body.count(b'"') != _QUOTES:
        return None
    try:
        said = _BODY.decode(body)
        order, signature = order_from_wire(said.order), signature_from_wire(said.signature)
        key = headers.get(b"idempotency-key")
        given = key_in(None if key is None else key.decode("latin-1"))
    except (DecodeError, InvalidField):
        return None
    return Submission(order, signature, given, fingerprint_of(request.method, path_as_sent(request), body))


def _again(body: bytes) -> Callable[[], Coroutine[Any, Any, Message]]:
    """A body that was read already, for who reads it next."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
