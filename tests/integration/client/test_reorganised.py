"""A client on a chain that takes blocks back: nothing counts twice, nothing is told that did not happen, and history reads forwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import mine
from marketplace.chain.market import MarketContract
from marketplace.client import GatewayApi, Job, JobState, Market, Retries
from marketplace.client.journal import JobJournal
from marketplace.client.session import ClientSession
from marketplace.domain.chain_errors import NodeRefused
from marketplace.domain.states import JobReason, advance
from marketplace.domain.units import UnixTime
from tests.integration.chain.lying_node import RefusedByNode, lying, reorganise
from tests.integration.client.conftest import ROOTS, Desk, Play
from tests.integration.gateway.conftest import CLIENT, Gateway


def reads_forwards(job: Job) -> bool:
    times = [event.at for event in job.history]
    return times == sorted(times)


@pytest.fixture
def careful(gateway: Gateway, tmp_path: Path) -> Iterator[Market]:
    """A client that waits for three confirmations."""
    api = GatewayApi(
        gateway.url, key=CLIENT, domain=gateway.market.domain, block_time=lambda: gateway.chain.head().timestamp,
        retries=Retries(attempts=1),
    )  # fmt: skip
    folder = tmp_path / "careful"
    book = JobJournal(folder / "jobs.sqlite")
    market = Market(ClientSession(CLIENT, gateway.market, api, book, folder / "results", confirmations=3), ROOTS)
    yield market
    market.close()


def test_an_opening_that_left_the_chain_is_no_decline(desk: Desk, play: Play, gateway: Gateway) -> None:
    """The job waits again, with the true reason; nothing is locked; and it runs when it is opened again."""
    job = desk.market.submit(play.request())
    free = desk.market.balance()
    play.open(desk, job)
    assert job.state is JobState.RUNNING
    assert desk.market.balance().locked > 0

    reorganise(gateway.chain, 1)
    desk.step()

    assert job.state is JobState.SUBMITTED
    assert job.history[-1].reason is JobReason.REORGANISED
    assert JobReason.LEASE_DECLINED not in {event.reason for event in job.history}
    assert (desk.market.balance().locked, desk.market.balance().free) == (0, free.free)
    assert job.attempts()[0].servings == ()

    play.pass_time(1)
    play.open(desk, job)
    assert job.state is JobState.RUNNING
    assert len(job.attempts()[0].servings) == 1
    assert reads_forwards(job)


def test_a_settlement_in_two_blocks_counts_once(desk: Desk, play: Play, gateway: Gateway, running: Job) -> None:
    """It is settled, the block leaves the chain, it is settled again: paid once."""
    play.hand_in(running, 5)
    desk.step()
    assert running.state is JobState.SUCCEEDED
    play.settle(desk, running)
    desk.step()
    paid = running.sums().paid
    assert paid > 0

    reorganise(gateway.chain, 1)
    desk.step()
    assert running.sums().paid == 0
    play.settle(desk, running)
    mine(gateway.chain)
    desk.step()

    assert running.sums().paid == paid
    assert running.sums().locked == 0
    assert running.state is JobState.SUCCEEDED
    assert desk.market.balance().locked == 0
    assert reads_forwards(running)


def test_a_job_that_was_called_off_in_a_block_that_left_the_chain_lives_again(
    desk: Desk, play: Play, gateway: Gateway, running: Job
) -> None:
    """A terminal state rests on its event; without it the job is what it was."""
    gateway.send(CLIENT, verbs.terminate(gateway.book.market, play.order_of(desk, running)))
    desk.step()
    assert running.state is JobState.CANCELLED

    reorganise(gateway.chain, 1)
    desk.step()

    assert running.state is JobState.RUNNING
    assert running.history[-1].reason is JobReason.REORGANISED
    assert reads_forwards(running)


def test_what_is_not_confirmed_is_provisional(careful: Market, play: Play, gateway: Gateway) -> None:
    """An opening with fewer than three blocks on it is shown as provisional, and changes nothing."""
    job = careful.submit(play.request())
    gateway.open(careful.book.order(job.id).signed, play.offer)
    next(careful.steps(0))
    assert job.state is JobState.SUBMITTED
    assert job.progress(gateway.chain.head()).note.startswith("provisional: its lease is open")

    mine(gateway.chain, 2)
    next(careful.steps(0))
    assert job.state is JobState.RUNNING
    assert job.progress(gateway.chain.head()).note == ""


def test_nothing_is_countersigned_before_it_is_confirmed(careful: Market, play: Play, gateway: Gateway) -> None:
    """A receipt for a serving whose opening is not confirmed waits for the client's signature."""
    job = careful.submit(play.request())
    gateway.open(careful.book.order(job.id).signed, play.offer)
    gateway.sync()
    play.hand_in(job, 0)
    next(careful.steps(0))
    assert careful.book.last_receipt(job.id) is None

    mine(gateway.chain, 2)
    gateway.sync()
    next(careful.steps(0))
    assert careful.book.last_receipt(job.id) is not None


def test_an_order_that_expired_by_a_false_time_and_was_opened_runs(desk: Desk, play: Play, gateway: Gateway) -> None:
    """One block's time said that it had expired; its lease opens all the same, and the job is looked after again."""
    job = desk.market.submit(play.request())
    expired = advance(job.kept.job, JobState.UNPLACED, at=UnixTime(2**39), reason=JobReason.ORDER_EXPIRED)
    desk.market.book.change_job(job.kept, expired)
    desk.step()
    assert job.state is JobState.UNPLACED

    play.open(desk, job)

    assert job.state is JobState.RUNNING
    assert reads_forwards(job)


def test_a_node_that_refuses_for_a_while_ends_no_wait(play: Play, gateway: Gateway, tmp_path: Path) -> None:
    """Refused calls are waited out as silence is; without a deadline left they are raised."""

    def refusing(_parameters: list[Any], _result: Any) -> Any:
        if node.asked["eth_call"] > refused_until:
            node.lies.clear()
        raise RefusedByNode(-32603, "internal error")

    with lying(gateway.chain.rpc_url) as node:
        chain = Chain([node.url])
        market = MarketContract(chain, gateway.book.market, deployed_at_block=gateway.book.deployed_at_block)
        folder = tmp_path / "refused"
        book = JobJournal(folder / "jobs.sqlite")
        client = Market(ClientSession(CLIENT, market, play.api, book, folder / "results"), ROOTS)
        client.submit(play.request())
        mine(gateway.chain)
        refused_until = 10**9
        node.lies["eth_call"] = refusing
        with pytest.raises(NodeRefused):
            next(client.steps(0))

        refused_until = node.asked["eth_call"] + 1
        assert next(client.steps(30))
        client.close()


def test_an_event_that_was_missed_is_read_again(desk: Desk, play: Play, gateway: Gateway, running: Job) -> None:
    """The contract says what the book does not know: the log is read again, found, and counted."""
    with sqlite3.connect(desk.market.book.path) as book:
        book.execute("DELETE FROM moves WHERE name = 'LeaseOpened'")
    assert running.attempts()[0].servings == ()

    mine(gateway.chain)
    desk.step()

    assert len(running.attempts()[0].servings) == 1
    assert desk.market.session.repairs.found == 1


def test_a_reorganisation_deeper_than_the_book_remembers_is_read_from_the_beginning(
    desk: Desk, play: Play, gateway: Gateway, running: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """Said loudly; the job is what the chain says, and its money too."""
    with sqlite3.connect(desk.market.book.path) as book:
        book.execute("UPDATE blocks SET hash = ?", ("0x" + "ab" * 32,))

    mine(gateway.chain)
    desk.step()

    assert "chain.reorganised_too_deep" in caplog.text
    assert running.state is JobState.RUNNING
    assert len(running.attempts()[0].servings) == 1
    assert desk.market.session.repairs.rebuilt == 1
    assert reads_forwards(running)
