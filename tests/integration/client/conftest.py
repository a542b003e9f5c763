"""A client on a real gateway over a real chain, and a provider that the tests play by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketplace.api.client.deadlines import tls_context
from marketplace.api.receipts import ReceiptsAnswer, ReceiptTold
from marketplace.api.record import BlockTold, to_json
from marketplace.chain import verbs
from marketplace.chain.devnet import ANVIL_PRIVATE_KEYS, increase_time, mine
from marketplace.chain.keystore import create_key
from marketplace.chain.signing import Key
from marketplace.client import GatewayApi, Job, JobRequest, JobState, Market, Retries
from marketplace.client.journal import JobJournal
from marketplace.client.session import ClientSession
from marketplace.client.trust import TrustRoots
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.bundles import bundle_outputs
from marketplace.domain.ids import ZERO_BYTES32, Bytes32, Sha256, bytes32_of, sha256_of
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.receipts import Receipt, Settlement
from marketplace.domain.results import EndedReason, LogFile, Output, Result
from marketplace.domain.units import PricePerGpuHour, Seconds, UnixTime
from marketplace.sealing import seal_into
from tests.integration.client.doorman import Doorman, doorman
from tests.integration.gateway.conftest import (
    ARBITER,
    CLIENT,
    DOLLAR,
    OPENER,
    OTHER_PROVIDER,
    PROVIDER,
    Gateway,
    gateway,
    gateway_anvil,
    gateway_redis,
)
from tests.integration.shell import Shell

__all__ = ["gateway", "gateway_anvil", "gateway_redis"]

Tamper = Callable[[httpx.Request, bytes], bytes | None]

ROOTS = TrustRoots(OPENER.address, ARBITER.address)

LOG = b"epoch 1\nepoch 2\n"


class Crash(BaseException):
    """The process is gone, as far as the code under test can tell."""


class Line(httpx.BaseTransport):
    """The line to the gateway: hands every request on, remembers it, and lets a test change answers or cut it."""

    def __init__(self) -> None:
        self._real = httpx.HTTPTransport(verify=tls_context())
        self.requests: list[httpx.Request] = []
        self.tampers: list[Tamper] = []
        self.crash_before = ""
        self.crash_after = ""
        self.busy: dict[str, int] = {}
        """What is answered with a status and handed on to nobody, by the beginning of ``METHOD path``."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        told = f"{request.method} {request.url.path}"
        if self.crash_before and self.crash_before in told:
            raise Crash
        for part, status in self.busy.items():
            if told.startswith(part):
                return httpx.Response(
                    status, json={"reason": "StoreUnavailable", "detail": "the journal does not answer"}
                )
        response = self._real.handle_request(request)
        if self.crash_after and self.crash_after in told:
            response.read()
            raise Crash
        return self._changed(request, response) if self.tampers else response

    def _changed(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
        content = b"".join(response.iter_raw())  # type: ignore[arg-type]
        for tamper in self.tampers:
            changed = tamper(request, content)
            content = content if changed is None else changed
        headers = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
        return httpx.Response(response.status_code, headers=headers, content=content)

    def close(self) -> None:
        self._real.close()

    def sent(self, method: str, part: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.method == method and part in request.url.path]


@dataclass
class Desk:
    """A client's market with its line to the gateway; ``again`` is the same client after a restart."""

    market: Market
    line: Line
    again: Callable[[], Desk]

    def step(self) -> None:
        """Move all jobs along, once."""
        next(self.market.steps(0))

    def signatures_sent(self) -> list[dict[str, Any]]:
        """Every receipt that left this client with its signature."""
        posted = [json.loads(request.content) for request in self.line.sent("POST", "/receipts")]
        return [body for body in posted if body["role"] == "client"]


@dataclass
class Play:
    """What happens around the client: the scheduler opens, a provider works, time passes."""

    gateway: Gateway
    offer: Offer
    other_offer: Offer
    api: GatewayApi
    other_api: GatewayApi
    folder: Path
    salts: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    def request(self, **changed: Any) -> JobRequest:
        request = JobRequest(
            command=("python", "train.py"), gpus_of=("RTX4090",), max_price=PricePerGpuHour(3 * DOLLAR), max_time=Seconds(600),
        )  # fmt: skip
        return replace(request, **changed)

    def order_of(self, desk: Desk, job: Job) -> Order:
        return desk.market.book.order(job.orders[-1]).signed.order

    def open(self, desk: Desk, job: Job, offer: Offer | None = None) -> None:
        """The scheduler opens the job's lease, and the client sees it."""
        self.gateway.open(desk.market.book.order(job.orders[-1]).signed, offer or self.offer)
        desk.step()

    def pass_time(self, seconds: int) -> None:
        increase_time(self.gateway.chain, seconds)
        self.gateway.sync()

    def keep_silent(self, desk: Desk, seconds: int) -> None:
        """The first provider gives no sign of life for so long, while the other one does and the client looks on."""
        begun = self.gateway.now()
        for passed in [*range(4, seconds, 4), seconds]:
            self.pass_until(begun + passed)
            self.other_api.heartbeat()
            desk.step()

    def pass_until(self, at: int) -> None:
        """Mine a block of exactly this time."""
        self.gateway.chain.rpc("evm_setNextBlockTimestamp", at)
        mine(self.gateway.chain)
        self.gateway.sync()

    def result(self, exit_code: int = 0, text: str = "trained", seal_to: str = "") -> tuple[Result, list[bytes]]:
        """A result with one output bundle, and its blobs; sealed to a recipient where one is named."""
        folder = self.folder / f"out-{next(self.salts)}"
        folder.mkdir()
        (folder / "model.txt").write_text(text)
        bundle, log = bundle_outputs(folder, Allowance(1 << 20)).content(), LOG
        if seal_to:
            bundle, log = sealed(bundle, seal_to), sealed(log, seal_to)
        outputs = (Output("/job/out", len(bundle), (sha256_of(bundle),)),)
        written = LogFile(sha256_of(log), len(log), len(log))
        return Result(exit_code, EndedReason.EXITED, outputs, written), [bundle, log]

    def receipt(self, job: Job, used: int, result: Result, *, of: Bytes32 | None = None, **changed: Any) -> Receipt:
        order = of or job.orders[-1]
        lease = self.gateway.market.lease_of(order)
        receipt = Receipt(order, lease.offer, lease.opened_at, Seconds(used), bytes32_of(result.sha256), True)
        return replace(receipt, **changed)

    def hand_in(
        self, job: Job, used: int, exit_code: int = 0, api: GatewayApi | None = None,
        *, ended: EndedReason = EndedReason.EXITED, lease: Bytes32 | None = None, seal_to: str = "",
    ) -> Receipt:  # fmt: skip
        """The provider uploads an honest result and posts its last receipt, for the newest order or for this one."""
        result, blobs = self.result(exit_code, seal_to=seal_to)
        if ended is not EndedReason.EXITED:
            result = replace(result, exit_code=None, reason=ended)
        for blob in blobs:
            (api or self.api).put_blob(blob)
        receipt = self.receipt(job, used, result, of=lease)
        key = PROVIDER if api is None else OTHER_PROVIDER
        (api or self.api).post_receipt(
            receipt.lease, receipt, "provider", key.sign_receipt(receipt, self.gateway.domain), result
        )
        return receipt

    def settle(self, desk: Desk, job: Job, provider: Key = PROVIDER, lease: Bytes32 | None = None) -> None:
        """The provider settles what both have signed, of the newest order or of this one."""
        kept = desk.market.book.last_receipt(lease or job.orders[-1])
        assert kept is not None
        settlement = Settlement(
            desk.market.book.order(lease or job.orders[-1]).signed.order,
            kept.receipt.used_seconds,
            kept.receipt.result,
            True,
            kept.signature,
            "0x",
        )
        self.gateway.send(provider, verbs.settle(self.gateway.book.market, [settlement]))

    def said(self, receipt: Receipt, key: Key = PROVIDER) -> ReceiptTold:
        return ReceiptTold.of("provider", receipt, key.sign_receipt(receipt, self.gateway.domain), receipt.opened_at)


def sealed(content: bytes, recipient: str) -> bytes:
    stream = BytesIO()
    seal_into([content], stream, recipient)
    return stream.getvalue()


def receipts_answer(*signed: ReceiptTold) -> bytes:
    """What a gateway says that has these receipts."""
    return to_json(ReceiptsAnswer(list(signed), BlockTold(1, ZERO_BYTES32, UnixTime(1))))


@contextmanager
def a_desk(gateway: Gateway, folder: Path, url: str) -> Iterator[Desk]:
    """A client with a journal of its own, who speaks to the gateway at this URL."""
    opened: list[Market] = []

    def connect() -> Desk:
        line = Line()
        key, market = CLIENT, gateway.market
        api = GatewayApi(
            url, key=key, domain=market.domain, block_time=lambda: gateway.chain.head().timestamp,
            retries=Retries(attempts=1), transport=line,
        )  # fmt: skip
        client = Market(ClientSession(key, market, api, JobJournal(folder / "jobs.sqlite"), folder / "results"), ROOTS)
        opened.append(client)
        return Desk(client, line, connect)

    yield connect()
    for market in opened:
        market.close()


@pytest.fixture
def desk(gateway: Gateway, tmp_path: Path) -> Iterator[Desk]:
    with a_desk(gateway, tmp_path / "home", gateway.url) as desk:
        yield desk


@pytest.fixture
def door(gateway: Gateway) -> Iterator[Doorman]:
    """Who stands, on a socket, between ``desk_behind`` and the gateway, and lies as a test wants it."""
    with doorman(gateway.url) as door:
        yield door


@pytest.fixture
def desk_behind(gateway: Gateway, door: Doorman, tmp_path: Path) -> Iterator[Desk]:
    """A client who knows no gateway but the one at the door."""
    with a_desk(gateway, tmp_path / "home", door.url) as desk:
        yield desk


@pytest.fixture(scope="module")
def offers(gateway: Gateway) -> tuple[Offer, Offer]:
    """Two providers' offers, the first one cheaper."""
    gateway.fund(OTHER_PROVIDER, 100 * DOLLAR)
    dearer = gateway.list(OTHER_PROVIDER, price=PricePerGpuHour(2 * DOLLAR + 1), gpus=64)
    return gateway.list(gpus=64), dearer


@pytest.fixture
def play(gateway: Gateway, offers: tuple[Offer, Offer], tmp_path: Path) -> Iterator[Play]:
    api, other = (GatewayApi(gateway.url, key=key) for key in (PROVIDER, OTHER_PROVIDER))
    yield Play(gateway, *offers, api, other, tmp_path)
    api.close()
    other.close()


@pytest.fixture
def running(desk: Desk, play: Play) -> Job:
    """A job whose lease is open, ten seconds in."""
    job = desk.market.submit(play.request())
    play.open(desk, job)
    play.pass_time(10)

    assert job.state is JobState.RUNNING
    return job


__all__ += ["Bytes32", "Desk", "Line", "Play", "Sha256", "receipts_answer"]


@pytest.fixture
def shell(gateway: Gateway, tmp_path: Path) -> Shell:
    create_key(tmp_path / "key.json", tmp_path / "word", private_key=ANVIL_PRIVATE_KEYS[1], work_factor=2**12)
    gateway.book.write(tmp_path / "book.json")
    settings = {
        "BOURSE_RPC_URLS": gateway.chain.rpc_url,
        "BOURSE_GATEWAY_URL": gateway.url,
        "BOURSE_ADDRESS_BOOK": str(tmp_path / "book.json"),
        "BOURSE_KEYSTORE": str(tmp_path / "key.json"),
        "BOURSE_KEYSTORE_PASSWORD_FILE": str(tmp_path / "word"),
        "BOURSE_HOME": str(tmp_path / "home"),
        "BOURSE_OPENER": OPENER.address,
        "BOURSE_ARBITER": ARBITER.address,
    }
    return Shell(tmp_path, settings)
