"""A real gateway: uvicorn on a free port, over a real anvil, a real Redis, SQLite and a folder of blobs."""

from __future__ import annotations

import itertools
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, time
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis import Redis

from marketplace.api.client.deadlines import tls_context
from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.deployment import LOCAL_CONSTANTS, AddressBook, deploy
from marketplace.chain.devnet import ANVIL_KEYS, AnvilHandle, mine, start_anvil
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.request_signing import sign_request
from marketplace.chain.signing import Key, SigningDomain
from marketplace.chain.transactions import Mined, Sender
from marketplace.domain import events
from marketplace.domain.fills import Fill
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId, Sha256, bytes32_of, sha256_of
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedReason, LogFile, Output, Result
from marketplace.domain.spec import JobSpec, Machine, Resources
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.domain.wire import order_to_wire, receipt_to_wire
from marketplace.domain.work import Input, Work
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from marketplace.gateway.server import server_for
from marketplace.services.projection import Projector
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.redis_server import RedisHandle, start_redis
from tests.ports import free_port
from tests.unit.bundled_trees import crafted, member

DOLLAR = 1_000_000
FAR = UnixTime(2**40 - 1)
UPLOAD_LIMIT_BYTES = 4 << 20
BUNDLE = crafted(member("word.txt", b"an input"))
MACHINE = Machine("eu", "NVIDIA GeForce RTX 4090", 24_564, 4, 16, 65_536, 200_000)
DEPLOYER, CLIENT, PROVIDER, OPENER, STRANGER, OTHER_CLIENT, OTHER_PROVIDER, ACCEPTOR = ANVIL_KEYS[:8]
ARBITER = ANVIL_KEYS[9]


@dataclass
class Gateway:
    """A running gateway, everything behind it, and the verbs of the market in short form."""

    url: str
    chain: Chain
    book: AddressBook
    market: MarketContract
    journal: OperatorJournal
    journal_file: Path
    board: Board
    redis: RedisHandle
    blobs: FolderBlobs
    projector: Projector
    http: httpx.Client
    app: FastAPI
    salts: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    uploaders: tuple[Key | Address, ...] = (CLIENT, OTHER_CLIENT, ACCEPTOR, STRANGER)

    @property
    def domain(self) -> SigningDomain:
        return self.market.domain

    # The chain

    def send(self, key: Key, call: verbs.Call) -> Mined:
        mined = Sender(self.chain, key).send(call)
        self.sync()
        return mined

    def fund(self, key: Key, units: int) -> None:
        for call in (
            verbs.mint(self.book.token, key.address, TokenUnits(units)),
            verbs.approve(self.book.token, self.book.market, TokenUnits(units)),
            verbs.deposit(self.book.market, key.address, TokenUnits(units)),
        ):
            self.send(key, call)

    def list(self, key: Key = PROVIDER, **changed: Any) -> Offer:
        terms: dict[str, Any] = {
            "gpu_class": ClassNumber(1), "gpus": GpuCount(4), "bond_bps": Bps(1_000), "price": PricePerGpuHour(2 * DOLLAR),
            "min_seconds": Seconds(0), "expires_at": FAR, "arbiter": ARBITER.address, "spec": bytes32_of(MACHINE.sha256),
        }  # fmt: skip
        self.keep(MACHINE.canonical(), key, public=True)
        (listed,) = self.send(key, verbs.list_offer(self.book.market, **(terms | changed))).events
        assert isinstance(listed, events.OfferListed)
        return listed.offer

    def open(self, signed: SignedOrder, offer: Offer) -> Mined:
        return self.send(OPENER, verbs.open_fills(self.book.market, [Fill(signed, offer.id, offer.price)]))

    def sync(self) -> None:
        """Let the indexer catch up with the chain and the journal.

        The node itself is asked how far that is: a head that a thread of the gateway asked for before the last block was mined may
        be told after it, and would be the newest for a moment.
        """
        newest, deadline = int(self.chain.rpc("eth_blockNumber"), 16), monotonic() + 20
        while self.projector.step().within_seconds == 0 or self._is_behind(newest):
            assert monotonic() < deadline

    def _is_behind(self, newest: int) -> bool:
        return self.projector.head is None or self.projector.head.number < newest

    def waiting(self) -> set[Bytes32]:
        """The orders on the book, as the projection has it."""
        view = self.board.view()
        assert view is not None
        return {entry.id for entry in view.orders}

    def now(self) -> UnixTime:
        return self.chain.head().timestamp

    # Orders and receipts

    def spec(self, **changed: Any) -> JobSpec:
        """A job spec that has been uploaded, with its work and an input."""
        spec = replace(JobSpec(self.work().name), **changed)
        self.keep(spec.canonical(), public=True)
        return spec

    def work(self, **changed: Any) -> Work:
        """Work that has been uploaded, with an input."""
        self.keep(BUNDLE)
        only = Input("/job/in", len(BUNDLE), (sha256_of(BUNDLE),))
        work = replace(Work(("python", "train.py"), "5a" * 32, inputs=(only,)), **changed)
        self.keep(work.canonical())
        return work

    def keep(self, content: bytes, *accounts: Key | Address, public: bool = False) -> Sha256:
        """Have content here as these accounts' uploads; by default as those of everybody who signs orders here."""
        name = sha256_of(content)
        self.blobs.put(content, name, len(content))
        for account in accounts or self.uploaders:
            self.journal.uploads.note(
                name, getattr(account, "address", account), 0, self.now(), is_public=public
            )  # takes nobody's room
        return name

    def order(self, key: Key = CLIENT, **changed: Any) -> Order:
        gpus = changed.get("gpus", 1)
        spec = self.spec(resources=Resources(gpus=gpus if 1 <= gpus < 2**16 else 1))
        order = Order(
            client=key.address, classes=1 << 1, offer=OfferId(0), gpus=GpuCount(1), max_seconds=Seconds(600),
            min_seconds=Seconds(0), max_price=PricePerGpuHour(3 * DOLLAR), min_bond_bps=Bps(0), starts_at=UnixTime(0),
            expires_at=FAR, tip=TokenUnits(0), opener=OPENER.address, acceptor=ZERO_ADDRESS, arbiter=ARBITER.address,
            spec=bytes32_of(spec.sha256), salt=next(self.salts),
        )  # fmt: skip
        return replace(order, **changed)

    def signed(self, key: Key = CLIENT, **changed: Any) -> SignedOrder:
        return key.sign_order(self.order(key, **changed), self.domain)

    def post_order(self, signed: SignedOrder, **headers: str) -> httpx.Response:
        return self.http.post("/v1/orders", json=submission(signed), headers=headers)

    def leased(self, offer: Offer, /, **changed: Any) -> SignedOrder:
        """An order that went through the gateway and is being served."""
        signed = self.signed(**changed)
        assert self.post_order(signed).status_code == 201
        self.open(signed, offer)
        return signed

    def receipt(self, lease: Bytes32, used: int, result: Bytes32, *, last: bool = True) -> Receipt:
        word = self.market.lease_of(lease)
        return Receipt(lease, word.offer, word.opened_at, Seconds(used), result, last)

    def post_receipt(
        self, key: Key, receipt: Receipt, role: str, result: Result | None = None, /, *, account: Address | None = None, **other: Any
    ) -> httpx.Response:  # fmt: skip
        body: dict[str, Any] = {
            "receipt": receipt_to_wire(receipt), "role": role, "signature": key.sign_receipt(receipt, self.domain),
        }  # fmt: skip
        if result is not None:
            body["resultDocument"] = json.loads(result.canonical())
        return self.write(
            key, "POST", f"/v1/leases/{receipt.lease}/receipts", json.dumps(body | other).encode(), account=account
        )

    def result(self, exit_code: int = 0) -> Result:
        """A result whose blobs are here."""
        output, log = b"outputs", b"epoch 1\nepoch 2\n"
        for content in (output, log):
            self.keep(content, PROVIDER)
        outputs = (Output("/job/out", len(output), (sha256_of(output),)),)
        return Result(exit_code, EndedReason.EXITED, outputs, LogFile(sha256_of(log), len(log), len(log)))

    # HTTP

    def write(
        self, key: Key, method: str, path: str, body: bytes = b"", *, at: int | None = None, kind: str = "application/json",
        body_sha256: Sha256 | None = None, domain: SigningDomain | None = None, headers: dict[str, str] | None = None,
        account: Address | None = None,
    ) -> httpx.Response:  # fmt: skip
        """A signed write; every part of what is signed can be another than what is sent."""
        moment = UnixTime(self.now() if at is None else at)
        signed = sign_request(
            key, method, path, body_sha256 or sha256_of(body), moment, domain or self.domain, account=account
        )
        return self.http.request(
            method, path, content=body, headers={"Content-Type": kind, **signed, **(headers or {})}
        )

    def read(self, key: Key, path: str, **headers: str) -> httpx.Response:
        """A read that this key signs."""
        return self.http.get(path, headers=self.reading(key, path) | headers)

    def reading(self, key: Key, path: str) -> dict[str, str]:
        """The headers of a signed read."""
        return sign_request(key, "GET", path, sha256_of(b""), self.now(), self.domain)

    # What must not change

    def everything(self) -> dict[str, object]:
        """All that a request could change: journal rows, Redis but for how often was asked, blobs, the chain."""
        with sqlite3.connect(self.journal_file) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in sorted(tables)}
        connection.close()
        with Redis.from_url(self.redis.url) as redis:
            keys = {key: redis.dump(key) for key in sorted(redis.keys("*")) if b":let-through:" not in key}  # type: ignore[type-var]
        files = sorted(str(path) for path in self.blobs.path.rglob("*") if path.is_file())
        return {"journal": rows, "redis": keys, "blobs": files, "chain": self.chain.head()}


def submission(signed: SignedOrder) -> dict[str, Any]:
    return {"order": order_to_wire(signed.order), "signature": signed.signature}


@pytest.fixture(scope="session")
def gateway_anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilHandle]:
    handle = start_anvil(free_port(), tmp_path_factory.mktemp("anvil"), block_time=None)
    yield handle
    handle.stop()


@pytest.fixture(scope="session")
def gateway_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHandle]:
    handle = start_redis(tmp_path_factory.mktemp("redis"))
    yield handle
    handle.stop()


@contextmanager
def opened_gateway(anvil: AnvilHandle, redis_handle: RedisHandle, folder: Path) -> Iterator[Gateway]:
    """A gateway with a funded client and a funded provider, over a market of its own."""
    with Redis.from_url(redis_handle.url) as redis:
        redis.flushall()
    chain = Chain([anvil.rpc_url])
    book = deploy(chain, DEPLOYER, LOCAL_CONSTANTS)
    market = MarketContract(chain, book.market, deployed_at_block=book.deployed_at_block)
    journal_file = folder / "operator.sqlite"
    journal, board, blobs = (
        OperatorJournal(f"sqlite:///{journal_file}"),
        Board(redis_handle.url),
        FolderBlobs(folder / "blobs"),
    )
    roles = MarketRoles(book.catalogue, OPENER.address, ARBITER.address)
    follower = EventFollower(chain, book.market, confirmations=1)
    projector = Projector(follower, journal, blobs, board, market.terms(), opener=OPENER.address)
    app = create_app(
        desks_over(market, journal, board, blobs, roles, clock=time, participant_limit_bytes=UPLOAD_LIMIT_BYTES)
    )
    with running(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=20, verify=tls_context()) as http:
        running_gateway = Gateway(
            url, chain, book, market, journal, journal_file, board, redis_handle, blobs, projector, http, app
        )
        running_gateway.fund(CLIENT, 1_000 * DOLLAR)
        running_gateway.fund(PROVIDER, 1_000 * DOLLAR)
        mine(chain)
        running_gateway.sync()
        yield running_gateway
    board.close()
    journal.close()


@pytest.fixture(scope="module")
def gateway(
    gateway_anvil: AnvilHandle, gateway_redis: RedisHandle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """One market per module."""
    with opened_gateway(gateway_anvil, gateway_redis, tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture(scope="module")
def offer(gateway: Gateway) -> Offer:
    return gateway.list(gpus=GpuCount(64))


class running:
    """The application behind uvicorn in a thread, at a URL; stopped as SIGTERM stops it."""

    def __init__(self, app: FastAPI) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.server = server_for(app, "127.0.0.1", 0)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> str:
        self.thread.start()
        deadline, waiting = monotonic() + 20, threading.Event()
        while not self.server.started:
            assert self.thread.is_alive()
            assert monotonic() < deadline
            waiting.wait(0.02)
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()


__all__ = ["Address", "Gateway", "running", "submission"]
