"""A gateway as a process of its own, for tests that kill it."""

from __future__ import annotations

import os
import signal
import socket
import threading
from time import monotonic, time
from typing import Any

from marketplace.chain.blocks import Chain
from marketplace.chain.market import MarketContract
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from marketplace.gateway.server import serve
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from marketplace.workers import serve_by_workers


def run_workers(given: dict[str, Any]) -> None:
    """The same by two processes behind one port."""
    raise SystemExit(serve_by_workers(2, "127.0.0.1", given["port"], lambda listener: run(given, listener)))


def run_asked_at_birth(given: dict[str, Any]) -> None:
    """A worker that is forked only to find that its parent has been asked to stop, and asks it to, before it has done anything."""
    os.register_at_fork(after_in_child=_ask_for_the_end)
    raise SystemExit(serve_by_workers(1, "127.0.0.1", given["port"], lambda _: threading.Event().wait(60)))


def _ask_for_the_end() -> None:
    os.kill(os.getppid(), signal.SIGTERM)
    deadline, pause = monotonic() + 20, threading.Event()
    while signal.SIGTERM not in signal.sigpending() and monotonic() < deadline:
        pause.wait(0.01)


def run(given: dict[str, Any], listener: socket.socket | None = None) -> None:
    """Serve until the process is told to stop, or killed."""
    market = MarketContract(Chain([given["rpc"]]), given["market"])
    desks = desks_over(
        market, OperatorJournal(given["journal"]), Board(given["redis"]), FolderBlobs(given["blobs"]),
        MarketRoles(given["catalogue"], given["opener"], given["arbiter"]), clock=time,
    )  # fmt: skip
    serve(create_app(desks), port=given["port"], listener=listener)
