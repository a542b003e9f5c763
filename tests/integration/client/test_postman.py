"""A gateway is a postman: what it answers, hides or is too late to say ends no job, and makes no client pay for more than it has asked for."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.signing import Key
from marketplace.client import Job, JobReason, JobState
from marketplace.domain.errors import GatewayProblem
from marketplace.domain.ids import bytes32_of
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.units import GpuCount, Seconds
from marketplace.domain.work import read_work
from tests.integration.client.conftest import Desk, Play
from tests.integration.client.doorman import Doorman
from tests.integration.gateway.conftest import CLIENT, OPENER, OTHER_PROVIDER, PROVIDER, Gateway

PATIENCE = Seconds(15)
REFUSAL = b'{"status": 422, "reason": "InvalidField", "detail": "classes: are not to my taste"}'


def _running(desk: Desk, play: Play, **changed: Any) -> Job:
    job = desk.market.submit(play.request(max_time=Seconds(120), silent_after=PATIENCE, **changed))
    play.open(desk, job)
    play.api.heartbeat()
    play.other_api.heartbeat()
    return job


def _live(gateway: Gateway, job: Job) -> list[int]:
    """Which of the job's orders have a live lease."""
    return [place for place, order in enumerate(job.orders) if gateway.market.lease_of(order).status.is_live]


def _ordered_again(desk: Desk, play: Play, **changed: Any) -> Job:
    """A job that was ordered again, and runs at the second provider beside the lease of the first."""
    job = _running(desk, play, **changed)
    play.keep_silent(desk, 20)
    assert len(job.orders) == 2
    play.open(desk, job, play.other_offer)
    assert (job.state, _live(play.gateway, job)) == (JobState.RUNNING, [0, 1])
    return job


def _receipt_of(play: Play, job: Job, lease: int, key: Key, used: int) -> None:
    """The provider of that order of the job hands an honest result in."""
    result, blobs = play.result()
    api = play.api if key is PROVIDER else play.other_api
    for blob in blobs:
        api.put_blob(blob)
    word = play.gateway.market.lease_of(job.orders[lease])
    receipt = replace(
        play.receipt(job, used, result), lease=job.orders[lease], offer=word.offer, opened_at=word.opened_at
    )
    api.post_receipt(receipt.lease, receipt, "provider", key.sign_receipt(receipt, play.gateway.domain), result)


def _step_until_over(desk: Desk, job: Job) -> None:
    for _ in range(10):
        desk.step()
        if job.is_terminal:
            return


# -- orders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (422, REFUSAL, "application/problem+json"),
        (403, b"<html>Forbidden</html>", "text/html"),
        (500, b"oops", "text/plain"),
        (200, b"<html>Welcome</html>", "text/html"),
        (201, b'{"id": 5}', "application/json"),
    ],
)
def test_an_order_that_a_gateway_denies_having_is_watched_all_the_same(
    desk_behind: Desk, door: Doorman, play: Play, status: int, content: bytes, kind: str
) -> None:
    """It keeps the signed order, says something else, and the order is opened a moment later: the job runs, and is the client's."""
    door.answer("POST /v1/orders", status, content, kind)
    with nullcontext() if status != 422 else pytest.raises(GatewayProblem):
        desk_behind.market.submit(play.request())
    (job,) = desk_behind.market.jobs()
    desk_behind.step()
    assert (job.state, job.is_posted) == (JobState.SUBMITTED, False)

    play.open(desk_behind, job)

    assert job.state is JobState.RUNNING


def test_a_refused_order_is_cancelled_for_good_in_one_word(
    desk_behind: Desk, door: Doorman, play: Play, gateway: Gateway
) -> None:
    """On the chain: the gateway that kept the signature can open nothing with it."""
    door.answer("POST /v1/orders", 422, REFUSAL)
    with pytest.raises(GatewayProblem):
        desk_behind.market.submit(play.request())
    (job,) = desk_behind.market.jobs()

    assert job.cancel() is JobState.CANCELLED

    gateway.open(desk_behind.market.book.order(job.id).signed, play.offer)
    assert gateway.market.lease_of(job.id).status is LeaseStatus.CLOSED


# -- silence -----------------------------------------------------------------------------------------------------------


def test_a_false_last_heartbeat_is_no_evidence(desk_behind: Desk, door: Doorman, play: Play) -> None:
    """Times that nobody signed are not looked at: a healthy provider's job is not ordered again."""
    job = _running(desk_behind, play)
    door.tell("GET /v1/leases/", lambda told: told.update({"lastHeartbeat": 1}) if "lastHeartbeat" in told else None)
    door.tell("GET /v1/heartbeats", lambda told: [one.update({"at": 1}) for one in told["heartbeats"]])

    play.keep_silent(desk_behind, 32)

    assert (job.state, len(job.orders)) == (JobState.RUNNING, 1)


def test_an_outage_is_no_evidence(desk_behind: Desk, door: Doorman, play: Play, gateway: Gateway) -> None:
    """A gateway that was away for 40 s, and hears the others first when it is back, has made nobody silent."""
    job = _running(desk_behind, play)
    play.keep_silent(desk_behind, 4)
    door.is_away = True
    begun = gateway.now()
    for passed in range(4, 41, 4):
        play.pass_until(begun + passed)
        desk_behind.step()
    door.is_away = False
    play.keep_silent(desk_behind, 8)  # the provider's own beat comes later than the others'
    play.api.heartbeat()
    play.keep_silent(desk_behind, 8)

    assert (job.state, len(job.orders)) == (JobState.RUNNING, 1)


def test_a_silent_market_is_no_evidence(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Where nobody is heard, it is the gateway that hears nothing."""
    job = _running(desk, play)
    begun = gateway.now()
    for passed in range(4, 61, 4):
        play.pass_until(begun + passed)
        desk.step()

    assert (job.state, len(job.orders)) == (JobState.RUNNING, 1)


def test_a_stranger_is_no_witness(desk_behind: Desk, door: Doorman, play: Play, gateway: Gateway) -> None:
    """Beats of keys that have no offer on the chain, or that they did not sign, prove nothing."""
    job = _running(desk_behind, play)

    def lie(told: dict[str, Any]) -> None:
        own, *others = told["heartbeats"]
        told["heartbeats"] = (
            [own] + [one | {"at": gateway.now()} for one in others] + [own | {"provider": CLIENT.address}]
        )

    door.tell("GET /v1/heartbeats", lie)
    begun = gateway.now()
    for passed in range(4, 61, 4):
        play.pass_until(begun + passed)
        desk_behind.step()

    assert (job.state, len(job.orders)) == (JobState.RUNNING, 1)


# -- two leases, one result --------------------------------------------------------------------------------------------


def test_the_result_of_a_provider_that_was_thought_dead_is_not_thrown_away(
    desk: Desk, play: Play, gateway: Gateway
) -> None:
    """It comes back and is done first: its result is taken, and the other lease is terminated for the time it ran."""
    before = gateway.market.balance_of(CLIENT.address)
    job = _ordered_again(desk, play, name="night run")
    first_work, second_work = (read_work(desk.market.book.order(order).work) for order in job.orders)
    assert (first_work.job_name, first_work.previous) == ("night run", None)
    assert second_work == replace(first_work, previous=job.orders[0])
    _receipt_of(play, job, 0, PROVIDER, 20)

    _step_until_over(desk, job)
    desk.step()

    assert (job.state, job.result().lease) == (JobState.SUCCEEDED, job.orders[0])
    assert gateway.market.lease_of(job.orders[1]).status is LeaseStatus.CLOSED
    assert len(desk.signatures_sent()) == 1
    play.settle(desk, job, lease=job.orders[0])
    desk.step()
    first, second = job.attempts()
    assert (first.exit, second.exit) == ("LeaseSettled", "LeaseTerminated")
    assert before - gateway.market.balance_of(CLIENT.address) == first.sums.paid + second.sums.paid


def test_the_lease_of_a_provider_that_stays_away_is_kept_for_its_bond(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Another's result is taken; the first lease is left alone until its provider lives, and is terminated then."""
    job = _ordered_again(desk, play)
    _receipt_of(play, job, 1, OTHER_PROVIDER, 1)
    _step_until_over(desk, job)
    play.keep_silent(desk, 10)

    assert (job.state, job.result().lease) == (JobState.SUCCEEDED, job.orders[1])
    assert gateway.market.lease_of(job.orders[0]).status is LeaseStatus.OPEN

    play.api.heartbeat()
    play.pass_time(1)
    desk.step()
    desk.step()

    assert gateway.market.lease_of(job.orders[0]).status is LeaseStatus.CLOSED
    assert job.attempts()[0].exit == "LeaseTerminated"


def test_a_claim_of_the_first_provider_is_a_result_too(
    desk_behind: Desk, door: Doorman, play: Play, gateway: Gateway
) -> None:
    """The gateway hides its beats and its receipt; its claim on the chain cannot be hidden, and what it settles is the job's result."""
    job = _ordered_again(desk_behind, play)
    door.answer(f"GET /v1/leases/{job.orders[0]}/receipts", 503, b"{}")
    _receipt_of(play, job, 0, PROVIDER, 20)
    order = desk_behind.market.book.order(job.orders[0]).signed.order
    result = gateway.journal.receipts(job.orders[0], gateway.market.lease_of(job.orders[0]).opened_at)[
        -1
    ].receipt.result
    gateway.send(PROVIDER, verbs.claim(gateway.book.market, order, Seconds(20), result))
    play.pass_time(16)
    gateway.send(PROVIDER, verbs.finalize(gateway.book.market, [order]))

    _step_until_over(desk_behind, job)
    desk_behind.step()

    assert (job.state, job.result().lease) == (JobState.SUCCEEDED, job.orders[0])
    assert _live(gateway, job) == []


def test_an_order_beside_another_one_is_not_left_on_the_book(desk: Desk, play: Play, gateway: Gateway) -> None:
    """The first result is there before the second order was opened: that is cancelled on the chain, and nobody can open it."""
    job = _running(desk, play)
    play.keep_silent(desk, 20)
    _receipt_of(play, job, 0, PROVIDER, 20)
    _step_until_over(desk, job)
    desk.step()

    assert job.state is JobState.SUCCEEDED
    gateway.open(desk.market.book.order(job.orders[1]).signed, play.other_offer)
    assert gateway.market.lease_of(job.orders[1]).status is LeaseStatus.CLOSED


def test_a_job_is_not_lost_while_the_first_provider_may_come_back(desk: Desk, play: Play, gateway: Gateway) -> None:
    """The second order finds no place: the job goes back to the first lease, and its result counts."""
    job = _running(desk, play, expires_in=Seconds(30))
    play.keep_silent(desk, 20)
    assert len(job.orders) == 2
    play.keep_silent(desk, 32)
    desk.step()
    assert (job.state, job.kept.job.order) == (JobState.RUNNING, job.orders[0])

    _receipt_of(play, job, 0, PROVIDER, 40)
    _step_until_over(desk, job)

    assert (job.state, job.result().lease) == (JobState.SUCCEEDED, job.orders[0])


def test_who_wants_no_second_lease_has_none(desk: Desk, play: Play, gateway: Gateway) -> None:
    """``terminate``: the silent provider's lease is ended on the chain before the work is ordered again; never two are live."""
    job = _running(desk, play, on_silence="terminate")
    seen = []
    begun = gateway.now()
    for passed in range(4, 41, 4):
        play.pass_until(begun + passed)
        play.other_api.heartbeat()
        desk.step()
        seen.append(_live(gateway, job))
    assert len(job.orders) == 2
    assert job.history[-1].reason is JobReason.PROVIDER_SILENT
    play.open(desk, job, play.other_offer)

    assert max(map(len, seen)) == 1
    assert _live(gateway, job) == [1]
    assert [one.exit for one in job.attempts()] == ["LeaseTerminated", ""]


def test_a_gateway_that_hides_signs_of_life_costs_no_more_than_the_policy_allows(
    desk_behind: Desk, door: Doorman, play: Play, gateway: Gateway
) -> None:
    """It shows others' beats, an old one of the provider, and no receipts: one retry is one lease more, both are paid what they served, and
    there is no third."""
    before, old = gateway.market.balance_of(CLIENT.address), []

    def hide(told: dict[str, Any]) -> None:
        old.append(told["heartbeats"][0])
        told["heartbeats"][0] = old[0]

    door.tell("GET /v1/heartbeats", hide)
    door.answer("GET /v1/leases/0x", 503, b"{}")
    job = _running(desk_behind, play, retries=1)
    for place in range(2):
        for _ in range(5):
            play.api.heartbeat()
            play.keep_silent(desk_behind, 4)
        if place == 0:
            play.open(desk_behind, job, play.other_offer)
    result = bytes32_of(play.result()[0].sha256)
    orders = [desk_behind.market.book.order(order).signed.order for order in job.orders]
    for order, key in zip(orders, (PROVIDER, OTHER_PROVIDER), strict=True):
        gateway.send(key, verbs.claim(gateway.book.market, order, Seconds(15), result))
    play.pass_time(16)
    gateway.send(OPENER, verbs.finalize(gateway.book.market, orders))

    offers = (play.offer, play.other_offer)
    most = sum(earned_rounded_down(one.price, GpuCount(1), Seconds(15)) for one in offers)
    assert len(job.orders) == 2
    assert before - gateway.market.balance_of(CLIENT.address) == most
