"""HTTP connections that keep one deadline for a whole answer. A socket's own timeout starts anew with every byte, its headers' too."""

from __future__ import annotations

import http.client
import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import Any

import certifi
from urllib3 import PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_thread = threading.local()


@contextmanager
def answered_by(deadline: float) -> Iterator[None]:
    """Until when, by the monotonic clock, this thread's answers must be there. What comes later raises TimeoutError in its reader."""
    _thread.deadline = deadline
    try:
        yield
    finally:
        _thread.deadline = inf


class _TimedReader(io.RawIOBase):
    """A socket that is read with what is left of the time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw: Any = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = getattr(_thread, "deadline", inf) - monotonic()
        usual = self._sock.gettimeout()
        if left <= 0:
            raise TimeoutError("the answer is not whole in time")
        if usual is not None:
            self._sock.settimeout(min(left, usual))
        try:
            count: int | None = self._raw.readinto(buffer)
            return count
        finally:
            self._sock.settimeout(usual)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(sock))


class _TimedConnection(HTTPConnection):
    response_class = _TimedResponse


class _TimedTlsConnection(HTTPSConnection):
    response_class = _TimedResponse


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection


def timed_connections(kept: int) -> PoolManager:
    """So many connections that are kept, to one place, for requests that are made within ``answered_by``. Nothing is read from the environment."""
    pools = PoolManager(num_pools=1, maxsize=kept, ca_certs=certifi.where())
    pools.pool_classes_by_scheme = {"http": _TimedPool, "https": _TimedTlsPool}
    return pools
