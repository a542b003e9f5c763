"""The real node behind the fault proxy: one kept connection for each thread that asks."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
from typing import Any
from urllib.parse import urlsplit

MAX_ANSWER_BYTES = 256 << 20


class Upstream:
    """Asks the node, honestly. Raises OSError or http.client.HTTPException where it does not answer."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self.host, self.port = urlsplit(url).hostname or "", urlsplit(url).port or 80
        if self.host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(f"{url}: the node must be on this machine")
        self._timeout = timeout_seconds
        self._local = threading.local()
        self._numbers = itertools.count(1)

    def call(self, method: str, *parameters: Any) -> Any:
        """What the node answers; None where it answers an error."""
        asked = {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": list(parameters)}
        return self.exchange(asked).get("result")

    def exchange(self, asked: Any) -> Any:
        """Hand on a request, or a batch of them; the answer, or answers."""
        body = json.dumps(asked).encode()
        for is_again in (False, True):
            connection = self._connection()
            try:
                connection.request("POST", "/", body, {"Content-Type": "application/json"})
                return json.loads(connection.getresponse().read(MAX_ANSWER_BYTES))
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # A kept connection that the node has closed meanwhile: it has not read this request.
                self.close()
                if is_again:
                    raise
            except BaseException:
                self.close()
                raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=self._timeout)
            self._local.connection = connection
        return connection
