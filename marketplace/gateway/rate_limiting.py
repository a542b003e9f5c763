"""Rate limits on their way in: by address before anything is read, by account once it has signed. A 429 says how long to wait."""

from __future__ import annotations

import asyncio

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from marketplace.domain.errors import TooManyRequests
from marketplace.gateway.problems import problem_of
from marketplace.services.rate_limits import Cost, RateLimits

_FREE = frozenset({"/live", "/ready"})
"""Supervisors and balancers ask these, from one address; they cost nothing, or nothing more than once a second."""
_COSTLY = frozenset(
    {("POST", "/v1/quotes"), ("POST", "/v1/orders"), ("POST", "/v1/sessions"), ("GET", "/v1/sessions/challenge")}
)
HELD_SECONDS = 1.0
"""How long a refusal is kept back: a connection that asks on and on is refused so often and no more, and costs hardly anything."""
_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def cost_of(method: str, path: str) -> Cost:
    """What a request costs, as far as its first line tells."""
    if (method, path) in _COSTLY:
        return Cost.COSTLY
    return Cost.READ if method in _READS else Cost.WRITE


class LimitRequests:
    """ASGI middleware: turns away who asks too often, before its body is read and before its signature is looked at."""

    def __init__(self, app: ASGIApp, limits: RateLimits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _FREE:
            await self._app(scope, receive, send)
            return
        if self._limits.is_due():
            asyncio.get_running_loop().run_in_executor(None, self._limits.share)
        host = (scope.get("client") or ("unknown", 0))[0]
        try:
            self._limits.admit_address(host, cost_of(scope["method"], scope["path"]))
        except TooManyRequests as error:
            await _left_or_waited(receive)
            await problem_of(error).response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _left_or_waited(receive: Receive) -> None:
    """Until the sender has hung up, or has waited long enough. What it still sends of a body is read, and dropped."""
    with anyio.move_on_after(HELD_SECONDS):
        while (await receive())["type"] != "http.disconnect":
            continue
