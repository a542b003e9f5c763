"""The HTTP client against a real gateway: logs, blobs, stale block time, problems, retries."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from marketplace.api.client.deadlines import tls_context
from marketplace.chain.devnet import increase_time
from marketplace.client import GatewayApi, Job, Retries
from marketplace.domain.errors import ConfigError, GatewayProblem, GatewayUnavailable, HashMismatch, InvalidField
from marketplace.domain.ids import sha256_of
from tests.integration.client.conftest import LOG, Desk, Line, Play
from tests.integration.gateway.conftest import CLIENT, Gateway


class Failing(httpx.BaseTransport):
    """A line that is dead for the first requests."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self._real = httpx.HTTPTransport(verify=tls_context())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.left:
            self.left -= 1
            raise httpx.ConnectError("nobody is there", request=request)
        return self._real.handle_request(request)

    def close(self) -> None:
        self._real.close()


def test_a_log_is_appended_where_it_ends(play: Play, running: Job) -> None:
    """A repeated or a misplaced chunk changes nothing; the answer says where to go on."""
    assert play.api.append_log(running.id, 0, b"epoch 1\n") == 8
    assert play.api.append_log(running.id, 0, b"epoch 1\n") == 8
    assert play.api.append_log(running.id, 99, b"later") == 8
    assert play.api.append_log(running.id, 8, "é".encode()) == 10

    assert play.api.log(running.id) == "epoch 1\né".encode()
    assert play.api.log(running.id, 8) == "é".encode()


def test_a_log_is_followed_to_its_end(desk: Desk, play: Play, running: Job) -> None:
    """The event stream tells the whole log and ends when the lease is over."""
    play.api.append_log(running.id, 0, LOG)
    play.hand_in(running, 5)
    desk.step()
    play.settle(desk, running)

    chunks = list(desk.market.api.follow_log(running.id))

    assert "".join(chunk.text for chunk in chunks) == LOG.decode()
    assert chunks[-1].next == len(LOG)


def test_a_blob_comes_back_and_is_hashed(play: Play, tmp_path: Path) -> None:
    """As bytes and as a file; twice is once."""
    content = b"a blob" * 1000
    (tmp_path / "blob").write_bytes(content)

    name = play.api.put_blob(tmp_path / "blob")

    assert name == play.api.put_blob(content) == sha256_of(content)
    assert play.api.fetch_blob(name) == content
    assert play.api.fetch_blob_into(name, tmp_path / "back").read_bytes() == content
    with pytest.raises(InvalidField):
        play.api.fetch_blob(name, limit_bytes=10)


def test_a_changed_blob_is_refused_and_leaves_no_file(gateway: Gateway, play: Play, tmp_path: Path) -> None:
    """What does not hash to its name never appears under it."""
    name = play.api.put_blob(b"the real thing", public=True)
    line = Line()
    line.tampers.append(lambda request, content: b"another thing" if "/blobs/" in request.url.path else None)
    api = GatewayApi(gateway.url, transport=line)

    with pytest.raises(HashMismatch):
        api.fetch_blob(name)
    with pytest.raises(HashMismatch):
        api.fetch_blob_into(name, tmp_path / "blob")

    assert list(tmp_path.glob("*blob*")) == []
    assert list(tmp_path.glob(".partial*")) == []
    api.close()


def test_a_stale_block_time_is_asked_for_again(gateway: Gateway, play: Play) -> None:
    """When block time has run away from what was kept, the write is signed again and goes through."""
    play.api.put_blob(b"before")
    increase_time(gateway.chain, 1000)

    assert play.api.put_blob(b"after") == sha256_of(b"after")


def test_a_problem_carries_reason_field_and_status(play: Play, running: Job) -> None:
    """RFC 9457 becomes a typed error."""
    with pytest.raises(GatewayProblem) as problem:
        play.api.quotes("RTX4091", max_seconds=1)

    assert (problem.value.status, problem.value.reason, problem.value.field) == (422, "InvalidField", "gpu")


def test_a_write_without_a_key_says_what_is_missing(gateway: Gateway) -> None:
    """Nothing is sent."""
    api = GatewayApi(gateway.url)

    with pytest.raises(ConfigError):
        api.heartbeat()
    api.close()


def test_a_dead_line_is_tried_again_and_then_named(gateway: Gateway) -> None:
    """Bounded attempts with growing pauses, waited through the injected waiter."""
    pauses: list[float] = []
    api = GatewayApi(gateway.url, key=CLIENT, transport=Failing(2), waiter=pauses.append)
    assert api.market().terms.market == gateway.book.market
    assert pauses == [0.2, 0.4]
    api.close()

    api = GatewayApi(gateway.url, transport=Failing(99), retries=Retries(attempts=3), waiter=pauses.append)
    with pytest.raises(GatewayUnavailable):
        api.market()
    assert not api.ready()
    api.close()


def test_offers_quotes_and_classes_are_typed(play: Play) -> None:
    """What the market has, as domain values; GPUs that nobody measured are declared."""
    (mine,) = play.api.offers(provider=play.offer.provider)
    quotes = play.api.quotes("RTX4090", max_seconds=3600, max_price=play.offer.price)

    assert mine.offer.id == play.offer.id
    assert mine.machine is not None
    assert not mine.machine.measured
    by_offer = {quote.offer.id: quote for quote in quotes}
    assert by_offer[play.offer.id].locked == play.offer.price
    assert {row.name for row in play.api.classes()} >= {"RTX4090", "H100-SXM-80GB"}
