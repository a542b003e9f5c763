"""Faults of the node, of processes and of stores, one by one, on a whole market; docs/research/faults.md says what is expected of each."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from random import Random

import pytest

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import ANVIL_KEYS
from marketplace.chain.outbox import OutboxFile
from marketplace.chain.transactions import Sender
from marketplace.chain.verbs import Call
from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.states import JobState
from marketplace.store.redis_server import start_redis
from tests.faults.proxy import FaultProxy
from tests.faults.rules import Fault, Rule
from tests.faults.simulation.scripted import Script, script
from tests.faults.simulation.world import CLIENTS

Opening = Callable[..., AbstractContextManager[Script]]


@pytest.fixture
def opening(tmp_path: Path) -> Opening:
    return partial(script, tmp_path)


@pytest.mark.parametrize(
    ("depth", "how", "confirmations"),
    [(6, "pooled", 3), (12, "kept", 1), (32, "gone", 2)],
)
def test_a_reorganisation_is_undone_everywhere(opening: Opening, depth: int, how: str, confirmations: int) -> None:
    """Above the confirmations and below, with and without its transactions: every view is the new chain's, nothing twice (row 1)."""
    with opening(confirmations=confirmations) as market:
        market.busy()
        market.turns(6)
        market.world.reorganise(depth, how, Random(depth))
        market.turns(4)
        market.finish()


def test_a_reorganisation_that_is_too_deep_is_read_anew(opening: Opening) -> None:
    """Deeper than anybody remembers: what cannot be undone is made anew from the chain (row 2)."""
    with opening() as market:
        market.busy()
        market.turns(4)
        market.world.reorganise(132, "gone", Random(0))
        market.turns(4)
        market.finish()


def test_a_cancellation_in_the_other_branch_wins(opening: Opening) -> None:
    """The new branch has the client's cancellation where the old one had the opening: the order is over, nothing is locked (row 4)."""
    with opening() as market:
        market.stage.people[0].order_one("works", 10)
        market.until("it runs", lambda: market.jobs()[0].state is JobState.RUNNING)
        (order,) = (market.client.market.book.order(job.orders[-1]).signed.order for job in market.jobs())
        opened_in = market.world.market.lease_of(market.jobs()[0].orders[-1]).opened_at
        depth = next(
            n for n in range(1, 40) if market.world.chain.block(market.world.head.number - n).timestamp < opened_in
        )
        _cancel_instead(market, order, depth)
        market.turns(3)

        assert market.world.market.lease_of(market.jobs()[0].orders[-1]).status is LeaseStatus.CLOSED
        market.finish()
        assert market.jobs()[0].state is JobState.CANCELLED


def _cancel_instead(market: Script, order: object, depth: int) -> None:
    """Replace the last blocks by others that begin with the cancellation of that order."""
    key, chain = CLIENTS[0], market.world.chain
    call = verbs.cancel(market.world.book.market, order)  # type: ignore[arg-type]
    nonce = int(chain.rpc("eth_getTransactionCount", key.address, hex(market.world.head.number - depth)), 16)
    raw = key.sign_transaction(
        {"type": 2, "chainId": 31337, "nonce": nonce, "to": bytes.fromhex(call.to[2:]), "value": 0, "data": call.input,  # type: ignore[index]
         "gas": 400_000, "maxPriorityFeePerGas": 10**9, "maxFeePerGas": 10**11}
    ).raw  # fmt: skip
    chain.rpc("anvil_reorg", depth, [[raw, 0]])
    market.world.head = chain.head()


def test_a_node_that_is_away_is_waited_for(opening: Opening) -> None:
    """Nobody crashes, everything is caught up with (row 9)."""
    with opening() as market:
        market.busy()
        market.turns(3)
        market.world.node.rules.add(Rule(Fault.DROP))
        market.turns(12)
        market.world.node.rules.clear()
        market.finish()


def test_a_node_that_answers_anything_is_survived(opening: Opening) -> None:
    """Errors, limits, HTML, half an answer, another's answer, one too many bytes, for a fifth of all calls (row 10)."""
    faults = (
        Rule(Fault.ERROR, chance=0.04, setting=-32603), Rule(Fault.ERROR, chance=0.03, setting=-32005),
        Rule(Fault.HTTP, chance=0.03, setting=502), Rule(Fault.HTTP, chance=0.02, setting=429),
        Rule(Fault.TRUNCATED, chance=0.03), Rule(Fault.WRONG_ID, chance=0.03), Rule(Fault.HUGE, chance=0.01, setting=1 << 20),
    )  # fmt: skip
    with opening() as market:
        for rule in faults:
            market.world.node.rules.add(rule)
        market.busy()
        market.turns(25)

        assert len(market.world.node.rules.struck) >= 4
        market.finish()


def test_a_node_that_lags_and_forgets_loses_no_event(opening: Opening) -> None:
    """Old heads, heads that go back, logs that are not there: all events are taken in, once (row 12)."""
    with opening() as market:
        market.world.node.rules.add(Rule(Fault.SPLIT, setting=3, chance=0.5))
        market.world.node.rules.add(Rule(Fault.EMPTY_LOGS, "eth_getLogs", chance=0.5))
        market.busy()
        market.turns(25)
        market.finish()


def test_a_node_that_loses_its_tail_is_another_chain(opening: Opening) -> None:
    """A node comes back with an older state, and goes on from there: as a reorganisation (row 16)."""
    with opening(confirmations=2) as market:
        market.busy()
        market.turns(2)
        kept = market.world.chain.rpc("evm_snapshot")
        market.turns(5)
        market.world.chain.rpc("evm_revert", kept)
        market.world.head = market.world.chain.head()
        market.turns(4)
        market.finish()


def test_only_the_chains_time_decides(opening: Opening) -> None:
    """A year passes between two blocks, and two blocks have one time: who was served is paid, who was not is paid back (row 17)."""
    with opening() as market:
        market.busy()
        market.turns(4)
        market.world.block(365 * 86_400)
        market.turns(3)
        market.world.reorganise(2, "kept", Random(1))

        assert market.world.chain.block(market.world.head.number - 1).timestamp == market.world.now
        market.finish()


DEATHS = (
    "before eth_estimateGas", "after eth_estimateGas", "before eth_sendRawTransaction", "after eth_sendRawTransaction",
    "before eth_getTransactionReceipt", "after eth_getTransactionReceipt", "before eth_getTransactionCount",
    "after eth_getTransactionCount", "before eth_getBlockByNumber", "after eth_getBalance", "before eth_maxPriorityFeePerGas", "log round.posted",
)  # fmt: skip


def test_a_scheduler_killed_at_every_point_opens_each_order_once(opening: Opening) -> None:
    """Twelve points, from before it looks to after it was told: every order is served once, by whoever comes after (row 18)."""
    with opening() as market:
        for number, point in enumerate(DEATHS):
            market.stage.people[number % 2].order_one("works", 2, retries=0)
            market.scheduler.life.arm(point, 0)
            market.turns(3)
        market.until("all are over", lambda: all(job.is_terminal for job in market.jobs()))

        assert market.world.history.kinds["kill"] >= 8
        market.finish()
        assert {job.state for job in market.jobs()} == {JobState.SUCCEEDED}


def test_a_redis_with_yesterdays_state_is_brought_up_to_date(opening: Opening) -> None:
    """Restored from an older copy, it is taken for what it is: behind; nothing is posted twice because of it (row 22)."""
    with opening() as market:
        market.busy()
        market.turns(2)
        file = market.world.redis.folder / "appendonly.aof"
        market.turns(1)
        copy = file.read_bytes()
        market.turns(6)
        _restart_redis(market, copy)
        market.turns(3)
        market.finish()


def _restart_redis(market: Script, content: bytes) -> None:
    """Kill Redis, and start it on the same place with another file."""
    redis = market.world.redis
    redis.kill()
    (redis.folder / "appendonly.aof").write_bytes(content)
    market.world.redis = start_redis(redis.folder)
    assert market.world.redis.url == redis.url


def test_a_redis_that_takes_no_writes_loses_nothing(opening: Opening) -> None:
    """Read-only for a while, as a replica is: orders are taken, and served when it is writable again (row 23)."""
    from redis import Redis

    with opening() as market, Redis.from_url(market.world.redis.url) as redis:
        redis.config_set("min-replicas-to-write", 1)
        market.busy()
        market.turns(4)
        assert [job.state for job in market.jobs()] == [JobState.SUBMITTED] * 2
        redis.config_set("min-replicas-to-write", 0)
        market.finish()
        assert [job.state for job in market.jobs()] == [JobState.SUCCEEDED] * 2


def test_without_room_for_the_outbox_nothing_is_sent(node: FaultProxy, far: Chain, tmp_path: Path) -> None:
    """A full disk: what cannot be written down is not broadcast, and goes out when there is room (row 24)."""
    outbox = OutboxFile(tmp_path / "outbox.sqlite")
    sender = Sender(far, ANVIL_KEYS[6], outbox)
    pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
    outbox._db.execute(f"PRAGMA max_page_count = {pages}")
    call = Call(None, bytes.fromhex("5f5ff3") + bytes(20_000), "deploy")

    with pytest.raises(StoreUnavailable):
        sender.send(call)
    assert node.calls_of(method="eth_sendRawTransaction") == 0
    outbox._db.execute("PRAGMA max_page_count = 10000")

    assert sender.send(call).contract
    outbox.close()


def test_two_schedulers_of_one_key_open_each_order_once(opening: Opening) -> None:
    """Both act, as in a split brain, each in every turn: the contract and one outbox see to it that nothing is doubled (row 25)."""
    with opening() as market:
        market.stage.has_second_leader = True
        market.busy()
        market.turns(8)
        market.busy()
        market.turns(8)
        market.finish()
        assert {job.state for job in market.jobs()} == {JobState.SUCCEEDED}
