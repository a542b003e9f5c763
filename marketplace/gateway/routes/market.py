"""Which market this is, and what is offered there at which price."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from marketplace.api.market import ClassPage, ClassTold, MarketAnswer
from marketplace.api.offers import BookAnswer, OfferAnswer, OfferPage, PriceAnswer
from marketplace.api.reservations import ReservationPage
from marketplace.chain.contracts import contract_abi
from marketplace.domain.classes import load_classes
from marketplace.domain.ids import OfferId, address, bytes32, sha256_of
from marketplace.domain.units import UnixTime
from marketplace.gateway.answer_cache import AboutLiving, AboutOffers
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.openapi import told
from marketplace.gateway.parameters import (
    After,
    AfterBid,
    AfterLease,
    ClassFilter,
    ClassName,
    Depth,
    Flag,
    Limit,
    OfferNumber,
    ProviderFilter,
    class_from,
)
from marketplace.gateway.ranges import is_known
from marketplace.gateway.responses import answer

router = APIRouter(tags=["market"])
living = APIRouter(tags=["market"], route_class=AboutLiving)
"""What changes with blocks, orders and signs of life only."""

_ABI: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}}},
    304: {"description": "`If-None-Match` names it"},
}


@router.get("/v1/market", responses=told(MarketAnswer))
def get_market(desks: DesksHere) -> Response:
    """Addresses, constants, and the scheduler's address."""
    roles = desks.roles
    return answer(
        MarketAnswer.of(
            desks.market.terms(), roles.catalogue, roles.opener, roles.arbiter, desks.chain.head(), roles.relay
        )
    )


@router.get("/v1/market/abi", responses=_ABI)
def get_abi(request: Request) -> Response:
    """The contract's ABI with its events and errors, as compilers write it: a library makes calls, and reads reverts, by it."""
    content, tag = _abi()
    headers = {"ETag": tag, "Cache-Control": "public, max-age=3600"}
    if is_known(request.headers, tag):
        return Response(None, 304, headers)
    return Response(content, 200, headers, media_type="application/json")


@router.get("/v1/classes", responses=told(ClassPage))
@living.get("/v1/offers/classes", responses=told(ClassPage), include_in_schema=False)
def list_classes() -> Response:
    """The catalogue of GPU classes."""
    return answer(ClassPage([ClassTold.of(row) for row in load_classes()]))


@living.get("/v1/book/{class_name}", responses=told(BookAnswer))
@living.get("/v1/offers/book/{class_name}", responses=told(BookAnswer), include_in_schema=False)
def get_book(class_name: ClassName, desks: DesksHere, depth: Depth = "50", after: AfterBid = None) -> Response:
    """Asks and bids of one class, the best of both."""
    price, _, order = (after or "").partition("-")
    seen = (int(price), bytes32(order)) if after else None
    return answer(desks.offers.book(class_from(class_name), int(depth), seen))


@living.get("/v1/reservations", responses=told(ReservationPage))
def list_reservations(
    desks: DesksHere, gpu: ClassFilter = None, after: AfterLease = None, limit: Limit = "50"
) -> Response:
    """Orders for term leases that wait for a provider, with their signatures, the oldest first."""
    accepted_at, _, order = (after or "").partition("-")
    seen = (UnixTime(int(accepted_at)), bytes32(order)) if after else None
    return answer(desks.offers.reservations(class_from(gpu) if gpu else None, seen, int(limit)))


def list_offers(
    desks: DesksHere,
    gpu: ClassFilter = None,
    provider: ProviderFilter = None,
    listed: Flag = "true",
    after: After = None,
    limit: Limit = "50",
) -> Response:
    """Offers in the order of their numbers."""
    found = desks.offers.page(
        gpu_class=None if gpu is None else class_from(gpu).number,
        provider=None if provider is None else address(provider),
        listed_only=listed == "true",
        after=OfferId(int(after or 0)),
        limit=int(limit),
    )
    return answer(found)


def add_often_asked(app: FastAPI) -> None:
    """The list of offers, outside of the router."""
    app.router.add_api_route(
        "/v1/offers", list_offers, methods=["GET"], tags=["market"], responses=told(OfferPage),
        route_class_override=AboutOffers,
    )  # fmt: skip


@living.get("/v1/offers/{offer}", responses=told(OfferAnswer))
def get_offer(offer: OfferNumber, desks: DesksHere) -> Response:
    """One offer."""
    return answer(desks.offers.offer(OfferId(int(offer))))


@living.get("/v1/prices/{class_name}", responses=told(PriceAnswer))
def get_price(class_name: ClassName, desks: DesksHere) -> Response:
    """What a class has cost, from the contract's own volumes. Informational: nobody should settle on it."""
    return answer(desks.offers.price(class_from(class_name)))


@cache
def _abi() -> tuple[bytes, str]:
    """The ABI as it is sent, and its entity tag."""
    content = json.dumps(contract_abi("ComputeMarket").document, separators=(",", ":")).encode()
    return content, f'"{sha256_of(content)}"'
