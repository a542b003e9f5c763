"""Cross-origin reads by browsers, for the origins that the operator names; nobody's by default.

Only headers are added: what a page of another origin may not read is answered all the same, and kept from it by its browser. There are
no cookies here, and so no credentials.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SENT = ", ".join(
    (
        "Accept", "Authorization", "Bourse-Account", "Bourse-For", "Bourse-Signature", "Bourse-Time", "Content-Type",
        "Idempotency-Key", "If-None-Match", "If-Range", "Last-Event-ID", "Range",
    )
)  # fmt: skip
_SHOWN = ", ".join(
    (
        "Accept-Ranges", "Allow", "Bourse-Log-Next", "Content-Disposition", "Content-Range", "ETag", "Idempotent-Replayed",
        "Location", "Retry-After", "WWW-Authenticate",
    )
)  # fmt: skip
_REMEMBERED_SECONDS = "600"
ANY = "*"


class AllowOrigins:
    """ASGI middleware: tells browsers that pages of these origins (or of ``*``, any) may use the market from where they are."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app, self._origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope)

        async def allowing(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._allow(asked, scope["method"], MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, allowing)

    def _allow(self, asked: Headers, method: str, told: MutableHeaders) -> None:
        told.add_vary_header("Origin")
        origin = asked.get("origin", "")
        if not origin or not ({origin, ANY} & self._origins):
            return
        told["Access-Control-Allow-Origin"] = origin
        told["Access-Control-Expose-Headers"] = _SHOWN
        if method == "OPTIONS" and "access-control-request-method" in asked:
            told["Access-Control-Allow-Methods"] = told.get("allow", "")
            told["Access-Control-Allow-Headers"] = _SENT
            told["Access-Control-Max-Age"] = _REMEMBERED_SECONDS
