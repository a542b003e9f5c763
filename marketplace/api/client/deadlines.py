"""HTTP connections that keep one deadline for a whole request. A socket's own timeout starts anew with every byte.

The connections are those of httpcore, as in httpx's own transport; only the stream that reads and writes asks for what is left of the time.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from time import monotonic
from typing import Any

import httpcore
import httpx

_thread = threading.local()

_PIECE_BYTES = 1 << 14
"""What is written before the clock is looked at again."""
_MOST_CONNECTIONS = 100
_MOST_IDLE = 20
_IDLE_SECONDS = 5.0


class Deadline:
    """When a request must be over: after some seconds, and later by what its bytes need on a line that is slow but honest."""

    def __init__(self, seconds: float, least_bytes_per_second: int) -> None:
        self._end = monotonic() + seconds
        self._rate = least_bytes_per_second

    def moved(self, count: int) -> None:
        """So many bytes of a body have been sent or received."""
        self._end += count / self._rate

    @property
    def left_seconds(self) -> float:
        """What is left of the time; 0 or less when it is over."""
        return self._end - monotonic()

    def left_of(self, seconds: float | None) -> float:
        """The smaller of a pause and what is left; raise ReadTimeout where nothing is."""
        left = self.left_seconds
        if left <= 0:
            raise httpcore.ReadTimeout("the answer is not whole in time")
        return left if seconds is None else min(left, seconds)


@contextmanager
def answered_by(deadline: Deadline) -> Iterator[None]:
    """Until when this thread's requests must be over. What comes later raises a TimeoutException in its reader."""
    former = getattr(_thread, "deadline", None)
    _thread.deadline = deadline
    try:
        yield
    finally:
        _thread.deadline = former


def _left_of(seconds: float | None) -> float | None:
    deadline: Deadline | None = getattr(_thread, "deadline", None)
    return seconds if deadline is None else deadline.left_of(seconds)


class _TimedStream(httpcore.NetworkStream):
    """A connection that is read and written with what is left of the time."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left_of(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE_BYTES):
            self._inner.write(buffer[start : start + _PIECE_BYTES], _left_of(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        return _TimedStream(self._inner.start_tls(ssl_context, server_hostname, _left_of(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _TimedBackend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        return _TimedStream(self._inner.connect_tcp(host, port, _left_of(timeout), local_address, socket_options))


@contextmanager
def _as_httpx() -> Iterator[None]:
    """What goes wrong on the line, as the errors that a transport of httpx raises."""
    try:
        yield
    except httpcore.TimeoutException as exc:
        raise httpx.ReadTimeout(str(exc) or type(exc).__name__) from exc
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ConnectionNotAvailable,
        httpcore.UnsupportedProtocol,
    ) as exc:
        raise httpx.NetworkError(str(exc) or type(exc).__name__) from exc


class _Body(httpx.SyncByteStream):
    def __init__(self, inner: Iterable[bytes], close: Any) -> None:
        self._inner, self._close = inner, close

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._inner

    def close(self) -> None:
        self._close()


@cache
def tls_context() -> ssl.SSLContext:
    """Which certificates are trusted: certifi's, and nothing that the environment names. Reading them takes longer than many a request."""
    return httpx.create_ssl_context(trust_env=False)


class TimedTransport(httpx.BaseTransport):
    """For requests that are made, and whose answers are read, within ``answered_by``."""

    def __init__(self) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls_context(), max_connections=_MOST_CONNECTIONS,
            max_keepalive_connections=_MOST_IDLE, keepalive_expiry=_IDLE_SECONDS, network_backend=_TimedBackend(),
        )  # fmt: skip

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        assert isinstance(request.stream, httpx.SyncByteStream)
        asked = httpcore.Request(
            request.method, target, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        with _as_httpx():
            answer = self._pool.handle_request(asked)
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream, answer.close),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        self._pool.close()
