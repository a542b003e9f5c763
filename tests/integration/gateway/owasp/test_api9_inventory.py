"""API9:2023, improper inventory management: what is served is what the document says, and nothing older beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from marketplace.domain.canonical import canonical_json
from marketplace.domain.ids import bytes32_of, sha256_of
from tests.integration.gateway.conftest import CLIENT, Gateway

ALIASES = {"/v1/offers/classes", "/v1/offers/book/{class_name}"}
"""Other spellings of documented routes, for people who look below offers."""


def test_every_route_is_in_the_document(gateway: Gateway) -> None:
    """And every documented one is served: nothing is left over from another time."""
    served = {route.path for route in _routes(gateway)}
    told = set(gateway.http.get("/openapi.json").json()["paths"])

    assert served - ALIASES == told | {"/openapi.json", "/docs"}


def test_every_route_is_on_the_page_for_people(gateway: Gateway) -> None:
    """docs/reference/http.md names them all, with ids in words of its own."""
    page = (Path(__file__).parents[4] / "docs" / "reference" / "http.md").read_text()
    for route in _routes(gateway):
        start = route.path.split("{")[0].rstrip("/")
        assert start in page, route.path
    assert len(_routes(gateway)) > 20


@pytest.mark.parametrize(
    "path", ["/v0/market", "/v2/market", "/market", "/api/v1/market", "/v1/v1/market", "/V1/market"]
)
def test_there_is_one_version(gateway: Gateway, path: str) -> None:
    """No forgotten one, no future one, no other spelling."""
    assert gateway.http.get(path).status_code == 404


def test_specs_of_another_time_are_not_taken(gateway: Gateway) -> None:
    """Version 1, in which everybody could read command and inputs, is gone."""
    old = canonical_json({"version": 1, "image": "host", "command": ["true"]})
    gateway.keep(old, CLIENT, public=True)

    told = gateway.post_order(gateway.signed(spec=bytes32_of(sha256_of(old))))

    assert (told.status_code, told.json()["field"]) == (422, "spec.version")
    assert json.loads(gateway.spec().canonical())["version"] == 2


def _routes(gateway: Gateway) -> list[Route]:
    """Those of the application itself, and of the routers that it includes."""
    found: list[Route] = []
    for item in gateway.app.routes:
        inner = getattr(item, "original_router", None)
        found += [route for route in (inner.routes if inner else [item]) if isinstance(route, Route | APIRoute)]
    return found
