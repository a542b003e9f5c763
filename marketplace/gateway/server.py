"""Runs the application until it is asked to stop: no new connections then, streams end, running requests finish."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from types import FrameType
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from marketplace.daemon import About
from marketplace.gateway.connections import ConnectionLimits, Doors
from marketplace.gateway.proxies import TrustedProxies
from marketplace.watchdog import STOPPING_SECONDS, Pulse, Watchdog

GRACE_SECONDS = 20
"""How long running requests may take to finish after SIGTERM; the journal has what was answered."""

KEEP_ALIVE_SECONDS = 30
DEFAULT_LIMITS = ConnectionLimits()
OTHER_FILES = 512
"""Journals, blobs, connections to Redis and to nodes."""
TURNS = 20
"""Of the event loop, before idle connections are closed: connections that wait are accepted, read and understood in a few."""
TICK_SECONDS = 5.0
"""The event loop is heard of at least so often."""


class DrainingServer(uvicorn.Server):
    """Ends once, however often it is asked to: uvicorn's own would drop its requests at a second SIGINT. SIGHUP is survived."""

    def __init__(self, config: uvicorn.Config, pulse: Pulse, about: About) -> None:
        config.callback_notify, config.timeout_notify = self._tick, 1
        super().__init__(config)
        self.reason = ""
        self._pulse, self._about, self._log = pulse, about, structlog.get_logger()
        self._is_up = self._is_hung_up = self._has_told = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Not kept for uvicorn, which would raise the signal once more when it is done; having drained, we simply return."""
        self.reason = self.reason or signal.Signals(sig).name
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take in what has arrived, then drain: uvicorn's own hangs up on a request that lies unread in its connection, or waits for one."""
        await _turn_over()
        for server in self.servers:
            server.close()
        await _turn_over()
        await super().shutdown(sockets)

    def note_hangup(self, *_: object) -> None:
        self._is_hung_up = True

    async def _tick(self) -> None:
        """Every second or two, by the event loop itself."""
        self._pulse.beat(TICK_SECONDS)
        if not self._is_up:
            self._is_up = True
            self._log.info("gateway.up", version=version("compute-bourse"), **self._about())
        if self._is_hung_up and not self._has_told:
            self._has_told = True
            self._log.info("gateway.hangup_ignored")


async def _turn_over() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


def server_for(
    app: FastAPI,
    host: str,
    port: int,
    *,
    pulse: Pulse | None = None,
    about: About = dict,
    limits: ConnectionLimits = DEFAULT_LIMITS,
) -> DrainingServer:
    """A server that is not running yet. Set its ``should_exit`` to stop it, from any thread.

    Who sends a request is who the connection is from, or whom one of ``limits.proxies`` names.
    """
    doors: Any = Doors(limits)
    config = uvicorn.Config(
        app, host=host, port=port, http=doors, loop="uvloop", lifespan="off", ws="none", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip
    server = DrainingServer(config, pulse or Pulse(), about)
    app.state.is_stopping = lambda: server.should_exit
    return server


def limits_of_this_process() -> ConnectionLimits:
    """As many connections as there may be, and no more than there are files to open for them; asks for as many as are allowed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DEFAULT_LIMITS.connections + OTHER_FILES
    files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(files, resource.getrlimit(resource.RLIMIT_NOFILE)[0]), most))
    return replace(DEFAULT_LIMITS, connections=max(1, min(DEFAULT_LIMITS.connections, files - OTHER_FILES)))


def serve(
    app: FastAPI,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    listener: socket.socket | None = None,
    about: About = dict,
    proxies: TrustedProxies = DEFAULT_LIMITS.proxies,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. ``listener``: a bound socket to use instead of host and port."""
    pulse = Pulse()
    limits = replace(limits_of_this_process(), proxies=proxies)
    server = server_for(app, host, port, pulse=pulse, about=about, limits=limits)
    watchdog = Watchdog(
        pulse, "gateway", is_stopping=lambda: server.should_exit, stopping_seconds=GRACE_SECONDS + STOPPING_SECONDS
    )
    reason = "crashed"
    # What has been loaded by now stays for good: looked through for garbage again and again, it would hold up all requests for a fifth of a second.
    gc.collect()
    gc.freeze()
    try:
        with _signals_to(server), watchdog.watching():
            server.run(sockets=[listener] if listener else None)
        reason = server.reason or "asked to"
    finally:
        structlog.get_logger().info("gateway.stopped", reason=reason, **about())


@contextmanager
def _signals_to(server: DrainingServer) -> Iterator[None]:
    """Also before uvicorn listens to signals, and when it does so no longer."""
    before = {number: signal.signal(number, server.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, server.note_hangup)
    try:
        yield
    finally:
        for number, former in before.items():
            # Asked to end, the process does: a further signal must not make a failure of it.
            signal.signal(number, signal.SIG_IGN if server.reason else former)
