"""A gateway as a process of its own, for tests that kill it."""

from __future__ import annotations

import socket
from time import time
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


def run(given: dict[str, Any], listener: socket.socket | None = None) -> None:
    """Serve until the process is told to stop, or killed."""
    market = MarketContract(Chain([given["rpc"]]), given["market"])
    desks = desks_over(
        market, OperatorJournal(given["journal"]), Board(given["redis"]), FolderBlobs(given["blobs"]),
        MarketRoles(given["catalogue"], given["opener"], given["arbiter"]), clock=time,
    )  # fmt: skip
    serve(create_app(desks), port=given["port"], listener=listener)
