"""The surface, described for people."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from marketplace.gateway.docs_page import page_of

router = APIRouter()

_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "max-age=3600"}


@router.get("/docs", include_in_schema=False)
def get_docs(request: Request) -> Response:
    """OpenAPI as a page: made here, nothing in it comes from elsewhere."""
    return Response(page_of(request.app.openapi()), 200, _HEADERS, "text/html; charset=utf-8")
