"""A client at a real gateway beside a provider that lies: what it signs, what stays of a lie on its disk, and what happens to its other jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from marketplace.chain import verbs
from marketplace.client import Job, JobState
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import sha256_of
from marketplace.domain.results import Output
from tests.integration.client.conftest import (
    Desk,
    Play,
    desk,
    gateway,
    gateway_anvil,
    gateway_redis,
    offers,
    play,
    running,
)
from tests.integration.gateway.conftest import CLIENT, PROVIDER
from tests.unit.bundled_trees import crafted, member

__all__ = ["desk", "gateway", "gateway_anvil", "gateway_redis", "offers", "play", "running"]


def test_what_is_disputed_meanwhile_is_not_signed(desk: Desk, play: Play, running: Job) -> None:
    """Outputs take a while to come. Who disputes the lease before they are here has not signed for it afterwards."""
    play.hand_in(running, 5)
    order, disputed = play.order_of(desk, running), list[bool]()

    def dispute(request: httpx.Request, _: bytes) -> bytes | None:
        if "/blobs/" in request.url.path and request.method == "GET" and not disputed:
            disputed.append(True)
            play.gateway.send(CLIENT, verbs.dispute(play.gateway.book.market, order))
        return None

    desk.line.tampers.append(dispute)
    for _ in range(3):
        desk.step()

    assert disputed
    assert desk.signatures_sent() == []
    assert desk.market.book.last_receipt(running.id) is None


def test_an_own_disk_that_fails_stops_one_job_only(desk: Desk, play: Play, running: Job, tmp_path: Path) -> None:
    """What cannot be kept here is noted and tried again, not thrown at every other job; and it is nothing that the provider did."""
    results = tmp_path / "home" / "results"
    assert not results.exists()
    results.write_text("in the way")
    play.hand_in(running, 5)
    desk.step()
    desk.step()
    assert desk.signatures_sent() == []
    assert running.state is JobState.RUNNING
    assert "nothing is signed" in running.attempts()[0].note

    results.unlink()
    desk.step()

    assert running.state is JobState.SUCCEEDED


def test_what_was_settled_is_verified_when_there_is_room(desk: Desk, play: Play, running: Job, tmp_path: Path) -> None:
    """A result that the chain has settled and this machine cannot keep is not its provider's failure: nothing is ordered again."""
    (tmp_path / "home" / "results").write_text("in the way")
    receipt, order = play.hand_in(running, 8), play.order_of(desk, running)
    market = play.gateway.book.market
    play.gateway.send(PROVIDER, verbs.claim(market, order, receipt.used_seconds, receipt.result))
    play.pass_time(16)
    play.gateway.send(PROVIDER, verbs.finalize(market, [order]))
    desk.step()
    assert running.state is JobState.RUNNING
    assert "cannot keep" in running.attempts()[0].note

    (tmp_path / "home" / "results").unlink()
    desk.step()

    assert running.state is JobState.SUCCEEDED
    assert len(running.orders) == 1


def test_an_archive_full_of_tricks_is_paid_and_not_unpacked(
    desk: Desk, play: Play, running: Job, tmp_path: Path
) -> None:
    """What a bundle holds is nobody's word but its provider's: it is hashed and paid, and refused when it would leave its folder."""
    honest, _ = play.result()
    bundle = crafted(member("../evil", b"x"))
    lie = replace(honest, outputs=(Output("/job/out", len(bundle), (sha256_of(bundle),)),))
    for blob in (bundle, b"epoch 1\nepoch 2\n"):
        play.api.put_blob(blob)
    receipt = play.receipt(running, 5, lie)
    signature = PROVIDER.sign_receipt(receipt, play.gateway.domain)
    play.api.post_receipt(receipt.lease, receipt, "provider", signature, lie)
    desk.step()
    assert running.state is JobState.SUCCEEDED

    with pytest.raises(InvalidField):
        running.download(tmp_path / "deep" / "into")

    assert not (tmp_path / "deep").exists()


def test_words_of_a_result_are_noted_in_one_line(desk: Desk, play: Play, running: Job) -> None:
    """A field of a megabyte of terminal orders is a note that a table can show."""
    play.hand_in(running, 5)
    named = {"\x1b]52;c;x\x07" + "x" * 500_000: 2**60}

    def tamper(request: httpx.Request, content: bytes) -> bytes | None:
        if not request.url.path.endswith("/outputs"):
            return None
        told = json.loads(content)
        return json.dumps(told | {"result": told["result"] | named}).encode()

    desk.line.tampers.append(tamper)
    desk.step()

    (attempt,) = running.attempts()
    assert "nothing is signed" in attempt.note
    assert len(attempt.note) <= 400
    assert attempt.note.isprintable()
