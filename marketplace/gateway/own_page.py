"""The page from one's own install: its files and the address book are this machine's, all else is a gateway's, passed on.

So no gateway's code shows the money or speaks to the wallet, and a gateway that names another market, scheduler or arbiter is refused.
What passes is chosen on both ways: other programs of this machine keep their cookies, and no answer becomes a page of this origin.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from html import escape
from typing import Final

import httpx
from fastapi import FastAPI, Request
from starlette.background import BackgroundTask
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response, StreamingResponse

from marketplace.domain.ids import Address
from marketplace.gateway.page_session import COOKIE
from marketplace.gateway.problems import Problem, render_problems
from marketplace.gateway.routes import static
from marketplace.gateway.static_files import Folder, StaticFile

MOST_QUESTIONS: Final = 64
"""Passed on at a time, streams included."""
_PATIENCE: Final = httpx.Timeout(10, read=60)
"""Seconds. A stream says something at least every 15."""
_LOOK_SECONDS: Final = 0.5
"""Between two looks whether anybody still listens."""
_HERE: Final = ["127.0.0.1", "localhost"]
"""By any other name it is not asked: a stranger's name may lead to this machine, too (DNS rebinding)."""
_ASKED: Final = frozenset(
    {
        b"accept", b"accept-encoding", b"content-length", b"content-type", b"idempotency-key", b"if-none-match", b"last-event-id",
        b"range", b"sec-fetch-site",
    }
)  # fmt: skip
_TOLD: Final = frozenset(
    {
        b"accept-ranges", b"cache-control", b"content-encoding", b"content-length", b"content-range", b"content-type", b"etag",
        b"retry-after", b"vary",
    }
)  # fmt: skip
_OURS: Final = [(b"content-security-policy", b"default-src 'none'; sandbox"), (b"x-content-type-options", b"nosniff")]


@dataclass(frozen=True, slots=True)
class OwnWord:
    """What the page takes from this install: a gateway that says otherwise is refused."""

    gateway: str
    """The gateway's ``host:port``, by which it names itself when somebody signs in."""
    chain: int
    market: Address
    token: Address
    opener: Address | None
    arbiter: Address | None


def own_page(page: Folder, gateway: str, word: OwnWord) -> FastAPI:
    """Serves the page at ``/``, and passes on what it asks of the gateway at this address."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    render_problems(app)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=_HERE)
    app.include_router(static.router_of({**page, "index.html": _with_word(page["index.html"], word)}))
    passing = _Passing(gateway)
    app.add_route("/v1/{path:path}", passing.asked, methods=["GET", "POST", "PUT", "DELETE"])
    app.add_route("/ready", passing.asked, methods=["GET"])
    return app


def _with_word(index: StaticFile, word: OwnWord) -> StaticFile:
    told = escape(json.dumps(asdict(word)), quote=True).encode()
    return index.saying(
        index.content.replace(b"</head>", b'<meta name="bourse-own" content="' + told + b'">\n</head>', 1)
    )


class _Passing:
    """Asks the gateway what the page asks."""

    def __init__(self, gateway: str) -> None:
        # A connection for each question: one person looks, and none is left over when the loop ends.
        limits = httpx.Limits(max_connections=MOST_QUESTIONS, max_keepalive_connections=0)
        self._http = httpx.AsyncClient(timeout=_PATIENCE, limits=limits, trust_env=False, follow_redirects=False)
        self._gateway = httpx.URL(gateway.rstrip("/"))

    async def asked(self, request: Request) -> Response:
        """The gateway's answer as it comes; a 502 where there is none."""
        given: bytes = request.scope["raw_path"]
        if query := request.scope["query_string"]:
            given += b"?" + query
        url = self._gateway.copy_with(raw_path=self._gateway.raw_path.rstrip(b"/") + given)
        body = request.stream() if "content-length" in request.headers else None
        question = self._http.build_request(request.method, url, headers=_asked(request), content=body)
        try:
            answer = await self._http.send(question, stream=True)
        except httpx.HTTPError as exc:
            why = f"the gateway at {self._gateway.host} does not answer: {type(exc).__name__}"
            return Problem(502, "GatewayUnreachable", why).response()
        streamed = StreamingResponse(
            _pieces(request, answer), answer.status_code, background=BackgroundTask(answer.aclose)
        )
        streamed.raw_headers = [*_told(answer.headers.raw), *_OURS]
        return streamed


async def _pieces(request: Request, answer: httpx.Response) -> AsyncIterator[bytes]:
    """The answer's bytes as they come, while somebody listens; where the gateway breaks off, so do we."""
    coming, over = answer.aiter_raw(), b""
    while True:
        piece = asyncio.ensure_future(anext(coming, over))
        try:
            while not (await asyncio.wait({piece}, timeout=_LOOK_SECONDS))[0]:
                if request.app.state.is_stopping() or await request.is_disconnected():
                    return
            if (found := piece.result()) == over:
                return
            yield found
        finally:
            piece.cancel()


def _asked(request: Request) -> list[tuple[bytes, bytes]]:
    passed = [(n, v) for n, v in request.headers.raw if n in _ASKED or n.startswith(b"bourse-")]
    if session := request.cookies.get(COOKIE):
        passed.append((b"cookie", f"{COOKIE}={session}".encode("latin-1")))
    return passed


def _told(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    named = [(name.lower(), value) for name, value in headers]
    ours = COOKIE.encode() + b"="
    return [
        (name, value)
        for name, value in named
        if name in _TOLD or name.startswith(b"bourse-") or (name == b"set-cookie" and value.startswith(ours))
    ]
