"""Each job is countersigned by itself: what one fetches holds up nobody else, and decides about nothing."""

from __future__ import annotations

import threading

import httpx

from marketplace.client import Job, JobState
from marketplace.client.explanations import EXPLANATIONS_A_STEP
from marketplace.domain.ids import Sha256
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.results import Result
from marketplace.domain.units import Seconds
from tests.integration.client.conftest import Desk, Play
from tests.integration.gateway.conftest import PROVIDER

PLENTY_SECONDS = 60


def _hand_in(play: Play, job: Job, text: str) -> Result:
    """An honest result whose outputs are this job's own."""
    result, blobs = play.result(text=text)
    for blob in blobs:
        play.api.put_blob(blob)
    receipt = play.receipt(job, 1, result)
    play.api.post_receipt(
        receipt.lease, receipt, "provider", PROVIDER.sign_receipt(receipt, play.gateway.domain), result
    )
    return result


def _is_fetch_of(request: httpx.Request, name: Sha256) -> bool:
    return request.method == "GET" and request.url.path.endswith(f"/blobs/{name}")


def _running(desk: Desk, play: Play, count: int, **changed: object) -> list[Job]:
    jobs = [desk.market.submit(play.request(name=f"job {number}", **changed)) for number in range(count)]
    for job in jobs:
        play.open(desk, job)
    play.pass_time(5)
    return jobs


def test_outputs_are_fetched_at_the_same_time(desk: Desk, play: Play) -> None:
    """Four jobs come back at once: the four fetches meet, which one after the other they could not, and one step signs all."""
    jobs = _running(desk, play, 4)
    names = {_hand_in(play, job, job.name).outputs[0].parts[0] for job in jobs}
    meeting = threading.Barrier(4)

    def tamper(request: httpx.Request, _: bytes) -> None:
        if any(_is_fetch_of(request, name) for name in names):
            meeting.wait(PLENTY_SECONDS)

    desk.line.tampers.append(tamper)
    desk.step()

    assert len(desk.signatures_sent()) == 4
    assert {job.state for job in jobs} == {JobState.SUCCEEDED}


def test_a_long_fetch_holds_up_no_other_signature(desk: Desk, play: Play) -> None:
    """One job's outputs take for ever: the other is signed meanwhile, also when it comes back later; the first one when it is there."""
    slow, quick, late = _running(desk, play, 3)
    name, arrived = _hand_in(play, slow, "huge").outputs[0].parts[0], threading.Event()

    def tamper(request: httpx.Request, _: bytes) -> None:
        if _is_fetch_of(request, name):
            assert arrived.wait(PLENTY_SECONDS)

    desk.line.tampers.append(tamper)
    _hand_in(play, quick, "small")
    desk.step()
    states = [job.state for job in (slow, quick, late)]
    _hand_in(play, late, "small too")
    desk.step()
    states.append(late.state)
    fetches = [request for request in desk.line.requests if _is_fetch_of(request, name)]
    arrived.set()
    for _ in range(20):
        desk.step()
        if slow.is_terminal:
            break

    assert states == [JobState.RUNNING, JobState.SUCCEEDED, JobState.RUNNING, JobState.SUCCEEDED]
    assert slow.state is JobState.SUCCEEDED
    assert len(fetches) == 1
    assert len(desk.signatures_sent()) == 3


def test_what_is_being_signed_is_not_ordered_again(desk: Desk, play: Play) -> None:
    """Its provider falls silent while its outputs are fetched: the job waits for them, and nothing is paid for twice."""
    play.api.heartbeat()
    (job,) = _running(desk, play, 1, max_time=Seconds(60), silent_after=Seconds(15))
    name, arrived = _hand_in(play, job, "huge").outputs[0].parts[0], threading.Event()

    def tamper(request: httpx.Request, _: bytes) -> None:
        if _is_fetch_of(request, name):
            assert arrived.wait(PLENTY_SECONDS)

    desk.line.tampers.append(tamper)
    desk.step()
    play.keep_silent(desk, 20)
    waiting = (job.state, len(job.orders))
    arrived.set()
    for _ in range(20):
        desk.step()
        if job.is_terminal:
            break

    assert waiting == (JobState.RUNNING, 1)
    assert (job.state, len(job.orders)) == (JobState.SUCCEEDED, 1)


def test_what_was_being_fetched_is_taken_though_it_was_ordered_again(desk: Desk, play: Play) -> None:
    """Another process found its provider silent meanwhile: the valid result is not thrown away, and the new order is cancelled."""
    play.api.heartbeat()
    (job,) = _running(desk, play, 1, max_time=Seconds(60), silent_after=Seconds(15))
    name, arrived = _hand_in(play, job, "huge").outputs[0].parts[0], threading.Event()
    other = desk.again()
    # The other process does not see the receipt, and so it sees silence only.
    other.line.tampers.append(
        lambda request, _: b'{"receipts": []}' if request.url.path.endswith("/receipts") else None
    )

    def tamper(request: httpx.Request, _: bytes) -> None:
        if _is_fetch_of(request, name):
            assert arrived.wait(PLENTY_SECONDS)

    desk.line.tampers.append(tamper)
    desk.step()
    play.keep_silent(other, 20)
    ordered = len(job.orders)
    arrived.set()
    for _ in range(20):
        desk.step()
        if job.is_terminal:
            break
    desk.step()

    assert ordered == len(job.orders) == 2
    assert (job.state, job.result().lease) == (JobState.SUCCEEDED, job.orders[0])
    assert len(desk.signatures_sent()) == 1
    assert play.gateway.market.lease_of(job.orders[1]).status is LeaseStatus.CLOSED


def test_a_step_asks_for_a_few_explanations_only(desk: Desk, play: Play) -> None:
    """Jobs that wait ask why in turn: with more of them a step gets no longer, and each has its turn in the end."""
    count = EXPLANATIONS_A_STEP + 3
    jobs = [desk.market.submit(play.request(name=str(number))) for number in range(count)]

    desk.step()
    first = [request.url.path for request in desk.line.sent("GET", "/explanation")]
    desk.step()
    both = {request.url.path for request in desk.line.sent("GET", "/explanation")}

    assert len(first) == len(set(first)) == EXPLANATIONS_A_STEP
    assert len(both) == count
    assert all(job.state is JobState.SUBMITTED for job in jobs)
