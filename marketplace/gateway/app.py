"""The application: routes, problems, numbers. Everything it needs is handed in; it holds no state of its own."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from marketplace.gateway.desks import Desks
from marketplace.gateway.metrics import CountRequests, Metrics
from marketplace.gateway.problems import PROBLEM_JSON, render_problems
from marketplace.gateway.routes import accounts, blobs, health, leases, market, orders, quotes, streams
from marketplace.gateway.schemas import REQUESTS
from marketplace.gateway.streams import Lines

API_VERSION = "1"

_PROBLEM = {
    "description": "What is wrong, as a problem (RFC 9457)",
    "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def create_app(desks: Desks) -> FastAPI:
    """The gateway over these services."""
    app = FastAPI(
        title="Compute Bourse", version=API_VERSION, docs_url=None, redoc_url=None, redirect_slashes=False,
        responses={"default": _PROBLEM},
    )  # fmt: skip
    app.state.desks = desks
    app.state.metrics = Metrics()
    app.state.lines = Lines()
    app.state.is_stopping = lambda: False
    app.add_middleware(CountRequests, metrics=app.state.metrics)
    render_problems(app)
    for noun in (market, quotes, orders, leases, streams, blobs, accounts, health):
        app.include_router(noun.router)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's own way of extending the document
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, and the shapes of the bodies that we read ourselves."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes, description=app.description)
        _, shapes = models_json_schema(
            [(shape, "validation") for shape in REQUESTS], ref_template="#/components/schemas/{model}"
        )
        document.setdefault("components", {}).setdefault("schemas", {}).update(shapes["$defs"])
        app.openapi_schema = document
    return app.openapi_schema
