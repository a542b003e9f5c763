"""How JSON reaches a node and comes back: HTTP and websocket. Bounded in time and in bytes; errors are typed here."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final, Protocol
from urllib.parse import unquote

from urllib3 import BaseHTTPResponse, Timeout, make_headers
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from marketplace.chain.http_deadlines import answered_by, timed_connections
from marketplace.chain.rpc_answers import MISREAD, BatchRefused, Request, parsed, retry_after_seconds
from marketplace.domain.chain_errors import AnswerTooLarge, ChainUnavailable, RateLimited
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

LONGEST_ANSWER_BYTES: Final = 64 << 20
"""Ten thousand logs take a tenth of it. More than this is a mistake or an attack, and would fill the memory."""

_CONNECTIONS: Final = 16
_CHUNK_BYTES: Final = 1 << 16
_OK: Final = 200
_TOO_MANY_REQUESTS: Final = 429
_BATCH_REFUSALS: Final = (400, 405, 406, 413, 415, 422, 501)
"""HTTP statuses by which servers that know single requests refuse an array of them, or one of this length."""

Notice = Callable[[Any], None]
"""Takes what a node says without having been asked: the parameters of an ``eth_subscription``."""


class Transport(Protocol):
    """A connection to one node. Safe to share between threads."""

    def exchange(self, requests: Sequence[Request], timeout_seconds: float, *, is_batch: bool) -> Any:
        """Send and return the JSON that comes back. Raises ChainUnavailable, and BatchRefused where only a batch is at fault."""

    def close(self) -> None:
        """Close the connections; the next exchange opens new ones."""


class HttpTransport:
    """Requests over kept HTTP connections."""

    def __init__(self, url: str, *, longest_answer_bytes: int = LONGEST_ANSWER_BYTES) -> None:
        self._url = url
        self._longest = longest_answer_bytes
        self._headers = _headers_for(url)
        self._connections = timed_connections(_CONNECTIONS)

    def close(self) -> None:
        self._connections.clear()

    def exchange(self, requests: Sequence[Request], timeout_seconds: float, *, is_batch: bool) -> Any:
        told, deadline = named(requests), monotonic() + timeout_seconds
        try:
            # No retries and no redirects inside: who calls knows better whether to try again.
            with answered_by(deadline):
                response = self._connections.request(
                    "POST", self._url, body=content_of(requests, is_batch=is_batch), headers=self._headers,
                    timeout=Timeout(timeout_seconds, timeout_seconds), preload_content=False, retries=False, redirect=False,
                )  # fmt: skip
                try:
                    body = self._read(response, told, deadline)
                finally:  # one that is not whole is of no use to the next request
                    response.close()
                    response.release_conn()
        except (HTTPError, OSError) as exc:
            raise ChainUnavailable(f"the node does not answer {told}: {type(exc).__name__}") from exc
        return _understood(response, body, told, is_batch=is_batch)

    def _read(self, response: BaseHTTPResponse, told: str, deadline: float) -> bytes:
        """The whole body. A node that sends it byte by byte, or without end, is not waited for."""
        chunks, length = [], 0
        while chunk := response.read1(_CHUNK_BYTES, decode_content=True):
            length += len(chunk)
            if length > self._longest:
                raise AnswerTooLarge(told, self._longest)
            if monotonic() > deadline:
                raise ChainUnavailable(f"the node does not finish its answer to {told}")
            chunks.append(chunk)
        return b"".join(chunks)


def _headers_for(url: str) -> dict[str, str]:
    """What is sent with every request; a name and a password in the URL are sent as Basic authentication. Raises ChainUnavailable for no URL."""
    try:
        account = parse_url(url).auth
    except HTTPError as exc:
        raise ChainUnavailable(f"the node's URL cannot be read: {type(exc).__name__}") from exc
    told = make_headers(
        accept_encoding="gzip,deflate", user_agent="compute-bourse", basic_auth=unquote(account) if account else None
    )
    return {**told, "Content-Type": "application/json"}


def _understood(response: BaseHTTPResponse, body: bytes, told: str, *, is_batch: bool) -> Any:
    """The JSON of an HTTP answer. Some nodes send JSON-RPC errors with a status of their own: the error tells more."""
    status, headers = response.status, response.headers
    if status == _TOO_MANY_REQUESTS:
        seconds = retry_after_seconds(headers.get("Retry-After"), headers.get("Date"))
        raise RateLimited(f"the node limits {told}: HTTP {status}", seconds)
    try:
        content = parsed(body, told)
    except ChainUnavailable as exc:
        if is_batch:
            raise BatchRefused(f"HTTP {status}", is_certain=status in _BATCH_REFUSALS) from exc
        if status == _OK:
            raise
        content = None
    if status == _OK or isinstance(content, list) or (isinstance(content, dict) and "error" in content):
        return content
    if is_batch:
        raise BatchRefused(f"HTTP {status}", is_certain=status in _BATCH_REFUSALS)
    raise ChainUnavailable(f"the node answers {told} with HTTP {status}")


def content_of(requests: Sequence[Request], *, is_batch: bool) -> bytes:
    """The JSON of one request, or of a batch of them."""
    contents = [request.content for request in requests]
    return json.dumps(contents if is_batch else contents[0], separators=(",", ":")).encode()


def named(requests: Sequence[Request]) -> str:
    """What is asked, for error sentences."""
    return requests[0].method if len(requests) == 1 else f"a batch of {len(requests)}, {requests[0].method} first"


class WebSocketTransport:
    """Requests over one websocket, opened when it is needed; answers find their requests by id, in whatever order.

    ``on_notice`` is called on the reading thread; ``on_end`` when a connection has ended, for whatever reason.
    """

    def __init__(
        self,
        url: str,
        *,
        on_notice: Notice,
        on_end: Callable[[], None],
        longest_answer_bytes: int = LONGEST_ANSWER_BYTES,
    ) -> None:
        self._url = url
        self._longest = longest_answer_bytes
        self._on_notice, self._on_end = on_notice, on_end
        self._lock = threading.Lock()
        self._connection: ClientConnection | None = None
        self._waiting: dict[int, SimpleQueue[Any]] = {}

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def exchange(self, requests: Sequence[Request], timeout_seconds: float, *, is_batch: bool) -> Any:
        told, inbox = named(requests), SimpleQueue[Any]()
        deadline = monotonic() + timeout_seconds
        connection = self._connected(told, timeout_seconds)
        with self._lock:
            self._waiting.update((request.id, inbox) for request in requests)
        try:
            connection.send(content_of(requests, is_batch=is_batch).decode())
            answer = inbox.get(timeout=max(0.0, deadline - monotonic()))
        except (WebSocketException, OSError, Empty) as exc:
            raise ChainUnavailable(f"the node does not answer {told}: {type(exc).__name__}") from exc
        finally:
            with self._lock:
                for request in requests:
                    self._waiting.pop(request.id, None)
        if isinstance(answer, _Ended):
            raise answer.error(told, self._longest)
        return answer

    def _connected(self, told: str, timeout_seconds: float) -> ClientConnection:
        with self._lock:
            if self._connection is not None:
                return self._connection
            try:
                connection = connect(
                    self._url, open_timeout=timeout_seconds, close_timeout=1, max_size=self._longest, proxy=None
                )
            except (WebSocketException, OSError) as exc:
                raise ChainUnavailable(f"the node does not answer {told}: {type(exc).__name__}") from exc
            self._connection = connection
        threading.Thread(target=self._read, args=(connection,), daemon=True, name="node-websocket").start()
        return connection

    def _read(self, connection: ClientConnection) -> None:
        """Hand out what comes until the connection ends; who still waits then is told at once."""
        code = 0
        try:
            for message in connection:
                self._deliver(message)
        except (ConnectionClosed, ChainUnavailable) as exc:
            code = exc.sent.code if isinstance(exc, ConnectionClosed) and exc.sent else 0
        finally:
            # Whatever ended it: nobody reads this connection any more.
            with self._lock:
                if self._connection is connection:
                    self._connection = None
                abandoned = list(self._waiting.values())
            for inbox in abandoned:
                inbox.put(_Ended(code))
            self._on_end()
            connection.close()

    def _deliver(self, message: str | bytes) -> None:
        content = parsed(message, "what nobody asked")
        if isinstance(content, dict) and content.get("method") == "eth_subscription":
            try:
                self._on_notice(content.get("params"))
            except MISREAD:
                # Nonsense that nobody foresaw is no reason to leave those alone who wait for answers; heads are asked for instead.
                _log.exception("chain.notice_failed")
                self._on_end()
            return
        with self._lock:
            inboxes = {id(inbox): inbox for inbox in self._meant(content)}
        for inbox in inboxes.values():
            inbox.put(content)

    def _meant(self, content: Any) -> list[SimpleQueue[Any]]:
        """Who waits for this. An answer without an id that we gave is everybody's: its requests can only be guessed."""
        ones = content if isinstance(content, list) else [content]
        ids = [one.get("id") for one in ones if isinstance(one, dict)]
        found = [self._waiting[one] for one in ids if type(one) is int and one in self._waiting]
        return found or list(self._waiting.values())


class _Ended:
    """Told to who waits when the connection has ended; ``code`` is the one that we closed it with."""

    _TOO_BIG = 1009

    def __init__(self, code: int) -> None:
        self._code = code

    def error(self, told: str, limit_bytes: int) -> ChainUnavailable:
        if self._code == self._TOO_BIG:
            return AnswerTooLarge(told, limit_bytes)
        return ChainUnavailable(f"the node hangs up on {told}")
