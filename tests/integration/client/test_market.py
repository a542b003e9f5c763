"""The SDK on a real chain and gateway: money to the unit, retries, cancellation, restarts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.chain import verbs
from marketplace.client import Job, JobExecutor, JobReason, JobState, Market
from marketplace.domain.chain_errors import WrongChain
from marketplace.domain.errors import DeadlinePassed, GatewayProblem, InsufficientBalance, JobFailed, NotFound
from marketplace.domain.ids import sha256_in
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.pricing import earned_rounded_down, lock_of
from marketplace.domain.reputation import Outcome
from marketplace.domain.spec import read_spec
from marketplace.domain.units import Seconds, TokenUnits
from tests.integration.client.conftest import Crash, Desk, Play
from tests.integration.gateway.conftest import CLIENT, OPENER, OTHER_PROVIDER, PROVIDER, STRANGER, Gateway


def _balance(gateway: Gateway) -> int:
    return gateway.market.balance_of(CLIENT.address)


@pytest.mark.quick
def test_a_job_is_paid_for_to_the_unit(desk: Desk, play: Play, gateway: Gateway) -> None:
    """submit → open → receipt → settle: the client pays E(used) and nothing else, and the summary says so (P-03)."""
    before = _balance(gateway)
    job = desk.market.submit(play.request())
    play.open(desk, job)
    play.pass_time(12)
    play.hand_in(job, 11)
    desk.step()

    play.settle(desk, job)
    desk.step()

    cost = earned_rounded_down(play.offer.price, play.order_of(desk, job).gpus, Seconds(11))
    assert job.state is JobState.SUCCEEDED
    assert before - _balance(gateway) == cost
    assert job.result().cost == cost
    sums = job.sums()
    assert (sums.paid, sums.locked, sums.compensation) == (cost, 0, 0)
    assert sums.refunded == lock_of(play.order_of(desk, job), play.offer.price) - cost
    assert job.is_settled(gateway.chain.head())


def test_outputs_of_a_cancelled_job_come_back(desk: Desk, play: Play, running: Job, tmp_path: Path) -> None:
    """What a provider hands in after its lease was terminated is fetched and verified, and nothing is signed for it."""
    running.cancel()
    with pytest.raises(JobFailed, match="has no outputs"):
        running.download(tmp_path / "early")
    play.hand_in(running, 11)

    (file,) = running.download(tmp_path / "out")

    assert running.state is JobState.CANCELLED
    assert file.read_text() == "trained"
    assert not running.result().is_countersigned
    assert desk.signatures_sent() == []


def test_outputs_come_back_as_files(desk: Desk, play: Play, running: Job, tmp_path: Path) -> None:
    """What the provider bundled is unpacked, and nothing that is there already is overwritten."""
    play.hand_in(running, 5)
    desk.step()

    (file,) = running.download(tmp_path / "out")

    assert file == tmp_path / "out" / "model.txt"
    assert file.read_text() == "trained"
    assert "".join(running.logs()) == "epoch 1\nepoch 2\n"


def test_a_silent_provider_is_replaced_at_once(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Silence: a fresh order without that provider; later its bond compensates the client, to the unit."""
    before = _balance(gateway)
    job = desk.market.submit(play.request(max_time=Seconds(60), silent_after=Seconds(15)))
    play.open(desk, job)
    play.api.heartbeat()
    play.keep_silent(desk, 15)  # witnessed from the first look on
    assert job.state is JobState.RUNNING

    play.keep_silent(desk, 4)

    assert job.state is JobState.SUBMITTED
    assert job.history[-1].reason is JobReason.PROVIDER_SILENT
    first, second = job.orders
    spec = read_spec(desk.market.book.order(second).spec)
    assert spec.constraints.exclude_providers == (PROVIDER.address,)
    assert sha256_in(play.order_of(desk, job).spec) == spec.sha256
    assert play.other_api.order(second).state == "book"

    play.open(desk, job, play.other_offer)
    play.pass_time(10)
    play.hand_in(job, 9, api=play.other_api)
    desk.step()
    assert job.state is JobState.SUCCEEDED
    assert not job.is_settled(gateway.chain.head())

    play.pass_time(100)
    old = desk.market.book.order(first).signed.order
    gateway.send(OPENER, verbs.expire(gateway.book.market, old))
    play.settle(desk, job, OTHER_PROVIDER)
    desk.step()

    locked = lock_of(old, play.offer.price)
    bond = max(locked * play.offer.bond_bps // 10_000, 100_000)
    cost = earned_rounded_down(play.other_offer.price, old.gpus, Seconds(9))
    assert job.sums().compensation == min(bond, locked)
    assert job.sums().paid == cost
    assert _balance(gateway) - before == min(bond, locked) - cost
    assert job.is_settled(gateway.chain.head())


def test_evidence_of_silence_outlasts_a_restart(desk: Desk, play: Play) -> None:
    """A client that is started anew goes on counting where it was; one that was away for longer than others' beats are fresh begins again."""
    job = desk.market.submit(play.request(silent_after=Seconds(15)))
    play.open(desk, job)
    play.api.heartbeat()
    play.keep_silent(desk, 10)

    reborn = desk.again()
    play.keep_silent(reborn, 9)

    assert reborn.market.job(job.id).history[-1].reason is JobReason.PROVIDER_SILENT


def test_a_crash_after_a_retry_was_decided_signs_no_second_one(desk: Desk, play: Play) -> None:
    """The fresh order is in the journal before it is posted; after a restart that one is posted, and no other."""
    job = desk.market.submit(play.request(max_time=Seconds(60), silent_after=Seconds(15)))
    play.open(desk, job)
    play.api.heartbeat()
    desk.line.crash_before = "POST /v1/orders"
    with pytest.raises(Crash):
        play.keep_silent(desk, 20)

    reborn = desk.again()
    reborn.step()

    again = reborn.market.job(job.id)
    assert len(again.orders) == 2
    assert again.state is JobState.SUBMITTED
    assert play.api.order(again.orders[1]).state == "book"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_while_submitting_loses_no_order(desk: Desk, play: Play, moment: str) -> None:
    """The order is written down before it is posted: a restart posts it, and the gateway takes it once."""
    setattr(desk.line, f"crash_{moment}", "POST /v1/orders")
    with pytest.raises(Crash):
        desk.market.submit(play.request(name="lost?"))

    reborn = desk.again()
    reborn.step()

    (job,) = reborn.market.jobs()
    assert job.state is JobState.SUBMITTED
    assert play.api.order(job.id).state == "book"


def test_an_order_that_the_gateway_refuses_is_watched_until_it_expires(desk: Desk, play: Play) -> None:
    """A refusal reaches the caller with its reason; the order is not posted again, and over when block time says so."""
    desk.line.busy["POST /v1/orders"] = 422
    with pytest.raises(GatewayProblem) as refused:
        desk.market.submit(play.request())

    assert refused.value.status == 422
    (job,) = desk.market.jobs()
    desk.step()
    assert (job.state, job.is_posted) == (JobState.SUBMITTED, False)
    assert len(desk.line.sent("POST", "/v1/orders")) == 1
    play.pass_time(600)
    desk.step()
    assert job.state is JobState.UNPLACED
    assert job.history[-1].reason is JobReason.ORDER_REFUSED


def test_a_declined_job_goes_back_to_the_book_by_itself(desk: Desk, play: Play, gateway: Gateway) -> None:
    """An unpaid decline costs nothing and needs no new signature: the same order is opened elsewhere (P-24)."""
    job = desk.market.submit(play.request())
    play.open(desk, job)
    # Within the start grace by the chain's clock, however slow this machine is.
    gateway.chain.rpc("evm_setNextBlockTimestamp", gateway.now() + 1)
    gateway.send(PROVIDER, verbs.decline(gateway.book.market, play.order_of(desk, job)))
    desk.step()
    assert job.state is JobState.SUBMITTED
    assert job.history[-1].reason is JobReason.LEASE_DECLINED

    play.pass_time(1)
    play.open(desk, job, play.other_offer)

    assert job.state is JobState.RUNNING
    assert len(job.orders) == 1
    (attempt,) = job.attempts()
    assert [serving.offer for serving in attempt.servings] == [play.offer.id, play.other_offer.id]
    assert attempt.provider == OTHER_PROVIDER.address


def test_an_order_that_nobody_serves_is_unplaced(desk: Desk, play: Play, gateway: Gateway) -> None:
    """From expiresAt on, by block time, the job is unplaced and costs nothing."""
    before = _balance(gateway)
    job = desk.market.submit(play.request(expires_in=Seconds(30)))
    expires_at = play.order_of(desk, job).expires_at
    play.pass_until(expires_at - 1)
    desk.step()
    assert job.state is JobState.SUBMITTED

    play.pass_until(expires_at)
    desk.step()

    assert job.state is JobState.UNPLACED
    assert _balance(gateway) == before
    with pytest.raises(JobFailed):
        job.result()


def test_a_waiting_job_is_cancelled_for_nothing(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Cancelled on the chain: even who kept the signature cannot open it any more."""
    before = _balance(gateway)
    job = desk.market.submit(play.request())

    assert job.cancel() is JobState.CANCELLED

    signed = desk.market.book.order(job.id).signed
    gateway.open(signed, play.offer)
    assert gateway.market.lease_of(job.id).status is LeaseStatus.CLOSED
    assert _balance(gateway) == before


def test_a_running_job_is_cancelled_for_the_time_it_ran(desk: Desk, play: Play, gateway: Gateway) -> None:
    """Terminated: the client pays E(elapsed) and gets the rest back."""
    before = _balance(gateway)
    job = desk.market.submit(play.request())
    play.open(desk, job)
    play.pass_time(20)

    assert job.cancel() is JobState.CANCELLED

    opened = job.attempts()[0].servings[0]
    assert opened.paid_seconds is not None
    assert opened.paid_seconds >= 20
    cost = earned_rounded_down(play.offer.price, play.order_of(desk, job).gpus, opened.paid_seconds)
    assert before - _balance(gateway) == cost == job.sums().paid


def test_work_that_was_finalized_without_us_is_verified_all_the_same(desk: Desk, play: Play, gateway: Gateway) -> None:
    """A client that was away finds its result: claimed, finalized, fetched and hashed now."""
    job = desk.market.submit(play.request())
    play.open(desk, job)
    play.pass_time(10)
    receipt = play.hand_in(job, 8)
    order = play.order_of(desk, job)
    gateway.send(PROVIDER, verbs.claim(gateway.book.market, order, receipt.used_seconds, receipt.result))
    play.pass_time(16)
    gateway.send(PROVIDER, verbs.finalize(gateway.book.market, [order]))

    desk.step()

    assert job.state is JobState.SUCCEEDED
    assert not job.result().is_countersigned
    assert job.result().used_seconds == 8
    assert desk.signatures_sent() == []
    assert job.sums().paid == earned_rounded_down(play.offer.price, order.gpus, Seconds(8))


def test_a_provider_that_never_comes_back_loses_its_bond_and_the_job_is_lost(
    desk: Desk, play: Play, gateway: Gateway
) -> None:
    """Without retries a silent provider is waited for until its lease expires; then the client is made whole."""
    before = _balance(gateway)
    job = desk.market.submit(play.request(retries=0, max_time=Seconds(60)))
    play.open(desk, job)
    play.pass_time(100)
    desk.step()
    assert job.state is JobState.RUNNING

    gateway.send(OPENER, verbs.expire(gateway.book.market, play.order_of(desk, job)))
    desk.step()

    assert job.state is JobState.LOST
    assert _balance(gateway) - before == job.sums().compensation > 0


def test_several_jobs_are_waited_for_at_once(desk: Desk, play: Play) -> None:
    """wait_all moves all of them along and yields every change of state once."""
    jobs = [desk.market.submit(play.request(name=f"job {n}")) for n in range(3)]
    for job in jobs:
        play.open(desk, job)
    play.pass_time(5)
    for job in jobs:
        play.hand_in(job, 3)

    changes = list(desk.market.wait_all(jobs, timeout=20))

    assert sorted(change.job.name for change in changes) == ["job 0", "job 1", "job 2"]
    assert {change.event.state for change in changes} == {JobState.SUCCEEDED}
    with pytest.raises(DeadlinePassed):
        list(desk.market.wait_all(jobs, timeout=0, settled=True))


def test_two_processes_that_watch_the_same_jobs_retry_once(desk: Desk, play: Play) -> None:
    """The second one to decide loses the race for the journal's row and does nothing."""
    job = desk.market.submit(play.request(max_time=Seconds(60), silent_after=Seconds(15)))
    play.open(desk, job)
    play.api.heartbeat()
    other = desk.again()

    for _ in range(10):
        play.pass_time(2)
        play.other_api.heartbeat()
        desk.step()
        other.step()

    assert len(job.orders) == 2
    assert len(desk.line.sent("POST", "/v1/orders")) + len(other.line.sent("POST", "/v1/orders")) == 2


def test_money_goes_in_and_out_to_the_unit(gateway: Gateway, tmp_path: Path) -> None:
    """deposit approves what it needs, withdraw brings it back; more than there is is refused before anything is sent."""
    market = Market.connect(gateway.url, [gateway.chain.rpc_url], STRANGER, tmp_path, address_book=gateway.book)
    market.wallet.mint_test_dollars(market.amount("12.50"))
    market.deposit(market.amount("12"))
    market.withdraw(market.amount("0.000001"))

    balance = market.balance()

    assert (balance.free, balance.wallet) == (11_999_999, 500_001)
    for move in (market.deposit, market.withdraw):
        with pytest.raises(InsufficientBalance):
            move(TokenUnits(12_000_000))
    market.close()


def test_the_chain_is_believed_and_not_the_gateway(gateway: Gateway, tmp_path: Path) -> None:
    """An address book that is of another chain, or names another contract, is refused."""
    book = replace(gateway.book, market=gateway.book.token)
    wrong_chain = replace(gateway.book, chain_id=1)

    for wrong in (book, wrong_chain):
        with pytest.raises(WrongChain):
            Market.connect(gateway.url, [gateway.chain.rpc_url], CLIENT, tmp_path, address_book=wrong)


def test_a_gateway_that_lies_about_the_market_gets_no_order(desk: Desk, play: Play) -> None:
    """What it says of the market is held against the chain before anything is signed."""
    desk.line.tampers.append(
        lambda request, content: (
            content.replace(b'"challengeWindow":15', b'"challengeWindow":1')
            if request.url.path == "/v1/market"
            else None
        )
    )

    with pytest.raises(WrongChain, match="challenge_window"):
        desk.market.submit(play.request())
    assert desk.market.jobs() == ()


def test_money_comes_out_without_any_gateway(gateway: Gateway, tmp_path: Path) -> None:
    """With an address book the chain alone is enough to see the balance, cancel and withdraw."""
    market = Market.connect("http://127.0.0.1:9", [gateway.chain.rpc_url], CLIENT, tmp_path, address_book=gateway.book)
    before = market.balance().free

    market.withdraw(TokenUnits(5))

    assert market.balance().free == before - 5
    market.close()


@pytest.mark.parametrize(("used", "is_signed"), [(8, True), (9, False)])
def test_a_claimed_lease_is_signed_for_up_to_what_was_claimed(
    desk: Desk, play: Play, gateway: Gateway, running: Job, used: int, is_signed: bool
) -> None:
    """A late client may still agree, but never to more than the claim would bring anyway."""
    receipt = play.hand_in(running, used)
    call = verbs.claim(gateway.book.market, play.order_of(desk, running), Seconds(8), receipt.result)
    gateway.send(PROVIDER, call)

    desk.step()

    assert bool(desk.signatures_sent()) is is_signed
    assert running.state is (JobState.SUCCEEDED if is_signed else JobState.RUNNING)


def test_jobs_are_futures_for_who_wants_them(desk: Desk, play: Play) -> None:
    """A job that ran has a result, whatever its exit code; one that nobody served raises JobFailed."""
    with JobExecutor(desk.market) as executor:
        ran, failed, cancelled = (
            executor.submit_job(play.request(name=name)) for name in ("ran", "failed", "cancelled")
        )
        first, second, third = desk.market.jobs()
        for job in (first, second):
            play.open(desk, job)
        play.pass_time(5)
        play.hand_in(first, 3)
        play.hand_in(second, 4, exit_code=2)
        third.cancel()

        assert ran.result(30).exit_code == 0
        assert failed.result(30).exit_code == 2
        with pytest.raises(JobFailed):
            cancelled.result(30)


def test_jobs_are_found_by_number_and_by_the_beginning_of_their_id(desk: Desk, play: Play) -> None:
    """What people type."""
    job = desk.market.submit(play.request())

    assert desk.market.job("1").id == job.id
    assert desk.market.job(job.id[:10]).id == job.id
    with pytest.raises(NotFound):
        desk.market.job("2")


def test_a_reputation_is_computed_by_whoever_wants_to_know(desk: Desk, play: Play, gateway: Gateway) -> None:
    """From the chain alone, and equal to the gateway's word as of its block; later it has aged."""
    job = desk.market.submit(play.request())
    play.open(desk, job)
    play.pass_time(12)
    play.hand_in(job, 11)
    desk.step()
    play.settle(desk, job)

    told = desk.market.api.provider(PROVIDER.address)
    assert told.reputation.tallies[Outcome.SETTLED].count >= 1
    assert desk.market.reputation_of(PROVIDER.address, told.block) == told.reputation
    play.pass_time(1_000)
    later = desk.market.reputation_of(PROVIDER.address)
    assert later.as_of == gateway.now()
    assert later.heard < told.reputation.heard
