"""A client signs progress receipts of leases that go on: which ones, and never more than it would owe if it ended the lease now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from marketplace.chain import verbs
from marketplace.chain.signing import Key
from marketplace.client import Job
from marketplace.domain.ids import ZERO_BYTES32, bytes32_of, sha256_of
from marketplace.domain.receipts import Receipt, Settlement
from marketplace.domain.units import Seconds
from tests.integration.client.conftest import Crash, Desk, Play, receipts_answer
from tests.integration.gateway.conftest import OTHER_PROVIDER, PROVIDER


def progress(play: Play, job: Job, used: int) -> Receipt:
    """What the provider says of a serving that goes on."""
    result, _ = play.result()
    return replace(play.receipt(job, used, result), result=ZERO_BYTES32, last=False)


def hand_in(play: Play, job: Job, used: int) -> Receipt:
    """The provider is heard, and leaves its progress receipt."""
    receipt = progress(play, job, used)
    play.api.heartbeat()
    play.api.post_receipt(receipt.lease, receipt, "provider", PROVIDER.sign_receipt(receipt, play.gateway.domain))
    return receipt


def pay(desk: Desk, play: Play, job: Job) -> int:
    """The provider settles what this client has signed last, alone; the seconds that are paid then."""
    lease = play.gateway.market.lease_of(job.id)
    kept = desk.market.book.instalments.newest(job.id, lease.opened_at)
    assert kept is not None
    settlement = Settlement(
        play.order_of(desk, job), kept.receipt.used_seconds, ZERO_BYTES32, False, kept.signature, "0x"
    )
    play.gateway.send(PROVIDER, verbs.settle(play.gateway.book.market, [settlement]))
    return play.gateway.market.lease_of(job.id).paid_seconds


def test_each_slice_is_signed_once_and_paid(desk: Desk, play: Play, running: Job) -> None:
    """What the provider says is signed, handed out and paid by the chain; more seconds again; the same ones, or fewer, never again."""
    hand_in(play, running, 6)
    desk.step()
    assert pay(desk, play, running) == 6
    hand_in(play, running, 8)
    for _ in range(3):
        desk.step()

    assert [int(body["receipt"]["usedSeconds"]) for body in desk.signatures_sent()] == [6, 8]
    assert all(body["receipt"]["last"] is False for body in desk.signatures_sent())
    assert pay(desk, play, running) == 8


def _ahead(play: Play, job: Job, receipt: Receipt) -> Receipt:
    elapsed = play.gateway.now() - receipt.opened_at
    return replace(receipt, used_seconds=Seconds(elapsed + 60))


LIES: list[tuple[Callable[[Play, Job, Receipt], Receipt], Key, str]] = [
    (_ahead, PROVIDER, "receipt.usedSeconds"),
    (lambda play, _, one: replace(one, offer=play.other_offer.id), PROVIDER, "receipt.offer"),
    (lambda _, __, one: replace(one, opened_at=one.opened_at - 1), PROVIDER, "receipt.opened_at"),
    (lambda _, __, one: replace(one, lease=bytes32_of(sha256_of(b"other"))), PROVIDER, "receipt.lease"),
    (lambda _, __, one: replace(one, result=bytes32_of(sha256_of(b"one"))), PROVIDER, "receipt.result"),
    (lambda _, __, one: one, OTHER_PROVIDER, "receipt.signature"),
]


@pytest.mark.parametrize(("lie", "key", "named"), LIES, ids=[named for _, _, named in LIES])
def test_what_does_not_hold_is_not_paid_on_the_way(
    desk: Desk, play: Play, running: Job, lie: Callable[[Play, Job, Receipt], Receipt], key: Key, named: str
) -> None:
    """More seconds than have passed, another serving, a result on the way, another's signature: the gateway tells it, nothing is signed."""
    play.api.heartbeat()
    told = play.said(lie(play, running, progress(play, running, 5)), key)
    desk.line.tampers.append(
        lambda request, _: (
            receipts_answer(told) if request.method == "GET" and request.url.path.endswith("/receipts") else None
        )
    )
    for _ in range(2):
        desk.step()

    assert desk.signatures_sent() == []
    assert named in running.attempts()[0].note


def test_a_provider_that_is_not_heard_is_not_paid_on_the_way(desk: Desk, play: Play, running: Job) -> None:
    """A receipt without a fresh beat waits; the provider's next beat has it signed."""
    hand_in(play, running, 6)
    play.pass_time(100)
    desk.step()
    assert desk.signatures_sent() == []
    assert "was not heard" in running.attempts()[0].note
    play.api.heartbeat()
    desk.step()

    assert len(desk.signatures_sent()) == 1


def test_after_the_end_nothing_more_is_paid_on_the_way(desk: Desk, play: Play, running: Job) -> None:
    """A receipt that comes with, or after, the client's own end of the lease is not signed."""
    hand_in(play, running, 6)
    running.cancel()
    for _ in range(2):
        desk.step()

    assert desk.signatures_sent() == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_client_that_dies_at_its_signature_hands_out_the_same(
    desk: Desk, play: Play, running: Job, when: str
) -> None:
    """Killed before or after its signature has left: started again it hands out that very one, for no other second."""
    identifier = running.id
    hand_in(play, running, 6)
    setattr(desk.line, f"crash_{when}", "POST /v1/leases")
    with pytest.raises(Crash):
        desk.step()
    desk.market.close()
    again = desk.again()
    for _ in range(2):
        again.step()

    assert [int(body["receipt"]["usedSeconds"]) for body in again.signatures_sent()] == [6]
    assert pay(again, play, again.market.job(identifier)) == 6
