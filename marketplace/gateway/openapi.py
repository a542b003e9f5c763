"""How the routes describe themselves in OpenAPI: what they answer with, and the bodies that we read ourselves."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from marketplace.gateway.problems import PROBLEM_JSON
from marketplace.gateway.result_schemas import ReceiptSubmission
from marketplace.gateway.schemas import (
    Decline,
    DraftQuoteRequest,
    Heartbeat,
    JobKey,
    OrderQuoteRequest,
    OrderSubmission,
    Problem,
    Shape,
)
from marketplace.gateway.session_schemas import SignInRequest

PROBLEM: dict[str, Any] = {
    "description": "What is wrong, as a problem (RFC 9457)",
    "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

REQUESTS: tuple[type[Shape], ...] = (
    OrderSubmission,
    ReceiptSubmission,
    Decline,
    JobKey,
    DraftQuoteRequest,
    OrderQuoteRequest,
    Heartbeat,
    SignInRequest,
    Problem,
)


def told(shape: type[Shape], *statuses: int, description: str = "") -> dict[int | str, dict[str, Any]]:
    """What a route answers with, for OpenAPI."""
    return {status: {"model": shape, "description": description or shape.__name__} for status in statuses or (200,)}


def asked(*shapes: type[Shape]) -> dict[str, Any]:
    """The JSON body that a route reads, for OpenAPI (``openapi_extra``)."""
    options = [{"$ref": f"#/components/schemas/{shape.__name__}"} for shape in shapes]
    schema = options[0] if len(options) == 1 else {"anyOf": options}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def bytes_asked(description: str) -> dict[str, Any]:
    """The raw body that a route reads, for OpenAPI."""
    schema = {"type": "string", "format": "binary"}
    content = {"application/octet-stream": {"schema": schema}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def document_of(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, and the shapes that only we refer to."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        _, shapes = models_json_schema(
            [(shape, "validation") for shape in REQUESTS], ref_template="#/components/schemas/{model}"
        )
        document.setdefault("components", {}).setdefault("schemas", {}).update(shapes["$defs"])
        app.openapi_schema = document
    return app.openapi_schema
