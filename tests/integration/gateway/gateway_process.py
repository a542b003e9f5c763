"""A gateway as a process of its own, for tests that kill it."""

from __future__ import annotations

from time import time
from typing import Any

from marketplace.chain.blocks import Chain
from marketplace.chain.market import Market
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from marketplace.gateway.server import serve
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal


def run(given: dict[str, Any]) -> None:
    """Serve until the process is told to stop, or killed."""
    market = Market(Chain([given["rpc"]]), given["market"])
    desks = desks_over(
        market, OperatorJournal(given["journal"]), Board(given["redis"]), FolderBlobs(given["blobs"]),
        MarketRoles(given["catalogue"], given["opener"], given["arbiter"]), clock=time,
    )  # fmt: skip
    serve(create_app(desks), port=given["port"])
