"""The private redis-server: it comes up, stays ours, comes back with what it had, and never outlives us."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import psutil
import pytest

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.ledger import Rows
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.store.board import Board
from marketplace.store.board_projection import Head, Step
from marketplace.store.redis_server import RedisHandle, free_port, start_redis
from tests.unit.store.rows import CLIENT, block


def test_it_listens_on_a_socket_that_only_we_can_open(own_redis: RedisHandle) -> None:
    """A folder and a socket without rights for others, and no port."""
    board = Board(own_redis.url)
    board.ping()
    board.close()

    assert stat.S_IMODE(own_redis.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((own_redis.folder / "redis.sock").stat().st_mode) == 0o700
    assert [c for c in psutil.Process(own_redis.pid).net_connections("inet") if c.status == "LISTEN"] == []


def test_with_a_port_it_listens_on_the_loopback_only(tmp_path: Path) -> None:
    """Nobody else on the network reaches it."""
    handle = start_redis(tmp_path, free_port())
    try:
        board = Board(handle.url)
        board.ping()
        board.close()

        listening = [c for c in psutil.Process(handle.pid).net_connections("inet") if c.status == "LISTEN"]
        assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
    finally:
        handle.stop()


def test_a_path_too_long_for_a_socket_gets_a_port(tmp_path: Path) -> None:
    """The kernel allows 108 bytes."""
    handle = start_redis(tmp_path / ("deep" * 30))
    handle.stop()

    assert handle.url.startswith("redis://127.0.0.1:")


def test_a_server_that_cannot_start_says_where_to_look(tmp_path: Path) -> None:
    """A port that is taken: StoreUnavailable names the log."""
    first = start_redis(tmp_path / "first", free_port())
    try:
        with pytest.raises(StoreUnavailable, match=r"redis\.log"):
            start_redis(tmp_path / "second", int(first.url.rpartition(":")[2].partition("/")[0]))
    finally:
        first.stop()


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_it_ends_and_comes_back_with_what_it_had(tmp_path: Path, ending: str) -> None:
    """After a clean end all of it; after kill -9 all that a second's fsync and the kernel hold, which a killed process cannot lose.

    The same board goes on by itself: it reconnects."""
    first = start_redis(tmp_path / "redis")
    board = Board(first.url)
    board.beat(CLIENT, UnixTime(5))
    getattr(first, ending)()
    with pytest.raises(StoreUnavailable):
        board.heartbeats()

    second = start_redis(tmp_path / "redis")
    try:
        assert board.heartbeats() == {CLIENT: 5}
        assert not first.is_alive
    finally:
        board.close()
        second.stop()


def test_kill_9_between_writes_leaves_a_whole_step(tmp_path: Path) -> None:
    """Twenty kills at random moments of a stream of steps: cursor and rows always agree, and what one restart found no kill takes away.

    While a slow disk is still busy with the last fsync, Redis holds writes back that it has acknowledged, for two seconds at most: a
    kill then costs the newest steps, which the indexer writes again. Never a part of a step.
    """
    folder = tmp_path / "redis"
    handle = start_redis(folder)
    board = Board(handle.url)
    board.projection.begin("market", None)
    found = 0
    for round_ in range(20):
        acknowledged = _write_until_killed(board, handle, 3 + 7 * round_ % 23)
        handle = start_redis(folder)

        head = board.projection.head()
        assert head is not None
        assert head.cursor is not None
        assert found <= head.cursor.number <= acknowledged + 1
        assert board.projection.account(CLIENT) == head.cursor.number
        found = head.cursor.number
    assert found > 0
    board.close()
    handle.stop()


def _write_until_killed(board: Board, handle: RedisHandle, writes: int) -> int:
    """Write steps, have the server killed from outside after some of them; the last acknowledged cursor."""
    acknowledged = 0
    killer = None
    try:
        for count in range(1_000_000):
            head = board.projection.head()
            assert head is not None
            number = (head.cursor.number if head.cursor else 0) + 1
            step = Step(
                cursor=block(number), changed=0, is_ready=True, expired_before=UnixTime(0), refused_before=0,
                rows=Rows({CLIENT: TokenUnits(number)}),
            )  # fmt: skip
            board.projection.write(step, head)
            acknowledged = number
            if count == writes:
                killer = subprocess.Popen(["kill", "-9", str(handle.pid)])
    except StoreUnavailable:
        pass
    assert killer is not None
    killer.wait()
    handle.process.wait()
    return acknowledged


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    """However the parent ends, no server is left."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path / "redis")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    with parent.stdout:
        server = psutil.Process(int(parent.stdout.readline()))
    assert "redis-server" in server.name()

    os.kill(parent.pid, number)
    parent.wait()

    deadline = monotonic() + 20
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE and monotonic() < deadline:
        pass
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


_PARENT = """
import pathlib, signal, sys
from marketplace.store.redis_server import start_redis
print(start_redis(pathlib.Path(sys.argv[1])).pid, flush=True)
signal.pause()
"""


def test_a_full_redis_takes_nothing_of_a_step(own_redis: RedisHandle) -> None:
    """Out of memory is StoreUnavailable, and the projection is what it was (F23)."""
    board = Board(own_redis.url)
    written = _first_step(board)
    digest = board.projection.digest()
    board._redis.call("CONFIG", "SET", "maxmemory", "1")

    with pytest.raises(StoreUnavailable):
        board.projection.write(_step(2), written)
    board._redis.call("CONFIG", "SET", "maxmemory", "0")

    assert board.projection.digest() == digest
    board.projection.write(_step(2), written)
    board.close()


def test_a_stuck_redis_is_an_outage(own_redis: RedisHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGSTOP: the caller hears of it in seconds; after SIGCONT the same board goes on (F23)."""
    monkeypatch.setattr("marketplace.store.board_connection.ANSWER_SECONDS", 0.2)
    board = Board(own_redis.url)
    written = _first_step(board)

    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable):
            board.view()
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)

    # It is asked again when others have waited for it long enough, and not before.
    assert _answered_at_last(board.cursor) == written.cursor
    board.close()


def _answered_at_last(ask: Callable[[], BlockRef | None]) -> BlockRef | None:
    deadline, waiting = monotonic() + 60, threading.Event()
    while True:
        try:
            return ask()
        except StoreUnavailable:
            assert monotonic() < deadline, "it never answered"
            waiting.wait(0.1)


def _step(number: int) -> Step:
    rows = Rows({CLIENT: TokenUnits(number)})
    return Step(cursor=block(number), changed=0, is_ready=True, expired_before=UnixTime(0), refused_before=0, rows=rows)


def _first_step(board: Board) -> Head:
    return board.projection.write(_step(1), board.projection.begin("market", None))
