"""Quotes: what a job would cost where, before anything is signed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.quotes import DraftQuoteRequest, OrderQuoteRequest, QuotesAnswer
from marketplace.api.reading import asked_in
from marketplace.domain.classes import class_named, classes_mask
from marketplace.domain.errors import Refused
from marketplace.domain.ids import sha256_in
from marketplace.domain.refusals import Refusal
from marketplace.domain.wire import order_from_wire
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.bodies import JsonObject, only_fields
from marketplace.gateway.desks import Desks
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.responses import answer
from marketplace.services.quotes import QuoteRequest, draft

router = APIRouter(tags=["quotes"])


@router.post("/v1/quotes", responses=told(QuotesAnswer), openapi_extra=asked(DraftQuoteRequest, OrderQuoteRequest))
def post_quote(document: JsonObject, desks: DesksHere) -> Response:
    """One row per offer of an acceptable class: price, lock and bond, or the reason why it cannot serve."""
    asked_for = _for_order(document, desks) if "order" in document else _for_draft(document, desks)
    return answer(desks.quotes.quotes(asked_for))


def _for_order(document: dict[str, Any], desks: Desks) -> QuoteRequest:
    only_fields(document, required=("order",))
    order = order_from_wire(document["order"])
    return QuoteRequest(order, is_draft=False, spec=desks.quotes.spec_named(sha256_in(order.spec), "order.spec"))


def _for_draft(document: dict[str, Any], desks: Desks) -> QuoteRequest:
    asked_for = asked_in(DraftQuoteRequest, document)
    if asked_for.max_price == 0:
        raise Refused(Refusal.PriceOutOfBounds, "maxPrice", "must be from 1 to 2^80 - 1")
    names = asked_for.gpu if isinstance(asked_for.gpu, list) else [asked_for.gpu]
    order = draft(
        classes=classes_mask(class_named(name, field="gpu").number for name in names), gpus=asked_for.gpus,
        max_seconds=asked_for.max_seconds, max_price=asked_for.max_price,
    )  # fmt: skip
    named = None if asked_for.spec is None else desks.quotes.spec_named(asked_for.spec, "spec")
    return QuoteRequest(
        order, is_draft=True, spec=named, prefer_regions=asked_for.prefer_regions, min_reliability_bps=asked_for.min_reliability_bps
    )  # fmt: skip
