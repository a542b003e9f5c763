"""Quotes: what a job would cost where, before anything is signed."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.domain.classes import class_named, classes_mask
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import sha256, sha256_in
from marketplace.domain.limits import limits_document
from marketplace.domain.spec import Reader, read_regions
from marketplace.domain.units import BPS_WHOLE
from marketplace.domain.wire import block_to_wire, integer_from_wire, order_from_wire
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.bodies import JsonObject, only_fields
from marketplace.gateway.desks import Desks
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.render import Renderer
from marketplace.gateway.responses import answer
from marketplace.gateway.schemas import DraftQuoteRequest, OrderQuoteRequest, Quotes
from marketplace.services.quotes import QuoteRequest, draft

router = APIRouter(tags=["quotes"])
MOST_CLASSES = 64
_WISHES = ("preferRegions", "minReliabilityBps")


@router.post("/v1/quotes", responses=told(Quotes), openapi_extra=asked(DraftQuoteRequest, OrderQuoteRequest))
def post_quote(document: JsonObject, desks: DesksHere) -> Response:
    """One row per offer of an acceptable class: price, lock and bond, or the reason why it cannot serve."""
    view, rows = desks.quotes.quotes(
        _for_order(document, desks) if "order" in document else _for_draft(document, desks)
    )
    renderer = Renderer(desks.market.terms())
    quotes = [renderer.quote(row, view.block.timestamp) for row in rows]
    return answer({"quotes": quotes, "limits": limits_document(), "block": block_to_wire(view.block)})


def _for_order(document: dict[str, Any], desks: Desks) -> QuoteRequest:
    only_fields(document, required=("order",))
    order = order_from_wire(document["order"])
    return QuoteRequest(order, is_draft=False, spec=desks.quotes.spec_named(sha256_in(order.spec), "order.spec"))


def _for_draft(document: dict[str, Any], desks: Desks) -> QuoteRequest:
    only_fields(document, required=("gpu", "maxSeconds"), optional=("gpus", "maxPrice", "spec", *_WISHES))
    price, spec = document.get("maxPrice"), document.get("spec")
    order = draft(
        classes=_classes(document["gpu"]),
        gpus=_number(document.get("gpus", 1), "gpus", 2**16 - 1),
        max_seconds=_number(document["maxSeconds"], "maxSeconds", 2**32 - 1),
        max_price=None if price is None else _price(price),
    )
    named = None if spec is None else desks.quotes.spec_named(sha256(spec, field="spec"), "spec")
    preferred = read_regions(Reader({"preferRegions": document.get("preferRegions", [])}, ""), "preferRegions")
    reliability = Reader(document, "").number("minReliabilityBps", 0, BPS_WHOLE, 0)
    return QuoteRequest(order, is_draft=True, spec=named, prefer_regions=preferred, min_reliability_bps=reliability)


def _classes(value: Any) -> int:
    names = value if isinstance(value, list) else [value]
    if not 1 <= len(names) <= MOST_CLASSES or not all(isinstance(name, str) for name in names):
        raise InvalidField("gpu", f"must be the name of a GPU class, or a list of 1 to {MOST_CLASSES}")
    return classes_mask(class_named(name, field="gpu").number for name in names)


def _number(value: Any, field: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InvalidField(field, f"must be an integer from 1 to {most}")
    return value


def _price(value: Any) -> int:
    price = integer_from_wire(value, "maxPrice")
    if not 1 <= price < 2**80:
        raise InvalidField("maxPrice", "must be from 1 to 2^80 - 1")
    return price
