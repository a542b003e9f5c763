"""Ports for the servers that tests start: none that another worker, another run or an outgoing connection takes meanwhile."""

from __future__ import annotations

import itertools
import os
import random
import socket
from typing import Final

_FIRST: Final = 12_000
_PORTS: Final = 18_000
"""Below the range from which Linux gives ports to outgoing connections."""
_numbers = itertools.count(random.Random(os.getpid()).randrange(_PORTS))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at; each call of a process gives another one, until it has had all."""
    for number in itertools.islice(_numbers, _PORTS):
        port = _FIRST + number % _PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
