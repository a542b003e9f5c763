"""The methods that every route answers: HEAD where it answers GET, OPTIONS, and a true ``Allow`` where neither fits.

A HEAD is served as the GET it stands for, so that both say the same; only what was signed knows the difference (``method_as_sent``).
"""

from __future__ import annotations

from fastapi import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SENT = "bourse.method"
_ROUTED = ("GET", "POST", "PUT", "DELETE")


class AnswerHead:
    """ASGI middleware: a HEAD becomes a GET whose body stays here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET", _SENT: "HEAD"}, receive, without_body)


def method_in(scope: Scope) -> str:
    """The method as the client wrote it."""
    return str(scope.get(_SENT, scope["method"]))


def method_as_sent(request: Request) -> str:
    """The method that the client wrote, and signed."""
    return method_in(request.scope)


def is_head(request: Request) -> bool:
    """Whether only the answer's headers are asked for: what would stream without end need not begin."""
    return method_as_sent(request) == "HEAD"


def allowed_methods(request: Request) -> str:
    """What this path answers, as ``Allow`` lists it; "" where there is no such path."""
    found = [method for method in _ROUTED if _is_routed(request, method)]
    head = ["HEAD"] if "GET" in found else []
    return ", ".join([*found, *head, "OPTIONS"]) if found else ""


def _is_routed(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(dict(scope))[0] is Match.FULL for route in request.app.routes)
