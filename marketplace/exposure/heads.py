"""What of a head goes on to the other side: nothing of one connection's own, and nothing that would reach beyond this origin."""

from __future__ import annotations

import re
from typing import Final

import h11

from marketplace.exposure.door import COOKIE_MARK, Door, bearer_of, cookies_of, values_of

Headers = list[tuple[bytes, bytes]]

_OF_A_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"expect", b"proxy-connection", b"proxy-authenticate",
     b"proxy-authorization"}
)  # fmt: skip
_OF_WHOM_WE_SERVE: Final = frozenset({b"cookie", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"})  # fmt: skip
_OF_MORE_THAN_AN_ORIGIN: Final = frozenset({b"alt-svc", b"clear-site-data", b"strict-transport-security"})
"""Browsers apply them to every port of the host, or to every host of the domain."""
_DOMAIN: Final = re.compile(r";\s*domain\s*(=[^;]*)?(?=;|$)", re.IGNORECASE)
_UPGRADE: Final = [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]


def asked_of_job(request: h11.Request, door: Door, *, is_websocket: bool) -> h11.Request:
    """The request as the job sees it: without our cookie, our token, and the addresses of who asks."""
    left_out = _OF_A_CONNECTION | _OF_WHOM_WE_SERVE | _named_by_connection(request)
    if bearer_of(request) == door.token:
        left_out |= {b"authorization"}
    if values_of(request, b"transfer-encoding"):
        left_out |= {b"content-length"}  # h11 goes by the former; what is there shall not choose
    kept = [(name, value) for name, value in request.headers if name not in left_out and not _tells(name, value, door)]
    others = [f"{name}={value}" for name, value in cookies_of(request) if not _is_ours(name)]
    kept += [(b"cookie", "; ".join(others).encode("latin-1"))] if others else []
    kept += [(b"x-forwarded-host", door.host.name.encode()), (b"x-forwarded-proto", door.host.scheme.encode())]
    # One request for each connection: nothing that follows could be taken for another one.
    kept += _UPGRADE if is_websocket else [(b"connection", b"close")]
    return h11.Request(method=request.method, target=request.target, headers=kept)


def said_by_job(answer: h11.Response | h11.InformationalResponse) -> Headers:
    """The headers of an answer as the browser gets them: cookies are this host's own, and none is ours."""
    left_out = _OF_A_CONNECTION | _OF_MORE_THAN_AN_ORIGIN | _named_by_connection(answer)
    kept = [(name, value) for name, value in answer.headers if name not in left_out]
    told = [(name, _own(value) if name == b"set-cookie" else value) for name, value in kept]
    return [(name, value) for name, value in told if not (name == b"set-cookie" and _sets_ours(value))]


def switched(answer: h11.InformationalResponse) -> h11.InformationalResponse:
    """The job's yes to a WebSocket, passed on."""
    return h11.InformationalResponse(status_code=101, headers=said_by_job(answer) + _UPGRADE, reason=answer.reason)


def _named_by_connection(message: h11.Request | h11.Response | h11.InformationalResponse) -> frozenset[bytes]:
    """What ``Connection`` names is of that connection; the message's framing is h11's to say, whoever names it."""
    named = {word.strip().lower() for value in values_of(message, b"connection") for word in value.split(",")}
    return frozenset(word.encode("latin-1") for word in named) - {b"transfer-encoding", b"content-length", b"host"}


def _tells(name: bytes, value: bytes, door: Door) -> bool:
    """Whether a header, such as ``Referer``, has one of our secrets in it."""
    return name != b"authorization" and any(secret.encode() in value for secret in (door.token, door.ticket))


def _own(cookie: bytes) -> bytes:
    return _DOMAIN.sub("", cookie.decode("latin-1")).encode("latin-1")


def _sets_ours(cookie: bytes) -> bool:
    return _is_ours(cookie.decode("latin-1").split(";")[0].partition("=")[0].strip())


def _is_ours(name: str) -> bool:
    return name.lower().removeprefix("__host-").startswith(COOKIE_MARK)
