"""A real anvil that mines each transaction at once, and a market of its own for every test."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.deployment import LOCAL_CONSTANTS, AddressBook, deploy
from marketplace.chain.devnet import ANVIL_KEYS, AnvilHandle, start_anvil
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.token import TokenContract
from marketplace.chain.transactions import Mined, Sender
from marketplace.domain import events
from marketplace.domain.fills import Fill
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.receipts import Receipt, Settlement
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from tests.ports import free_port

FAR = UnixTime(2**40 - 1)
SPEC = Bytes32("0x" + "5e" * 32)
RESULT = Bytes32("0x" + "4e" * 32)
DOLLAR = 1_000_000


@dataclass
class Trading:
    """One market, and its verbs in short form for whoever holds a key."""

    chain: Chain
    book: AddressBook
    market: MarketContract
    token: TokenContract
    senders: dict[Address, Sender] = field(default_factory=dict)
    salts: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    client = ANVIL_KEYS[1]
    provider = ANVIL_KEYS[2]
    opener = ANVIL_KEYS[3]
    arbiter = ANVIL_KEYS[9]

    def send(self, key: Key, call: verbs.Call) -> Mined:
        sender = self.senders.setdefault(key.address, Sender(self.chain, key))
        return sender.send(call)

    def fund(self, key: Key, amount: int) -> None:
        """Mint, approve and deposit."""
        units = TokenUnits(amount)
        self.send(key, verbs.mint(self.book.token, key.address, units))
        self.send(key, verbs.approve(self.book.token, self.book.market, units))
        self.send(key, verbs.deposit(self.book.market, key.address, units))

    def list(self, key: Key | None = None, *, through: Address | None = None, **changed: Any) -> Offer:
        """Four GPUs at two dollars; ``through`` a company, whose operator the key is."""
        terms: dict[str, Any] = {
            "gpu_class": ClassNumber(1),
            "gpus": GpuCount(4),
            "bond_bps": Bps(1_000),
            "price": PricePerGpuHour(2 * DOLLAR),
            "min_seconds": Seconds(0),
            "expires_at": FAR,
            "arbiter": self.arbiter.address,
            "spec": SPEC,
        }
        mined = self.send(key or self.provider, verbs.list_offer(through or self.book.market, **(terms | changed)))
        (listed,) = mined.events
        assert isinstance(listed, events.OfferListed)
        return listed.offer

    def order(self, key: Key | None = None, **changed: Any) -> Order:
        order = Order(
            client=(key or self.client).address,
            classes=1 << 1,
            offer=OfferId(0),
            gpus=GpuCount(1),
            max_seconds=Seconds(600),
            min_seconds=Seconds(0),
            max_price=PricePerGpuHour(3 * DOLLAR),
            min_bond_bps=Bps(0),
            starts_at=UnixTime(0),
            expires_at=FAR,
            tip=TokenUnits(0),
            opener=ZERO_ADDRESS,
            acceptor=ZERO_ADDRESS,
            arbiter=self.arbiter.address,
            spec=SPEC,
            salt=next(self.salts),
        )
        return replace(order, **changed)

    def signed(self, key: Key | None = None, **changed: Any) -> SignedOrder:
        return (key or self.client).sign_order(self.order(key, **changed), self.market.domain)

    def open(self, signed: SignedOrder, offer: Offer, *, price: int | None = None, by: Key | None = None) -> Mined:
        fill = Fill(signed, offer.id, PricePerGpuHour(offer.price if price is None else price))
        return self.send(by or self.opener, verbs.open_fills(self.book.market, [fill]))

    def receipted(self, order: Order, used: int, *, last: bool, result: Bytes32 = RESULT) -> Settlement:
        """A settlement that both sides have signed, for the serving that is open now."""
        identifier = self.market.order_id(order)
        lease = self.market.lease_of(identifier)
        receipt = Receipt(identifier, lease.offer, lease.opened_at, Seconds(used), result, last)
        by_client, by_provider = (key.sign_receipt(receipt, self.market.domain) for key in (self.client, self.provider))
        return Settlement(order, Seconds(used), result, last, by_client, by_provider)

    def settle(self, settlements: Sequence[Settlement], *, by: Key | None = None) -> Mined:
        return self.send(by or self.opener, verbs.settle(self.book.market, settlements))

    def follower(self, confirmations: int = 1) -> EventFollower:
        factory = self.market.companies.factory
        return EventFollower(self.chain, self.book.market, confirmations=confirmations, factory=factory)

    def at(self, moment: int) -> None:
        """Let the next block be of this moment."""
        self.chain.rpc("evm_setNextBlockTimestamp", moment)

    def free(self, key: Key) -> TokenUnits:
        return self.market.balance_of(key.address)


class Line(ThreadingHTTPServer):
    """A line to the node that can be cut, before a request arrives or before its answer does."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.upstream = upstream
        self.lose_requests: set[str] = set()
        self.lose_answers: set[str] = set()
        self.lost = 0
        self.was_cut = threading.Event()


class _Relay(BaseHTTPRequestHandler):
    server: Line

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body)
        methods = {call["method"] for call in (asked if isinstance(asked, list) else [asked])}
        if methods & self.server.lose_requests:
            return self.cut()
        request = Request(self.server.upstream, body, {"Content-Type": "application/json"})
        with urlopen(request) as answer:
            content = answer.read()
        if methods & self.server.lose_answers:
            return self.cut()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return None

    def cut(self) -> None:
        self.server.lost += 1
        self.server.was_cut.set()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Nothing: the test says what it saw."""


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilHandle]:
    handle = start_anvil(free_port(), tmp_path_factory.mktemp("anvil"), block_time=None)
    yield handle
    handle.stop()


@pytest.fixture(scope="session")
def chain(anvil: AnvilHandle) -> Chain:
    return Chain([anvil.rpc_url])


@pytest.fixture
def open_chain() -> Iterator[Callable[..., Chain]]:
    """Opens chains that are closed afterwards."""
    opened: list[Chain] = []

    def make(*urls: str, **how: Any) -> Chain:
        opened.append(Chain(urls, **how))
        return opened[-1]

    yield make
    for chain in opened:
        chain.close()


@pytest.fixture
def new_trading(chain: Chain) -> Callable[[], Trading]:
    """Makes markets, each without a past."""

    def make() -> Trading:
        book = deploy(chain, ANVIL_KEYS[0], LOCAL_CONSTANTS)
        market = MarketContract(chain, book.market, deployed_at_block=book.deployed_at_block)
        return Trading(chain, book, market, TokenContract(chain, book.token))

    return make


@pytest.fixture
def trading(new_trading: Callable[[], Trading]) -> Trading:
    return new_trading()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def line(anvil: Any) -> Iterator[Line]:
    server = Line(anvil.rpc_url)
    running = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    running.start()
    yield server
    server.shutdown()
    running.join()
    server.server_close()


@pytest.fixture
def far_chain(line: Line) -> Chain:
    """The same chain, at the other end of a line that may be cut."""
    return Chain([f"http://127.0.0.1:{line.server_address[1]}"], timeout_seconds=5)
