"""Runs the application until it is asked to stop: no new connections then, streams end, running requests finish."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

GRACE_SECONDS = 20
"""How long running requests may take to finish after SIGTERM; the journal has what was answered."""

KEEP_ALIVE_SECONDS = 30


def server_for(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """A server that is not running yet. Set its ``should_exit`` to stop it, from any thread."""
    config = uvicorn.Config(
        app, host=host, port=port, http="httptools", loop="uvloop", lifespan="off", ws="none", log_config=None,
        access_log=False, server_header=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    app.state.is_stopping = lambda: server.should_exit
    return server


def serve(app: FastAPI, host: str = "127.0.0.1", port: int = 8000, *, listener: socket.socket | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. ``listener``: a bound socket to use instead of host and port."""
    with _quiet_signals():
        server_for(app, host, port).run(sockets=[listener] if listener else None)


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """uvicorn raises the signals that it caught once more when it is done; having drained, we simply return."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
