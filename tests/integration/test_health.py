"""`/live` and `/ready` on a port of their own: small, bounded, on the loopback only."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest

from marketplace.health import AT_ONCE, REQUEST_BYTES, Health, served
from marketplace.services.checks import Checks
from marketplace.watchdog import Pulse


class Served:
    """A health port, and what it tells of."""

    def __init__(self) -> None:
        self.pulse = Pulse(late_seconds=10)
        self.wrong: dict[str, str | None] = {"chain": None, "redis": None}
        checks = {name: (lambda name=name: self.wrong[name]) for name in self.wrong}
        duties = {"rounds": ["chain", "redis"], "deadlines": ["chain"]}
        self.health = Health(
            self.pulse, Checks(checks, duties, clock=lambda: 0.0, fresh_seconds=-1), lambda: {"block": 7}
        )
        self.port = 0

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False, timeout=30)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@pytest.fixture
def place() -> Iterator[Served]:
    place = Served()
    with served(0, place.health) as port:
        assert port
        place.port = port
        yield place


def test_ready_names_every_check(place: Served) -> None:
    """With its reason and since when; 503 where one says no, 200 for a duty that does not need it, 400 for a duty that there is not."""
    fine = place.get("/ready")
    place.wrong["redis"] = "it is away"
    away, deadlines, rounds = place.get("/ready"), place.get("/ready?for=deadlines"), place.get("/ready?for=rounds")
    unknown = place.get("/ready?for=orders")

    assert (fine.status_code, fine.json()["ready"], fine.json()["about"]) == (200, True, {"block": 7})
    assert fine.json()["checks"]["chain"] == {"ok": True, "reason": None, "since": "1970-01-01T00:00:00Z"}
    assert (away.status_code, away.headers["content-type"]) == (503, "application/problem+json")
    assert (away.json()["reason"], away.json()["reasons"]) == ("NotReady", {"redis": "it is away"})
    assert away.json()["checks"]["redis"]["reason"] == "it is away"
    assert (deadlines.status_code, set(deadlines.json()["checks"])) == (200, {"chain"})
    assert rounds.status_code == 503
    assert (unknown.status_code, unknown.json()["reason"]) == (400, "UnknownDuty")
    assert place.get("/metrics").status_code == 404


def test_live_is_false_where_a_step_hangs(place: Served) -> None:
    """Failing steps are no reason to start a process anew: that is what /ready is for."""
    place.pulse.failure = "ChainUnavailable: no node answers"
    place.wrong["chain"] = "it is away"
    alive = place.get("/live")
    place.pulse.pass_time(11)
    hung = place.get("/live")

    assert (alive.status_code, alive.json()["live"]) == (200, True)
    assert (hung.status_code, hung.json()["reason"]) == (503, "NotLive")


@pytest.mark.parametrize(
    "sent", [b"\r\n\r\n", b"POST /live HTTP/1.1\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x00\xa5\r\n\r\n"]
)
def test_nonsense_is_answered_and_forgotten(place: Served, sent: bytes) -> None:
    """Other methods, half a request, another protocol."""
    with closing(place.connect()) as connection:
        connection.sendall(sent)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert place.get("/live").status_code == 200


def test_a_request_without_end_is_cut_off(place: Served) -> None:
    """What is longer than a probe is answered as far as it goes, and not read on."""
    with closing(place.connect()) as connection:
        connection.sendall(b"GET /live HTTP/1.1\r\n" + b"x: y\r\n" * (REQUEST_BYTES // 6 - 3))
        connection.sendall(b"z" * 100)
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_hoarders_of_connections_cannot_take_more_than_their_share(place: Served) -> None:
    """So many wait at once; others are closed at once, and probes are answered again when the silent ones have had their time."""
    with ExitStack() as stack:
        silent = [stack.enter_context(closing(place.connect())) for _ in range(AT_ONCE)]
        with closing(place.connect()) as one_more:
            one_more.sendall(b"GET /live HTTP/1.1\r\n\r\n")
            try:
                assert one_more.recv(100) == b""
            except ConnectionResetError:
                pass
        for connection in silent:
            connection.recv(100)
    assert place.get("/live").status_code == 200


def test_only_this_machine_is_answered(place: Served) -> None:
    """The port is bound to the loopback's address alone."""
    with socket.socket() as other:
        other.bind(("127.0.0.2", place.port))


def test_no_port_is_the_default() -> None:
    """Nobody listens unless asked to."""
    with served(None, Served().health) as port:
        assert port is None
