"""What a client does about single leases by hand, and what it does not do on a gateway's word alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from marketplace.chain import verbs
from marketplace.client import Job, JobState
from marketplace.client.extending import follow_on
from marketplace.client.handed_back import SETTLED_AFTER_SECONDS
from marketplace.client.ssh import machine_at, machine_of
from marketplace.domain.errors import HashMismatch, InsufficientBalance, InvalidField, NotFound
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.results import EndedReason
from marketplace.domain.ssh import EntryReason, EntryRefused
from marketplace.domain.units import Seconds
from tests.integration.client.conftest import Desk, Play, a_desk, receipts_answer
from tests.integration.client.doorman import Doorman
from tests.integration.gateway.conftest import CLIENT, PROVIDER


def test_a_dispute_needs_the_stake_to_be_free_and_a_side_to_be_on(desk: Desk, play: Play, running: Job) -> None:
    """Whoever cannot stake as much as the bond is told so before anything is sent; so is who is no party."""
    (lease,) = running.orders
    free = desk.market.balance().free
    desk.market.withdraw(free)
    try:
        with pytest.raises(InsufficientBalance) as poor:
            desk.market.leases.dispute(lease)
    finally:
        play.gateway.fund(CLIENT, free)

    assert (poor.value.available, poor.value.required > 0) == (0, True)
    assert play.gateway.market.lease_of(lease).status is LeaseStatus.OPEN
    with pytest.raises(NotFound, match="receipt of ours"):
        desk.market.leases.claim(lease)


def test_a_lease_of_the_gateways_word_is_held_against_its_name(
    desk: Desk, door: Doorman, play: Play, running: Job, tmp_path: Path
) -> None:
    """An order that does not hash to the lease's id is not what anybody stakes or rules for."""
    (lease,) = running.orders
    with a_desk(play.gateway, tmp_path / "elsewhere", door.url) as stranger:
        assert stranger.market.leases.order_of(lease) == play.order_of(desk, running)

        door.tell(f"GET /v1/leases/{lease}", lambda told: told["order"].update(salt="1"))
        with pytest.raises(HashMismatch):
            stranger.market.leases.order_of(lease)


def test_a_receipt_that_is_not_the_very_one_that_was_signed_settles_nothing(
    desk_behind: Desk, door: Doorman, play: Play
) -> None:
    """Handed back: the gateway shows the client's own word, another receipt, and a forged one; then the true one, and it is settled."""
    job = desk_behind.market.submit(play.request())
    play.open(desk_behind, job)
    play.pass_time(10)
    true = play.hand_in(job, 5, ended=EndedReason.STOPPED)
    desk_behind.step()
    play.pass_time(SETTLED_AFTER_SECONDS)
    (lease,) = job.orders

    forged = structs.replace(play.said(true), signature=CLIENT.sign_receipt(true, play.gateway.domain))
    others = (
        structs.replace(play.said(true), role="client"),
        play.said(replace(true, used_seconds=Seconds(4))),
        forged,
    )
    door.answer(f"GET /v1/leases/{lease}/receipts", 200, receipts_answer(*others), "application/json")
    desk_behind.step()
    assert play.gateway.market.lease_of(lease).status is LeaseStatus.OPEN

    door.lies.clear()
    desk_behind.step()

    settled = play.gateway.market.lease_of(lease)
    assert (settled.status, settled.paid_seconds) == (LeaseStatus.CLOSED, 5)


def test_what_is_no_session_is_not_extended_or_sat_at(desk: Desk, play: Play, running: Job) -> None:
    """A job that ends by itself, one without a key for ssh, and a machine behind a gateway that names no relay."""
    with pytest.raises(InvalidField, match="is no session"):
        follow_on(running, play.gateway.market, Seconds(60))
    with pytest.raises(EntryRefused) as no_key:
        machine_of(running, play.gateway.market, desk.market.session.api)
    with pytest.raises(EntryRefused) as no_relay:
        machine_at(running.orders[-1], play.gateway.market, desk.market.session.api)

    assert [caught.value.why for caught in (no_key, no_relay)] == [EntryReason.NO_SSH, EntryReason.NO_RELAY]


def test_a_session_is_extended_on_its_offer_as_long_as_that_stands(desk: Desk, play: Play) -> None:
    """With what its first order guarantees and what is left of its time; on one that was withdrawn it is not."""
    job = desk.market.submit(play.request(command=(), session=SessionTerms(), retries=0))
    play.open(desk, job)
    found = follow_on(job, play.gateway.market, Seconds(60))

    assert (found.is_early, found.request.offer, found.request.session) == (
        True,
        play.offer.id,
        SessionTerms(follows=job.orders[-1]),
    )
    assert 600 < found.request.max_time <= 660

    def reprice(expires_at: int) -> None:
        call = verbs.reprice(play.gateway.book.market, play.offer.id, play.offer.price, expires_at)  # type: ignore[arg-type]
        play.gateway.send(PROVIDER, call)

    reprice(0)
    try:
        with pytest.raises(InvalidField, match="which is withdrawn"):
            follow_on(job, play.gateway.market, Seconds(60))
    finally:
        reprice(play.offer.expires_at)


def test_a_job_that_never_ran_has_left_nothing(desk: Desk, play: Play) -> None:
    """Nobody served it, so nobody's word is asked for; nor is there any of one whose provider brought none."""
    waiting, ran = desk.market.submit(play.request()), desk.market.submit(play.request())
    play.open(desk, ran)
    session = desk.market.session
    for job in (waiting, ran):
        assert job.cancel() is JobState.CANCELLED
        assert not session.collect(desk.market.book.order(job.orders[-1]))
