"""The two servers that `make bench PART=api` compares, each a process of its own: the gateway, and FastAPI with nothing behind it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time  # noqa: TID251

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import FileResponse, Response

from marketplace.chain.blocks import Chain
from marketplace.chain.market import MarketContract
from marketplace.chain.watching import heads_watched
from marketplace.domain.ids import Address
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from marketplace.gateway.methods import AnswerHead
from marketplace.gateway.metrics import CountRequests, Metrics
from marketplace.gateway.rate_limiting import LimitRequests
from marketplace.gateway.server import serve
from marketplace.services.rate_limits import Cost, Rate, RateLimits
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from marketplace.telemetry import configure_logging


@dataclass(frozen=True, slots=True)
class Behind:
    """Where everything is that the gateway stands on."""

    rpc_url: str
    market: Address
    journal_url: str
    redis_url: str
    blobs: str
    roles: MarketRoles


@dataclass(frozen=True, slots=True)
class Said:
    """What the bare routes answer: the bytes that the gateway answers, and the file itself."""

    order: bytes
    offers: bytes
    file: Path
    reads: Mapping[str, bytes]
    """By path."""


def run_gateway(behind: Behind, port: int) -> None:
    """The gateway itself, but for the limits: one address asks it for all it has."""
    market, board = MarketContract(Chain([behind.rpc_url]), behind.market), Board(behind.redis_url)
    desks = desks_over(
        market, OperatorJournal(behind.journal_url), board, FolderBlobs(behind.blobs), behind.roles,
        clock=time, limits=_unlimited(board),
    )  # fmt: skip
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # until the process ends
    configure_logging("gateway")
    with heads_watched(market.chain):
        serve(create_app(desks), port=port)


def _unlimited(board: Board) -> RateLimits:
    """Limits that count as always and are never reached."""
    rates = {cost: Rate(10**9, 10**9) for cost in Cost}
    return RateLimits(board, time, rates, rates)


class _Order(BaseModel):
    client: str
    classes: str
    offer: str
    gpus: str
    maxSeconds: str
    minSeconds: str
    maxPrice: str
    minBondBps: str
    startsAt: str
    expiresAt: str
    tip: str
    opener: str
    acceptor: str
    arbiter: str
    spec: str
    salt: str


class _Submission(BaseModel):
    order: _Order
    signature: str


def run_bare(said: Said, redis_url: str, port: int) -> None:
    """The same server and the same middleware around routes that do nothing but answer."""
    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.metrics = Metrics()
    app.add_middleware(LimitRequests, limits=_unlimited(Board(redis_url)))
    app.add_middleware(CountRequests, metrics=app.state.metrics)
    app.add_middleware(AnswerHead)

    @app.post("/v1/orders")
    async def post_order(submission: _Submission) -> Response:
        assert submission.signature
        return Response(said.order, 201, media_type="application/json")

    @app.get("/v1/offers")
    async def list_offers() -> Response:
        return Response(said.offers, media_type="application/json")

    @app.get("/v1/blobs/{name}")
    async def get_blob(name: str) -> Response:
        assert name
        return FileResponse(said.file, media_type="application/octet-stream")

    for path, content in said.reads.items():
        app.get(path)(_saying(content))
    serve(app, port=port)


def _saying(content: bytes) -> Callable[[], Coroutine[None, None, Response]]:
    async def read() -> Response:
        return Response(content, media_type="application/json")

    return read
