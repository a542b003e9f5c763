"""How a job's secrets pass from the agent to the job's supervisor: in memory, through a file that has no name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def secrets_in_memory(secrets: Mapping[str, bytes]) -> Iterator[int]:
    """A handle to be a supervisor's stdin; what is in it goes with its last reader."""
    with os.fdopen(os.memfd_create("secrets"), "w+b") as file:
        file.write(json.dumps({name: value.hex() for name, value in secrets.items()}).encode())
        file.seek(0)
        yield file.fileno()


def secrets_passed(handle: int) -> dict[str, bytes]:
    """Read them, in the supervisor, and put nothing in their place: what it starts must not find them."""
    with os.fdopen(os.dup(handle), "rb") as file:
        told = json.loads(file.read() or b"{}")
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, handle)
    os.close(nothing)
    return {name: bytes.fromhex(value) for name, value in told.items()}
