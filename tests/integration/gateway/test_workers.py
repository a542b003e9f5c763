"""Several processes behind one port: they take orders side by side, one that dies is replaced, all of them drain."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import httpx
import psutil

from tests.integration.gateway import gateway_process
from tests.integration.gateway.conftest import Gateway, submission
from tests.integration.gateway.test_outages import PROCESSES, process_of
from tests.ports import free_port


def test_workers_take_each_order_once_and_outlive_one_of_them(gateway: Gateway) -> None:
    """Sent twice at once over many connections every order is taken once; a killed worker is replaced; SIGTERM ends them all with status 0."""
    port = free_port()
    orders = [gateway.signed() for _ in range(12)]
    known = {row.id for row in gateway.journal.all_orders()}
    with process_of(gateway, port, run=gateway_process.run_workers) as process, ThreadPoolExecutor(8) as pool:

        def post(n: int) -> int:
            body = submission(orders[n % len(orders)])
            return httpx.post(f"http://127.0.0.1:{port}/v1/orders", json=body, trust_env=False, timeout=60).status_code

        statuses = sorted(pool.map(post, range(2 * len(orders))))
        victim, other = _workers(process.pid)
        victim.kill()
        _until(lambda: len(now := _workers(process.pid)) == 2 and victim not in now)
        assert httpx.get(f"http://127.0.0.1:{port}/live", trust_env=False, timeout=60).is_success
        assert other.is_running()
        process.terminate()
        process.join(60)

    kept = [row.id for row in gateway.journal.all_orders() if row.id not in known]
    assert statuses == [200] * len(orders) + [201] * len(orders)
    assert sorted(kept) == sorted(signed.id for signed in orders)
    assert process.exitcode == 0


def test_a_worker_that_is_asked_to_stop_as_it_begins_stops() -> None:
    """Between its first breath and its own way with signals a SIGTERM is neither lost nor a failure: the status of all is 0."""
    process = PROCESSES.Process(target=gateway_process.run_asked_at_birth, args=({"port": free_port()},))
    process.start()
    try:
        process.join(60)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()


def _workers(pid: int | None) -> list[psutil.Process]:
    return [one for one in psutil.Process(pid).children() if _lives(one)]


def _lives(worker: psutil.Process) -> bool:
    try:
        return worker.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # reaped since it was listed
        return False


def _until(is_so: Callable[[], bool]) -> None:
    deadline, pause = monotonic() + 60, threading.Event()
    while not is_so():
        assert monotonic() < deadline
        pause.wait(0.05)
