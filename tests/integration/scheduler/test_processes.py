"""The operator's daemons as processes: pairs of which one acts, signals in the middle of work, and neighbours that go away."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest

from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.store.redis_server import RedisHandle, start_redis
from tests.integration.scheduler.floor import OPENER, PROVIDERS, Floor
from tests.integration.scheduler.processes import Operator, Process, eventually


@pytest.fixture
def operator(floor: Floor, redis_server: RedisHandle, tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(floor, tmp_path, redis_server.url)
    yield operator
    operator.close()


def suspend(process: Process, journal: Path) -> None:
    """Stop it where it does not hold the journal: SQLite has no clock that would take a lock from who stands still."""

    def is_suspended() -> bool:
        process.send(signal.SIGSTOP)
        eventually(lambda: psutil.Process(process.running.pid).status() == psutil.STATUS_STOPPED, "it stands still")
        with closing(sqlite3.connect(journal, timeout=1, isolation_level=None)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                process.send(signal.SIGCONT)
                return False
            db.execute("ROLLBACK")
        return True

    eventually(is_suspended, "it is suspended between two writes")


def are_open(floor: Floor, orders: list[SignedOrder]) -> bool:
    """Whether the chain serves them all. Blocks come, and providers are alive, meanwhile."""
    floor.board.beat(PROVIDERS[0].address, floor.now)
    floor.mine()
    return all(floor.lease(order).status is LeaseStatus.OPEN for order in orders)


def test_one_of_a_pair_acts_and_the_other_takes_over(operator: Operator, floor: Floor) -> None:
    """Two schedulers of one key and two indexers of one Redis: a leader that hangs is followed, and stands by when it goes on; one that is
    asked to end, in the middle of work, finishes what it does; one that is killed is followed. No order is lost or opened twice."""
    first_indexer, first = operator.start("indexer"), operator.start("scheduler")
    eventually(lambda: first_indexer.leads and first.leads, "they lead")
    indexer, second = operator.start("indexer"), operator.start("scheduler")
    eventually(lambda: indexer.stands_by and second.stands_by, "the others stand by")
    ready, wanted = second.get("/ready"), second.get("/ready?for=lead")
    assert ready is not None
    assert wanted is not None
    assert (ready.status_code, wanted.status_code, set(wanted.json()["reasons"])) == (200, 503, {"lead"})

    offer = floor.list(gpus=60)
    orders = [floor.order() for _ in range(10)]
    eventually(lambda: are_open(floor, orders), "the first ten are served")

    suspend(first, operator.folder / "journal.sqlite")
    suspend(first_indexer, operator.folder / "journal.sqlite")
    orders += [floor.order() for _ in range(10)]
    eventually(lambda: second.leads and indexer.leads, "who stood by leads")
    eventually(lambda: are_open(floor, orders), "the second ten are served")
    first.send(signal.SIGCONT)
    first_indexer.send(signal.SIGCONT)
    eventually(lambda: first.stands_by and first_indexer.stands_by, "who was suspended stands by")

    orders += [floor.order() for _ in range(10)]
    second.send(signal.SIGTERM)
    orders += [floor.order() for _ in range(10)]
    second.send(signal.SIGTERM)
    assert second.ends() == 0
    indexer.send(signal.SIGKILL)
    eventually(lambda: first.leads and first_indexer.leads, "the first ones lead again")
    eventually(lambda: are_open(floor, orders), "all are served")

    assert floor.market.offer_of(offer.id).free == 60 - len(orders)
    (up,), (stopped,) = second.lines("scheduler.up"), second.lines("scheduler.stopped")
    assert up["health_port"] == second.port
    assert (stopped["reason"], up["journal"], up["account"]) == ("SIGTERM", "sqlite", OPENER.address)
    assert stopped["block"] >= up["block"] if up["block"] else stopped["block"]


def test_an_outage_is_a_handful_of_lines(operator: Operator, redis_server: RedisHandle, floor: Floor) -> None:
    """Redis is gone for some seconds, and somebody probes all the while: each daemon says so once, /ready says why, and when it is back
    each says how long it was."""
    daemons, gateway = leading(operator), operator.start("gateway")
    heard(gateway, "gateway.up")
    before = {name: len(daemon.lines()) for name, daemon in daemons.items()}
    redis_server.kill()
    asked = 0
    over = monotonic() + 6
    while monotonic() < over:
        asked += len([gateway.get("/v1/offers") for _ in range(5)])
        answers = [daemon.get(path) for daemon in daemons.values() for path in ("/live", "/ready")]
    orders = gateway.get("/ready?for=orders")
    back = start_redis(redis_server.folder)

    assert [answer and answer.status_code for answer in answers] == [200, 503, 200, 503]
    assert all("redis" in answer.json()["reasons"] for answer in answers[1::2] if answer)
    assert orders is not None
    assert orders.status_code == 200
    assert len(gateway.lines("gateway.failed")) == 1 < asked
    assert len(gateway.lines()) <= 4, gateway.lines()
    for name, daemon in daemons.items():
        (recovered,) = heard(daemon, f"{name}.recovered")
        assert recovered["times"] >= 3
        assert recovered["after_seconds"] >= 5
        said = daemon.lines()[before[name] :]
        assert len(said) <= 8, said
    back.stop()


def test_hanging_up_ends_no_process(operator: Operator) -> None:
    """The terminal that started them is closed: they go on, and end when they are asked to."""
    daemons = leading(operator)
    for name, daemon in daemons.items():
        daemon.send(signal.SIGHUP)
        daemon.send(signal.SIGHUP)
        heard(daemon, f"{name}.hangup_ignored")
        daemon.send(signal.SIGTERM)
        assert daemon.ends() == 0
        assert len(daemon.lines(f"{name}.hangup_ignored")) == 1


def leading(operator: Operator) -> dict[str, Process]:
    """An indexer and a scheduler that do their work."""
    daemons = {name: operator.start(name) for name in ("indexer", "scheduler")}
    eventually(lambda: all(daemon.leads for daemon in daemons.values()), "they lead")
    return daemons


def heard(daemon: Process, event: str) -> list[dict[str, Any]]:
    """The lines of this event, as soon as there is one."""
    found: list[dict[str, Any]] = eventually(lambda: daemon.lines(event), event)
    return found
