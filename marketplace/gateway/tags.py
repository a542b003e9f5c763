"""Entity tags for answers in JSON and CSV: who has the very bytes already is told so, and they are not sent again (RFC 9110, 13.1.2)."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketplace.domain.ids import sha256_of
from marketplace.gateway.ranges import is_known

_TAGGED = (b"application/json", b"text/csv")
_OF_A_BODY = (b"content-length", b"content-type", b"content-disposition")
_LETTERS = 32
"""Of the hash in a tag: nobody gains by two answers with one tag, so chance alone has to be kept away."""

RawHeaders = list[tuple[bytes, bytes]]


class TagAnswers:
    """ASGI middleware: a whole answer to a GET has a tag, and a 304 stands for one that the client has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        held: Message | None = None

        async def tagged(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_taggable(message):
                held = message
                return
            if held is not None:
                start, held = held, None
                message = await _sent(scope, start, message, send)
            await send(message)

        await self._app(scope, receive, tagged)


def tag_of(content: bytes) -> str:
    return f'"{sha256_of(content)[:_LETTERS]}"'


async def _sent(scope: Scope, start: Message, body: Message, send: Send) -> Message:
    """Send the head of the answer; the body that is left to send."""
    headers: RawHeaders = list(start["headers"])
    if body.get("more_body"):
        await send(start)
        return body
    tag = _header(headers, b"etag") or tag_of(body.get("body", b""))
    if is_known(Headers(scope=scope), tag):
        kept = [(name, value) for name, value in headers if name not in (*_OF_A_BODY, b"etag")]
        await send({**start, "status": 304, "headers": [*kept, (b"etag", tag.encode())]})
        return {**body, "body": b""}
    if not _header(headers, b"etag"):
        headers.append((b"etag", tag.encode()))
    await send({**start, "headers": headers})
    return body


def _is_taggable(start: Message) -> bool:
    return start["status"] == 200 and _header(start["headers"], b"content-type").encode().startswith(_TAGGED)


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")
