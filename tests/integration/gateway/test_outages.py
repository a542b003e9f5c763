"""What the gateway does while something behind it, or itself, is gone."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, time
from typing import Any

import httpx
import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import mine
from marketplace.chain.market import MarketContract
from marketplace.chain.request_signing import sign_request
from marketplace.domain.ids import bytes32_of, sha256_in, sha256_of
from marketplace.domain.offers import Offer
from marketplace.domain.units import TokenUnits
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import MarketRoles, desks_over
from marketplace.services.readiness import GATEWAY_DUTIES
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.redis_server import start_redis
from tests.integration.gateway import gateway_process
from tests.integration.gateway.conftest import (
    ARBITER,
    CLIENT,
    OPENER,
    PROVIDER,
    Gateway,
    running,
    submission,
)
from tests.ports import free_port

PROCESSES = multiprocessing.get_context("forkserver")
"""One process imports everything once and knows nothing else; gateways are forked off it."""
PROCESSES.set_forkserver_preload([gateway_process.__name__])


@pytest.fixture
def without_redis(gateway: Gateway) -> Iterator[httpx.Client]:
    """A second gateway on the same journal, whose Redis is not there."""
    board = Board(f"redis://127.0.0.1:{free_port()}/0")
    roles = MarketRoles(gateway.book.catalogue, OPENER.address, ARBITER.address)
    desks = desks_over(gateway.market, gateway.journal, board, gateway.blobs, roles, clock=time)
    with running(create_app(desks)) as url, httpx.Client(base_url=url, trust_env=False, timeout=20) as http:
        yield http
    board.close()


def test_orders_are_taken_without_redis(gateway: Gateway, without_redis: httpx.Client) -> None:
    """The journal has them; the book gets them when Redis is back. Bad ones are refused all the same."""
    signed, expired = gateway.signed(), gateway.signed(expires_at=1)

    taken = without_redis.post("/v1/orders", json=submission(signed))
    refused = without_redis.post("/v1/orders", json=submission(expired))

    assert taken.status_code == 201
    assert (refused.status_code, refused.json()["reason"]) == (409, "OrderExpired")
    assert without_redis.get(f"/v1/orders/{signed.id}").json()["state"] == "book"
    assert without_redis.get(f"/v1/orders/{signed.id}/explanation").json()["reason"] == "StoreUnavailable"
    gateway.sync()
    assert signed.id in gateway.waiting()


def test_receipts_are_taken_without_redis(gateway: Gateway, without_redis: httpx.Client, offer: Offer) -> None:
    """Money does not wait for a cache."""
    signed = gateway.leased(offer)
    result = gateway.result()
    receipt = gateway.receipt(signed.id, 0, bytes32_of(result.sha256))
    here, gateway.http = gateway.http, without_redis
    try:
        posted = gateway.post_receipt(PROVIDER, receipt, "provider", result)
    finally:
        gateway.http = here

    assert posted.status_code == 201
    assert without_redis.get(f"/v1/leases/{signed.id}").json()["status"] == "Open"
    path = f"/v1/leases/{signed.id}/outputs"
    assert without_redis.get(path, headers=gateway.reading(CLIENT, path)).status_code == 200
    assert without_redis.get(f"/v1/accounts/{CLIENT.address}").json()["locked"] is None


def test_a_balance_is_the_chains_while_redis_is_away(gateway: Gateway, without_redis: httpx.Client) -> None:
    """Nothing that was answered before stands for what the account has now."""
    path = f"/v1/accounts/{CLIENT.address}"
    before = int(without_redis.get(path).json()["free"])

    gateway.send(CLIENT, verbs.withdraw(gateway.book.market, CLIENT.address, TokenUnits(1)))

    assert int(without_redis.get(path).json()["free"]) == before - 1


def test_what_needs_redis_says_so(without_redis: httpx.Client) -> None:
    """503 with a name and a hint when to try again; the gateway is alive and not ready."""
    for path in ("/v1/offers", "/v1/book/1", "/v1/events", "/v1/providers/" + PROVIDER.address):
        answer = without_redis.get(path)
        assert (answer.status_code, answer.json()["reason"]) == (503, "StoreUnavailable"), path
        assert answer.headers["retry-after"]
    assert without_redis.get("/live").status_code == 200
    ready = without_redis.get("/ready")
    assert (ready.status_code, ready.json()["reason"]) == (503, "NotReady")
    assert "redis" in ready.json()["reasons"]


def test_a_balancer_that_asks_for_orders_keeps_a_gateway_without_redis(
    gateway: Gateway, without_redis: httpx.Client
) -> None:
    """Orders and receipts need chain, journal and files; the book needs Redis. A duty that there is not is a 400."""
    mine(gateway.chain)
    ready = {duty: without_redis.get("/ready", params={"for": duty}) for duty in GATEWAY_DUTIES}
    unknown = without_redis.get("/ready?for=rounds")

    assert {duty: answer.status_code for duty, answer in ready.items()} == {
        "orders": 200, "receipts": 200, "files": 200, "book": 503, "events": 503,
    }  # fmt: skip
    assert set(ready["orders"].json()["checks"]) == {"chain", "journal", "blobs"}
    assert set(ready["book"].json()["reasons"]) == {"redis", "projection"}
    assert (unknown.status_code, unknown.json()["reason"]) == (400, "UnknownDuty")


def test_a_journal_that_takes_nothing_is_said(gateway: Gateway, tmp_path: Path) -> None:
    """It still answers questions: only a write shows that its disk is full, and then no order is promised."""
    journal = OperatorJournal(f"sqlite:///{tmp_path}/full.sqlite")
    mine(gateway.chain)
    roles = MarketRoles(gateway.book.catalogue, OPENER.address, ARBITER.address)
    desks = desks_over(gateway.market, journal, gateway.board, gateway.blobs, roles, clock=time)
    assert desks.readiness.ask("orders").reasons == {}
    full = desks_over(gateway.market, journal, gateway.board, gateway.blobs, roles, clock=time)
    signed = gateway.signed()
    work = gateway.work()
    for name in (sha256_in(signed.order.spec), work.name.sha256, *work.inputs[0].parts):
        journal.uploads.note(name, CLIENT.address, 0, gateway.now())
    with sqlite3.connect(tmp_path / "full.sqlite") as blocked:
        blocked.execute(
            "DROP TABLE counters"
        )  # as far as writing goes, this is what a full disk looks like from outside
    blocked.close()
    with running(create_app(full)) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        posted = http.post("/v1/orders", json=submission(signed))
        ready = http.get("/ready?for=orders")

    assert (posted.status_code, posted.json()["reason"]) == (503, "StoreUnavailable")
    assert (ready.status_code, ready.json()["reasons"]) == (503, {"journal": "the journal does not answer"})
    journal.close()


def test_a_redis_that_hangs_does_not_hold_orders_up(gateway: Gateway, tmp_path: Path) -> None:
    """Stopped, not gone: it takes connections and never answers. One order in a while waits for it, the others do not."""
    hanging = start_redis(tmp_path / "redis")
    board = Board(hanging.url)
    roles = MarketRoles(gateway.book.catalogue, OPENER.address, ARBITER.address)
    desks = desks_over(gateway.market, gateway.journal, board, gateway.blobs, roles, clock=time)
    with running(create_app(desks)) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        os.kill(hanging.pid, signal.SIGSTOP)
        took = []
        for _ in range(20):
            began = monotonic()
            assert http.post("/v1/orders", json=submission(gateway.signed())).status_code == 201
            took.append(monotonic() - began)
        os.kill(hanging.pid, signal.SIGCONT)

    assert sorted(took)[15] < 3.0
    board.close()
    hanging.stop()


def test_without_a_chain_nothing_is_decided(gateway: Gateway) -> None:
    """An order that cannot be checked is not taken: 503, and the journal as before."""
    chain = Chain([f"http://127.0.0.1:{free_port()}"], timeout_seconds=2)
    market = MarketContract(chain, gateway.book.market)
    market.__dict__.update(
        _terms=gateway.market.terms(), domain=gateway.domain
    )  # what a running gateway has read long ago
    roles = MarketRoles(gateway.book.catalogue, OPENER.address, ARBITER.address)
    desks = desks_over(market, gateway.journal, gateway.board, gateway.blobs, roles, clock=time)
    before = gateway.everything()

    with running(create_app(desks)) as url, httpx.Client(base_url=url, trust_env=False, timeout=20) as http:
        posted = http.post("/v1/orders", json=submission(gateway.signed(salt=2**200)))
        ready = http.get("/ready")
        offers = http.get("/v1/offers")

    assert (posted.status_code, posted.json()["reason"]) == (503, "ChainUnavailable")
    assert before["journal"] == gateway.everything()["journal"]
    assert "chain" in ready.json()["reasons"]
    assert offers.status_code == 200


@contextmanager
def process_of(
    gateway: Gateway, port: int, *, run: Callable[[dict[str, Any]], None] = gateway_process.run
) -> Iterator[BaseProcess]:
    """The gateway as a process, ready to answer; killed at the end where it still runs."""
    given = {
        "rpc": gateway.chain.rpc_url, "market": gateway.book.market, "catalogue": gateway.book.catalogue,
        "opener": OPENER.address, "arbiter": ARBITER.address, "journal": f"sqlite:///{gateway.journal_file}",
        "redis": gateway.redis.url, "blobs": str(gateway.blobs.path), "port": port,
    }  # fmt: skip
    process = PROCESSES.Process(target=run, args=(given,))
    process.start()
    try:
        deadline, waiting = monotonic() + 30, threading.Event()
        while not _is_alive(port):
            assert process.is_alive()
            assert monotonic() < deadline
            waiting.wait(0.05)
        yield process
    finally:
        process.kill()
        process.join()


def _is_alive(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/live", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_killed_in_the_middle_it_loses_no_order(gateway: Gateway) -> None:
    """SIGKILL at five random moments: what was acknowledged is there, and sending it all again makes each order once."""
    chance, port = random.Random(7), free_port()
    orders = [gateway.signed() for _ in range(40)]
    known = {row.id for row in gateway.journal.all_orders()}
    acknowledged: set[str] = set()
    for _ in range(5):
        with process_of(gateway, port) as process:
            timer = threading.Timer(chance.uniform(0.05, 0.5), process.kill)
            for n, signed in enumerate(orders):
                if n == 1:
                    timer.start()
                try:
                    answer = httpx.post(f"http://127.0.0.1:{port}/v1/orders", json=submission(signed), trust_env=False)
                except httpx.TransportError:
                    break
                assert answer.status_code in (200, 201)
                acknowledged.add(signed.id)
            process.join(20)
            assert not process.is_alive()

    with process_of(gateway, port):
        statuses = [
            httpx.post(f"http://127.0.0.1:{port}/v1/orders", json=submission(signed), trust_env=False).status_code
            for signed in orders
        ]
    kept = [row.id for row in gateway.journal.all_orders() if row.id not in known]

    assert acknowledged
    assert set(statuses) <= {200, 201}
    assert sorted(kept) == sorted(signed.id for signed in orders)


def test_asked_to_stop_it_drains_and_leaves_with_zero(gateway: Gateway) -> None:
    """SIGTERM: an upload in progress is finished and kept, then the process ends by itself."""
    port, content = free_port(), b"drained" * 1000
    released = threading.Event()
    path = f"/v1/blobs/{sha256_of(content)}"
    headers = sign_request(CLIENT, "PUT", path, sha256_of(content), gateway.now(), gateway.domain)

    def pieces(process: BaseProcess) -> Iterator[bytes]:
        yield content[:100]
        process.terminate()
        released.wait(0.5)
        yield content[100:]

    with process_of(gateway, port) as process:
        answer = httpx.put(f"http://127.0.0.1:{port}{path}", content=pieces(process), headers=headers, trust_env=False)
        process.join(25)

        assert (answer.status_code, process.exitcode) == (201, 0)
    assert gateway.blobs.has(sha256_of(content))


def test_asked_to_stop_under_load_it_drops_nothing_that_it_took(gateway: Gateway) -> None:
    """SIGTERM, and once more, while four clients post orders: each answer is a 201, and exactly the orders that were answered are kept."""
    port = free_port()
    known = {row.id for row in gateway.journal.all_orders()}
    with process_of(gateway, port) as process, ThreadPoolExecutor(4) as pool:
        enough = threading.Semaphore(0)
        posting = [pool.submit(_post_until_gone, gateway, port, enough) for _ in range(4)]
        for _ in range(12):
            assert enough.acquire(timeout=60)
        process.terminate()
        process.terminate()
        answers = [answer for client in posting for answer in client.result(60)]
        process.join(60)

    kept = {row.id for row in gateway.journal.all_orders()} - known
    assert {status for _, status in answers} == {201}
    assert kept == {order for order, _ in answers}
    assert process.exitcode == 0


def _post_until_gone(gateway: Gateway, port: int, posted: threading.Semaphore) -> list[tuple[str, int]]:
    """Post one order after the other until nobody takes a connection any more; the orders that were answered."""
    answers: list[tuple[str, int]] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
        while True:
            signed = gateway.signed()
            try:
                answer = http.post("/v1/orders", json=submission(signed))
            except httpx.TransportError:
                return answers
            answers.append((signed.id, answer.status_code))
            posted.release()


def test_what_has_arrived_is_answered_before_it_leaves(gateway: Gateway) -> None:
    """The signal and two requests come at the same moment, one on a connection that was idle, one on a connection that nobody has accepted."""
    port, request = free_port(), b"GET /live HTTP/1.1\r\nHost: gateway\r\n\r\n"
    with process_of(gateway, port) as process, socket.create_connection(("127.0.0.1", port), timeout=60) as idle:
        assert process.pid
        idle.sendall(request)
        assert _answer(idle).startswith(b"HTTP/1.1 200")
        os.kill(process.pid, signal.SIGSTOP)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as waiting:
            for connection in (idle, waiting):
                connection.sendall(request)
            os.kill(process.pid, signal.SIGTERM)
            threading.Event().wait(0.3)  # its server looks for the signal ten times a second: it is due at once
            os.kill(process.pid, signal.SIGCONT)
            answers = [_answer(connection)[:12] for connection in (idle, waiting)]
        process.join(60)

    assert answers == [b"HTTP/1.1 200"] * 2
    assert process.exitcode == 0


def _answer(connection: socket.socket) -> bytes:
    """What comes, up to the end of a body of JSON, or of the connection."""
    heard = b""
    while not heard.endswith(b"}") and (piece := connection.recv(4096)):
        heard += piece
    return heard
