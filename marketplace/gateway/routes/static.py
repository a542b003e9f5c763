"""The page: what people see who come with a browser. No account to look, and nothing from elsewhere."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from marketplace.domain.errors import NotFound
from marketplace.gateway.static_files import Folder, StaticFile

POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "font-src 'self'", "img-src 'self'", "connect-src 'self'",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip
"""Only what this gateway serves, no script in the text, nothing that posts or frames: a hostile name can be shown, and no more."""
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def router_of(page: Folder) -> APIRouter:
    """Serves these files, ``index.html`` at ``/``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def get_page(request: Request) -> Response:
        return answer(request, page["index.html"])

    @router.get("/assets/{name}")
    async def get_asset(name: str, request: Request) -> Response:
        file = page.get(f"assets/{name}")
        if file is None:
            raise NotFound("page file", name)
        return answer(request, file)

    return router


def answer(request: Request, file: StaticFile) -> Response:
    """The file, by gzip for who takes it; a 304 for who has it."""
    headers = {**_HEADERS, "ETag": file.etag, "Cache-Control": file.caching, "Vary": "Accept-Encoding"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, 200, {**headers, "Content-Encoding": "gzip"}, file.kind)
    return Response(file.content, 200, headers, file.kind)
