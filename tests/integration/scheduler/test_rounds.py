"""Rounds against a real chain: orders in, leases opened; refusals learned; nothing opened twice, whatever crashes."""

from __future__ import annotations

import hashlib
import json

import pytest
from redis import Redis

from marketplace.chain import verbs
from marketplace.domain.book import RejectionReason
from marketplace.domain.chain_errors import ChainError, TransactionNotMined
from marketplace.domain.events import FillRefused, LeaseOpened
from marketplace.domain.ids import sha256_in
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.store.redis_server import RedisHandle
from tests.integration.scheduler.floor import CLIENT, DOLLAR, PROVIDERS, Floor

pytestmark = pytest.mark.quick
R = RejectionReason


def test_orders_become_leases_at_the_clearing_price(floor: Floor) -> None:
    """The cheapest offer fills up, the next one takes the rest; both were needed, so both are paid what the dearer asks."""
    cheap, dear = floor.list(gpus=1), floor.list(PROVIDERS[1], price=3 * DOLLAR // 2)
    keen, frugal = floor.order(max_price=3 * DOLLAR), floor.order()
    floor.index()
    floor.scheduler().step()

    leases = [floor.lease(order) for order in (keen, frugal)]
    assert [(lease.status, lease.offer, lease.price) for lease in leases] == [
        (LeaseStatus.OPEN, cheap.id, dear.price),
        (LeaseStatus.OPEN, dear.id, dear.price),
    ]
    assert floor.free(CLIENT) == 100 * DOLLAR - 2 * dear.price


def test_the_round_of_a_batch_can_be_looked_up_by_its_hash(floor: Floor) -> None:
    """P-22: what was posted, and what it was made from, are kept under the hash that is on the chain."""
    offer, order = floor.list(), floor.order()
    floor.index()
    floor.scheduler().step()

    (batch,) = floor.batches()
    kept = floor.journal.round(batch.round)
    assert kept is not None
    document = json.loads(kept.content)
    assert hashlib.sha256(kept.content).hexdigest() == sha256_in(batch.round)
    assert [(row["order"], row["offer"]) for row in document["placements"]] == [(order.id, offer.id)]
    assert floor.blobs.has(document["snapshot"])


def test_every_order_is_told_how_it_fared(floor: Floor) -> None:
    """The placed one where and why, the waiting one what it lacks."""
    offer, placed, waiting = floor.list(), floor.order(), floor.order(max_price=DOLLAR // 2)
    floor.index()
    service = floor.scheduler()
    service.step()
    service.step()

    assert floor.explanation(placed).placed_on == offer.id
    assert floor.explanation(placed).nearest_miss == (
        "offer 1 at 1.00 tUSD/GPU-h, the only offer that could serve it"
    ).replace("tUSD", floor.terms.token_symbol)
    assert dict(floor.explanation(waiting).reasons) == {R.PRICE_OUT_OF_BOUNDS: 1}
    assert "cheapest feasible offer asks 1.00" in floor.explanation(waiting).nearest_miss


def test_an_order_is_not_posted_again_while_the_projection_lags(floor: Floor) -> None:
    """Nor are its GPUs and its money given to another."""
    floor.list(gpus=1)
    first = floor.order()
    floor.index()
    service = floor.scheduler()
    service.step()
    floor.order()
    floor.board.beat(PROVIDERS[0].address, floor.now)
    for _ in range(3):
        service.step()

    assert floor.lease(first).status is LeaseStatus.OPEN
    assert len(floor.batches()) == 1
    floor.index()
    service.step()
    assert len(floor.batches()) == 1


def test_a_refusal_is_learned_at_once_and_waited_out(floor: Floor) -> None:
    """The client withdrew after the snapshot: no second try before the projection shows it, and then none at all."""
    floor.list()
    order = floor.order()
    floor.index()
    floor.send(CLIENT, verbs.withdraw(floor.market.address, CLIENT.address, TokenUnits(100 * DOLLAR)))
    service = floor.scheduler()
    service.step()

    refused = [event for event in floor.events() if isinstance(event, FillRefused)]
    assert [(event.order, event.reason) for event in refused] == [(order.id, Refusal.ClientBalanceTooLow)]
    assert dict(floor.explanation(order).reasons) == {R.CLIENT_BALANCE_TOO_LOW: 1}

    service.step()
    floor.mine()
    service.step()
    assert len(floor.batches()) == 1

    floor.index()
    service.step()
    assert len(floor.batches()) == 1
    floor.fund(CLIENT, 5 * DOLLAR)
    floor.mine(5)
    floor.index()
    service.step()
    assert floor.lease(order).status is LeaseStatus.OPEN


def test_a_refused_pair_goes_to_another_offer(floor: Floor) -> None:
    """The cheapest provider became dearer than the order's limit in the block before ours."""
    cheap, other = floor.list(), floor.list(PROVIDERS[1], price=2 * DOLLAR)
    order = floor.order()
    floor.index()
    floor.send(PROVIDERS[0], verbs.reprice(floor.market.address, cheap.id, 3 * DOLLAR, UnixTime(2**40 - 1)))
    service = floor.scheduler()
    for _ in range(2):
        service.step()
        floor.mine()
    assert [batch.opened for batch in floor.batches()] == [0]
    floor.index()
    service.step()

    assert floor.lease(order).offer == other.id


def test_a_refusal_counts_also_where_the_indexer_does_not_keep_it(floor: Floor) -> None:
    """An order with a stranger's signature: no offer can heal that, so it is not tried in every block."""
    floor.projector = floor.new_projector(opener=None)
    floor.list()
    order = floor.order(by=PROVIDERS[2])
    floor.index()
    service = floor.scheduler()
    for _ in range(4):
        service.step()
        floor.mine()
        floor.index()

    assert len(floor.batches()) == 1
    assert dict(floor.explanation(order).reasons) == {R.BAD_SIGNATURE: 1}


def test_a_batch_that_is_too_much_for_a_block_is_halved(floor: Floor) -> None:
    """Rather than being sent again and again: small batches still go through."""
    floor.list(gpus=8)
    orders = [floor.order() for _ in range(8)]
    floor.index()
    service = floor.scheduler()
    floor.set_block_gas_limit(280_000)
    with pytest.raises(ChainError):
        service.step()
    for _ in range(4):
        service.step()
        floor.index()

    assert [batch.opened for batch in floor.batches()] == [4, 4]
    assert all(floor.lease(order).status is LeaseStatus.OPEN for order in orders)


def test_a_scheduler_that_lost_its_memory_costs_gas_and_nothing_else(floor: Floor) -> None:
    """Crashed after its fill was mined, started again before the projection shows it: the contract refuses the second."""
    floor.list()
    order = floor.order()
    floor.index()
    floor.scheduler().step()
    before = floor.lease(order), floor.free(CLIENT)
    floor.scheduler().step()

    assert (floor.lease(order), floor.free(CLIENT)) == before
    refused = [event.reason for event in floor.events() if isinstance(event, FillRefused)]
    assert refused == [Refusal.OrderLive]


def test_a_batch_that_is_not_mined_yet_is_waited_for_and_not_sent_again(floor: Floor) -> None:
    """The same transaction, whatever the board says meanwhile; then its fills are remembered."""
    floor.list()
    order = floor.order()
    floor.index()
    service = floor.scheduler(wait_seconds=1)
    floor.chain.rpc("evm_setAutomine", False)
    for _ in range(2):
        with pytest.raises(TransactionNotMined):
            service.step()
    floor.mine()
    floor.chain.rpc("evm_setAutomine", True)
    service.step()

    opened = [event.lease for event in floor.events() if isinstance(event, LeaseOpened)]
    assert opened == [order.id]
    assert len(floor.batches()) == 1
    assert floor.explanation(order).placed_on == 1


def test_a_scheduler_killed_while_its_batch_waits_brings_it_home(floor: Floor) -> None:
    """The next process finds the transaction in the outbox, and does not open the order again."""
    floor.list()
    order = floor.order()
    floor.index()
    floor.chain.rpc("evm_setAutomine", False)
    with pytest.raises(TransactionNotMined):
        floor.scheduler(wait_seconds=1).step()
    floor.mine()
    floor.chain.rpc("evm_setAutomine", True)
    floor.scheduler().step()

    assert floor.lease(order).status is LeaseStatus.OPEN
    assert len(floor.batches()) == 1


def test_a_round_that_is_too_much_for_one_transaction_goes_out_in_batches(floor: Floor) -> None:
    """Two fills a transaction here: three orders need two, of one round and in one step."""
    floor.list()
    orders = [floor.order() for _ in range(3)]
    floor.index()
    floor.scheduler(batch_fills=2).step()

    assert [batch.opened for batch in floor.batches()] == [2, 1]
    assert len({batch.round for batch in floor.batches()}) == 1
    assert all(floor.lease(order).status is LeaseStatus.OPEN for order in orders)


def test_a_declined_order_goes_from_provider_to_provider_and_never_back(floor: Floor) -> None:
    """Two decline, the third keeps it."""
    for provider, price in zip(PROVIDERS, (DOLLAR, DOLLAR + 1, DOLLAR + 2), strict=True):
        floor.list(provider, price=price)
    order = floor.order()
    service = floor.scheduler()
    for provider in PROVIDERS[:2]:
        floor.index()
        service.step()
        floor.send(provider, verbs.decline(floor.market.address, order.order))
        floor.pass_time(2)
    floor.index()
    service.step()

    opened = [event.offer for event in floor.events() if isinstance(event, LeaseOpened)]
    assert opened == [1, 2, 3]
    assert floor.lease(order).status is LeaseStatus.OPEN


def test_a_wiped_board_stops_rounds_until_it_is_rebuilt(floor: Floor, redis_server: RedisHandle) -> None:
    """No round on half a picture, and none is lost."""
    floor.list()
    order = floor.order()
    floor.index()
    service = floor.scheduler()
    _wipe(redis_server)
    assert service.step().within_seconds > 0
    assert floor.lease(order).status is LeaseStatus.NONE
    floor.index()
    service.step()

    assert floor.lease(order).status is LeaseStatus.OPEN


def _wipe(server: RedisHandle) -> None:
    with Redis.from_url(server.url) as connection:
        connection.flushall()


def test_an_idle_market_costs_nothing(floor: Floor) -> None:
    """No order, no transaction; block after block."""
    floor.list()
    floor.index()
    service = floor.scheduler()
    for _ in range(3):
        floor.mine()
        floor.index()
        assert service.step().within_seconds > 0

    assert floor.batches() == ()
