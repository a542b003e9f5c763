"""A gateway that has blobs, or lies under their names, and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.client.http import Retries, Timeout
from tests.hostile.gateway.liar import answer, lying
from tests.hostile.gateway.telling import DOMAIN, KEY, NOW


@contextmanager
def shelf(blobs: dict[str, bytes]) -> Iterator[GatewayApi]:
    """The client of SDK and agent, before a shelf with these blobs; they may change meanwhile."""

    def speak(connection: socket.socket, head: bytes) -> None:
        content = blobs.get(head.split(b" ")[1].rpartition(b"/")[2].decode())
        connection.sendall(answer(b"{}", 404) if content is None else answer(content))

    with lying(speak) as liar:
        api = GatewayApi(
            liar.url, key=KEY, domain=DOMAIN, block_time=lambda: NOW, retries=Retries(attempts=1), timeout=Timeout(total_seconds=20),
        )  # fmt: skip
        yield api
        api.close()
