"""The indexer on a real chain, a real journal and a real Redis: the projection is the fold, however often it is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from marketplace.chain import verbs
from marketplace.chain.devnet import ANVIL_KEYS, increase_time, mine
from marketplace.domain.book import FAULTS_KEPT_BLOCKS, BookView, Faults
from marketplace.domain.budgets import Budget
from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.events import Event
from marketplace.domain.ids import Address, Bytes32, bytes32_of, sha256_of
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import LeaseRecord, Rows, locked_in, replay
from marketplace.domain.orders import SignedOrder
from marketplace.domain.pricing import worst_cost_of
from marketplace.domain.refusals import Refusal
from marketplace.domain.repairs import Repairs
from marketplace.domain.reputation import WHOLE, Outcome, Reputation, Standing, replay_standings
from marketplace.domain.units import PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.services.projection import EXPIRED_KEPT_SECONDS, REFUSED_KEPT_BLOCKS, Projector
from marketplace.services.reconcile import reconcile, reconcile_reputations
from marketplace.store import board_rows
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.redis_server import start_redis
from tests.integration.chain.conftest import DOLLAR, Trading
from tests.unit.store.rows import MACHINE, SPEC

RESULT = Bytes32("0x" + "4e" * 32)


@dataclass
class Indexing:
    """A market with a funded client, provider and offer, and what an operator has around it."""

    trading: Trading
    journal: OperatorJournal
    blobs: FolderBlobs
    board: Board

    def projector(self, *, opener: Address | None = None, limit_blocks: int = 2000) -> Projector:
        return Projector(
            self.trading.follower(), self.journal, self.blobs, self.board, self.trading.market.terms(),
            opener=opener or self.trading.opener.address, limit_blocks=limit_blocks,
        )  # fmt: skip

    def accept(self, **changed: Any) -> SignedOrder:
        """An order as the gateway would take it."""
        signed = self.trading.signed(**changed)
        self.journal.add_order(signed, SPEC.canonical(), self.trading.chain.head().timestamp)
        return signed

    def history(self) -> tuple[Event, ...]:
        """Everything that the market ever said."""
        start, head = self.trading.book.deployed_at_block, self.trading.chain.head()
        return tuple(self.trading.follower().history(start, head.number))

    def view(self) -> BookView:
        view = self.board.view()
        assert view is not None
        return view

    def book(self) -> set[Bytes32]:
        return {entry.id for entry in self.view().orders}

    def rebuilt_digest(self, redis: Redis) -> str:
        """The digest of a projection that was made from nothing."""
        redis.flushall()
        level(self.projector())
        return self.board.projection.digest()


def level(projector: Projector) -> None:
    """Step until the projection has all there is."""
    for _ in range(500):
        if projector.step().within_seconds > 0:
            return
    pytest.fail("the projector does not get level")


def live_leases(rows: Rows) -> list[LeaseRecord]:
    return [record for record in rows.leases.values() if record.lease.status.is_live]


@pytest.fixture
def indexing(trading: Trading, board: Board, tmp_path: Path) -> Iterator[Indexing]:
    journal = OperatorJournal(f"sqlite:///{tmp_path}/operator.sqlite")
    trading.fund(trading.client, 100 * DOLLAR)
    trading.fund(trading.provider, 100 * DOLLAR)
    yield Indexing(trading, journal, FolderBlobs(tmp_path / "blobs"), board)
    journal.close()


def busy_past(indexing: Indexing) -> dict[str, SignedOrder]:
    """Orders in every state that this market's verbs lead to."""
    trading = indexing.trading
    offer = trading.list(spec=bytes32_of(MACHINE.sha256))
    names = ("waiting", "open", "settled", "declined", "cancelled", "claimed", "terminated", "withdrawn", "progress")
    orders = {name: indexing.accept() for name in names}
    market = trading.book.market
    for name in ("open", "settled", "declined", "claimed"):
        trading.open(orders[name], offer)
    trading.send(trading.provider, verbs.decline(market, orders["declined"].order))
    increase_time(trading.chain, 30)
    trading.settle([trading.receipted(orders["settled"].order, 20, last=True)])
    trading.send(trading.provider, verbs.claim(market, orders["claimed"].order, Seconds(10), RESULT))
    trading.open(orders["progress"], offer)
    trading.open(orders["terminated"], offer)
    increase_time(trading.chain, 30)
    trading.settle([trading.receipted(orders["progress"].order, 10, last=False)])
    trading.send(trading.client, verbs.terminate(market, orders["terminated"].order))
    trading.send(trading.client, verbs.cancel(market, orders["cancelled"].order))
    trading.send(
        trading.client, verbs.withdraw(market, trading.client.address, TokenUnits(trading.free(trading.client) // 2))
    )
    trading.send(
        trading.provider, verbs.reprice(market, offer.id, PricePerGpuHour(2 * DOLLAR + 1), UnixTime(2**40 - 1))
    )
    indexing.journal.withdraw_order(orders["withdrawn"].id, UnixTime(1))
    return orders


def test_the_projection_is_the_fold_and_the_fold_is_the_contract(indexing: Indexing) -> None:
    """Rows equal the pure replay of all events, and every row equals what the contract says at that block (I-12)."""
    orders = busy_past(indexing)
    level(indexing.projector())

    terms = indexing.trading.market.terms()
    events = indexing.history()
    assert indexing.board.projection.all_rows() == replay(events, terms.bond_floor)
    assert reconcile(indexing.board.projection, indexing.trading.market) == ()
    assert indexing.book() == {orders["waiting"].id, orders["declined"].id}
    live = {id_ for id_, record in indexing.view().leases.items() if record.lease.status.is_live}
    assert live == {orders[name].id for name in ("open", "claimed", "progress")}
    assert indexing.view().block == indexing.trading.chain.head()


def test_reputations_are_those_of_the_events(indexing: Indexing, raw_redis: Redis) -> None:
    """A served, a declined and an expired lease change the row as the pure function says; a second computation finds the same,
    and so does an indexer that begins anew."""
    trading, projector = indexing.trading, indexing.projector()
    market, terms = trading.book.market, trading.market.terms()
    offer = trading.list(price=PricePerGpuHour(DOLLAR))
    level(projector)
    assert indexing.view().reputations == {}

    served, declined, expired = (indexing.accept() for _ in range(3))
    for signed in (served, declined, expired):
        trading.open(signed, offer)
    level(projector)
    assert indexing.view().reputations == {}
    trading.send(trading.provider, verbs.decline(market, declined.order))
    level(projector)
    increase_time(trading.chain, 360)
    trading.settle([trading.receipted(served.order, 360, last=True)])
    increase_time(trading.chain, 600)
    trading.send(trading.opener, verbs.expire(market, expired.order))
    level(projector)

    provider = trading.provider.address
    reputation = indexing.view().reputations[provider]
    assert {outcome: tally.count for outcome, tally in reputation.tallies.items()} == {
        Outcome.DECLINED: 1, Outcome.SETTLED: 1, Outcome.EXPIRED: 1,
    }  # fmt: skip
    # At a bond floor of a tenth of a dollar: 360 s and 600 s of one GPU at a dollar an hour.
    lost = -(-DOLLAR * 600 // 3600) * WHOLE // terms.bond_floor
    assert reputation.tallies[Outcome.EXPIRED].weight == lost
    assert 0.999 * WHOLE < reputation.tallies[Outcome.SETTLED].weight < WHOLE
    events = indexing.history()
    assert indexing.board.projection.all_standings() == replay_standings(events, terms.bond_floor)
    assert reconcile_reputations(indexing.board.projection, trading.follower(), terms) == ()
    assert indexing.rebuilt_digest(raw_redis) == projector.digest()
    assert indexing.view().reputations == {provider: reputation}


def test_a_reputation_that_is_not_of_the_events_is_found(indexing: Indexing, raw_redis: Redis) -> None:
    """Made up for somebody, and lost."""
    busy_past(indexing)
    level(indexing.projector())
    rows, terms = "{bourse}:projection:reputations", indexing.trading.market.terms()
    provider = indexing.trading.provider.address
    made_up = board_rows.standing_text(Standing(Reputation(heard=WHOLE)))
    raw_redis.hset(rows, indexing.trading.client.address, made_up)
    raw_redis.hdel(rows, provider)

    found = reconcile_reputations(indexing.board.projection, indexing.trading.follower(), terms)

    assert {(one.kind, one.id) for one in found} == {
        ("reputation", provider), ("reputation", indexing.trading.client.address),
    }  # fmt: skip


def test_the_book_knows_who_signed_for_a_client(indexing: Indexing) -> None:
    """A delegate's order comes with its budget as of the view's block, also where the order came before its authority did."""
    trading, projector = indexing.trading, indexing.projector()
    market, delegate = trading.book.market, ANVIL_KEYS[7]
    own = indexing.accept()
    order = trading.order()
    theirs = delegate.sign_order(order, trading.market.domain)
    indexing.journal.add_order(theirs, SPEC.canonical(), trading.chain.head().timestamp)
    level(projector)
    assert {entry.delegate for entry in indexing.view().orders} == {None}

    budget = Budget(TokenUnits(10 * DOLLAR), UnixTime(2**40 - 1))
    trading.send(trading.client, verbs.authorize(market, delegate.address, budget.left, budget.until))
    level(projector)

    view, delegation = indexing.view(), (trading.client.address, delegate.address)
    assert {entry.id: entry.delegate for entry in view.orders} == {own.id: None, theirs.id: delegate.address}
    assert view.budgets == {delegation: budget}

    offer = trading.list()
    trading.open(theirs, offer)
    trading.send(trading.provider, verbs.decline(market, order))
    level(projector)
    left = TokenUnits(budget.left - worst_cost_of(order))
    assert indexing.view().budgets == {delegation: Budget(left, budget.until)}
    assert indexing.book() == {own.id, theirs.id}


def test_reconciling_finds_a_row_that_is_not_the_contracts(indexing: Indexing, raw_redis: Redis) -> None:
    """One unit more on one account is found, and named."""
    busy_past(indexing)
    level(indexing.projector())
    client = indexing.trading.client.address
    raw_redis.hincrby("{bourse}:projection:accounts", client, 1)

    found = reconcile(indexing.board.projection, indexing.trading.market)

    assert [(one.kind, one.id, one.projected) for one in found] == [("account", client, indexing.board.account(client))]


def test_a_wiped_redis_is_rebuilt_to_the_same_digest(indexing: Indexing, raw_redis: Redis) -> None:
    """FLUSHALL under a running indexer: it notices, begins anew from chain and journal, and arrives at the same (F22)."""
    busy_past(indexing)
    projector = indexing.projector()
    level(projector)
    digest = projector.digest()
    told = indexing.board.read_events("0")
    rows, owed = indexing.board.projection.all_rows(), indexing.board.projection.totals()
    floor = indexing.trading.market.terms().bond_floor
    held = [locked_in(record, rows.offers[record.lease.offer], floor) for record in live_leases(rows)]
    assert (owed.free, owed.locked) == (sum(rows.accounts.values()), sum(held))

    raw_redis.flushall()
    assert indexing.board.view() is None
    level(projector)

    assert projector.digest() == digest
    assert indexing.board.read_events("0") == told


def test_a_projection_that_grew_is_the_one_that_was_made_at_once(indexing: Indexing, raw_redis: Redis) -> None:
    """Followed event by event, or page by page of one block, or read in one go: one digest."""
    projector = indexing.projector()
    trading = indexing.trading
    offer = trading.list()
    for _ in range(3):
        signed = indexing.accept()
        level(projector)
        trading.open(signed, offer)
        level(projector)
        trading.send(trading.provider, verbs.decline(trading.book.market, signed.order))
        level(projector)
    grown = projector.digest()

    assert indexing.rebuilt_digest(raw_redis) == grown
    raw_redis.flushall()
    level(indexing.projector(limit_blocks=1))
    assert indexing.board.projection.digest() == grown


def test_nobody_reads_a_projection_that_is_being_made(indexing: Indexing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page of blocks and of orders: no view before all of it is there."""
    monkeypatch.setattr("marketplace.services.projection.ORDERS_AT_ONCE", 2)
    orders = busy_past(indexing)
    projector = indexing.projector(limit_blocks=5)

    steps = 0
    while projector.step().within_seconds == 0:
        steps += 1
        assert indexing.board.view() is None
        with pytest.raises(StoreUnavailable):
            indexing.board.account(indexing.trading.client.address)

    assert steps > 5
    assert indexing.book() == {orders["waiting"].id, orders["declined"].id}


def test_an_order_goes_on_the_book_and_off_it(indexing: Indexing) -> None:
    """Accepted: on. Opened: off. Declined unpaid: on again. Opened again and settled: off for good."""
    trading, projector = indexing.trading, indexing.projector()
    offer = trading.list()
    signed = indexing.accept()
    level(projector)
    assert indexing.book() == {signed.id}
    assert indexing.view().orders[0].spec == SPEC

    trading.open(signed, offer)
    level(projector)
    assert indexing.book() == set()
    assert indexing.view().leases[signed.id].lease.status is LeaseStatus.OPEN

    trading.send(trading.provider, verbs.decline(trading.book.market, signed.order))
    level(projector)
    assert indexing.book() == {signed.id}
    assert indexing.view().leases[signed.id].exit == "LeaseDeclined"

    increase_time(trading.chain, 1)
    trading.open(signed, offer)
    increase_time(trading.chain, 10)
    trading.settle([trading.receipted(signed.order, 5, last=True)])
    level(projector)
    assert indexing.book() == set()
    assert signed.id not in indexing.view().leases
    record = indexing.board.lease(signed.id)
    assert record is not None
    assert (record.exit, record.lease.status) == ("LeaseSettled", LeaseStatus.CLOSED)


def test_a_withdrawn_order_leaves_the_book_and_does_not_return(indexing: Indexing) -> None:
    """Not even when a stranger opens it and the provider declines it."""
    trading, projector = indexing.trading, indexing.projector()
    offer = trading.list()
    signed = indexing.accept()
    level(projector)

    indexing.journal.withdraw_order(signed.id, UnixTime(1))
    level(projector)
    assert indexing.book() == set()

    trading.open(signed, offer)
    trading.send(trading.provider, verbs.decline(trading.book.market, signed.order))
    level(projector)
    assert indexing.book() == set()


def test_a_cancelled_order_leaves_the_book(indexing: Indexing) -> None:
    """Cancelled before it was opened, or while open and then declined."""
    trading, projector = indexing.trading, indexing.projector()
    offer = trading.list()
    early, late = indexing.accept(), indexing.accept()
    trading.open(late, offer)
    trading.send(trading.client, verbs.cancel(trading.book.market, late.order))
    level(projector)
    assert indexing.book() == {early.id}

    trading.send(trading.client, verbs.cancel(trading.book.market, early.order))
    trading.send(trading.provider, verbs.decline(trading.book.market, late.order))
    level(projector)
    assert indexing.book() == set()


def test_an_expired_order_leaves_the_book_after_a_while(indexing: Indexing) -> None:
    """It stays for a round or two, so that it can be explained; the journal keeps it."""
    trading, projector = indexing.trading, indexing.projector()
    now = trading.chain.head().timestamp
    signed = indexing.accept(expires_at=UnixTime(now + 10))
    level(projector)

    trading.at(now + 10 + EXPIRED_KEPT_SECONDS)
    mine(trading.chain)
    level(projector)
    assert indexing.book() == {signed.id}

    trading.at(now + 10 + EXPIRED_KEPT_SECONDS + 1)
    mine(trading.chain)
    level(projector)
    assert indexing.book() == set()
    assert indexing.journal.order(signed.id) is not None


def test_clients_that_spoil_fills_are_remembered_for_a_while(indexing: Indexing, raw_redis: Redis) -> None:
    """Money taken back before the block counts, each time; what the client cannot help, and strangers' fills, do not."""
    trading, projector = indexing.trading, indexing.projector()
    market, offer = trading.book.market, trading.list()
    signed, small = indexing.accept(), indexing.accept(max_price=PricePerGpuHour(1))
    trading.send(trading.client, verbs.withdraw(market, trading.client.address, trading.free(trading.client)))
    trading.open(signed, offer)
    trading.open(small, offer)
    trading.open(signed, offer, by=trading.arbiter)
    level(projector)
    first = indexing.view().faults
    trading.open(signed, offer)
    level(projector)

    client = trading.client.address
    assert {who: faults.count for who, faults in first.items()} == {client: 1}
    assert indexing.view().faults == {client: Faults(2, trading.chain.head().number)}
    grown = projector.digest()
    assert indexing.rebuilt_digest(raw_redis) == grown

    mine(trading.chain, FAULTS_KEPT_BLOCKS)
    level(indexing.projector())
    assert indexing.view().faults == {}
    trading.open(signed, offer)
    level(indexing.projector())
    assert indexing.view().faults == {client: Faults(1, trading.chain.head().number)}
    grown = indexing.projector().digest()
    assert indexing.rebuilt_digest(raw_redis) == grown


def test_our_refused_fills_are_kept_for_a_while_and_nobody_elses(indexing: Indexing) -> None:
    """With the contract's reason; a stranger could refuse itself anything (P-25)."""
    trading, projector = indexing.trading, indexing.projector()
    offer = trading.list()
    signed = indexing.accept(classes=1 << 7)
    trading.open(signed, offer)
    trading.open(indexing.accept(classes=1 << 7), offer, by=ANVIL_KEYS[5])
    level(projector)

    (fill,) = indexing.view().refused[signed.id]
    assert (fill.offer, fill.reason, fill.block_number) == (
        offer.id, Refusal.ClassNotAccepted, trading.chain.head().number - 1,
    )  # fmt: skip
    assert set(indexing.view().refused) == {signed.id}

    mine(trading.chain, REFUSED_KEPT_BLOCKS - 1)
    level(projector)
    assert signed.id in indexing.view().refused

    mine(trading.chain, 1)
    level(projector)
    assert indexing.view().refused == {}


def test_a_machine_description_is_loaded_when_it_is_there(indexing: Indexing) -> None:
    """Uploaded before the offer or after it, and also for an indexer that did not see the offer's event."""
    trading, projector = indexing.trading, indexing.projector()
    trading.list(spec=bytes32_of(MACHINE.sha256))
    level(projector)
    assert indexing.view().machines == {}

    indexing.blobs.put(MACHINE.canonical(), MACHINE.sha256, 10_000)
    level(indexing.projector())

    assert indexing.view().machines == {MACHINE.sha256: MACHINE}
    level(projector)
    assert indexing.view().machines == {MACHINE.sha256: MACHINE}


def test_a_machine_description_that_is_none_does_no_harm(indexing: Indexing) -> None:
    """The offer stands without one."""
    trading, projector = indexing.trading, indexing.projector()
    indexing.blobs.put(b"[]", sha256_of(b"[]"), 100)
    trading.list(spec=bytes32_of(sha256_of(b"[]")))

    level(projector)

    assert len(indexing.view().offers) == 1
    assert indexing.view().machines == {}


def test_readers_are_told_every_event_once(indexing: Indexing) -> None:
    """In the order of the chain, with where it stands there."""
    projector = indexing.projector()
    level(projector)
    last = indexing.board.last_event_id()
    offer = indexing.trading.list()
    signed = indexing.accept()
    indexing.trading.open(signed, offer)
    level(projector)
    level(projector)

    told = indexing.board.read_events(last)
    assert [event.payload["name"] for event in told] == ["OfferListed", "LeaseOpened", "BatchOpened"]
    assert told[1].payload["fields"]["lease"] == signed.id
    assert told[1].payload["block"]["number"] == indexing.trading.chain.head().number


def test_a_nudge_follows_what_is_new(indexing: Indexing) -> None:
    """Schedulers wait for it; an idle step does not wake them."""
    projector = indexing.projector()
    level(projector)
    indexing.board.wait_nudge("chain", timeout_seconds=0.01)
    level(projector)
    assert not indexing.board.wait_nudge("chain", timeout_seconds=0.01)

    indexing.accept()
    level(projector)

    assert indexing.board.wait_nudge("chain", timeout_seconds=0.01)


def test_a_reorganisation_is_noticed_and_its_blocks_taken_back(indexing: Indexing, raw_redis: Redis) -> None:
    """Blocks that the projection was of are replaced by others: what they said is gone from it (F1)."""
    trading, projector = indexing.trading, indexing.projector()
    trading.list()
    mine(trading.chain)
    level(projector)
    assert len(indexing.view().offers) == 1

    trading.chain.rpc("anvil_reorg", 2, [])
    mine(trading.chain, 3)
    level(projector)

    assert indexing.view().offers == ()
    assert reconcile(indexing.board.projection, trading.market) == ()
    digest = projector.digest()
    assert indexing.rebuilt_digest(raw_redis) == digest


def test_a_node_that_lags_is_waited_for(indexing: Indexing) -> None:
    """A head below the cursor is no reason to throw anything away (F12)."""
    trading, projector = indexing.trading, indexing.projector()
    level(projector)
    snapshot = trading.chain.rpc("evm_snapshot")
    trading.list()
    level(projector)
    digest = projector.digest()
    trading.chain.rpc("evm_revert", snapshot)

    level(projector)

    assert projector.digest() == digest
    assert projector.repairs == Repairs()


def test_a_board_of_another_market_is_cleared(
    indexing: Indexing, new_trading: Callable[[], Trading], tmp_path: Path
) -> None:
    """The development network made anew on an old Redis: nothing of the old market shows."""
    indexing.trading.list()
    level(indexing.projector())
    other = Indexing(new_trading(), indexing.journal, indexing.blobs, indexing.board)

    level(other.projector())

    assert other.view().offers == ()
    assert other.view().accounts == {}


def test_two_indexers_at_once_make_one_projection(indexing: Indexing, raw_redis: Redis) -> None:
    """Both step while the market moves and Redis is wiped under them; what comes of it is what one alone would have made."""
    trading = indexing.trading
    offer = trading.list()
    done = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        projector = indexing.projector()
        try:
            while not done.is_set():
                projector.step()
            level(projector)
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(6):
        signed = indexing.accept()
        trading.open(signed, offer)
        trading.send(trading.provider, verbs.decline(trading.book.market, signed.order))
        if number == 3:
            raw_redis.flushall()
    done.set()
    for thread in threads:
        thread.join()

    assert failures == []
    digest = indexing.board.projection.digest()
    assert reconcile(indexing.board.projection, trading.market) == ()
    assert indexing.rebuilt_digest(raw_redis) == digest


def test_kill_9_of_redis_between_steps_costs_nothing(indexing: Indexing, tmp_path: Path) -> None:
    """Killed and started again five times while the market moves, once with the tail of its file cut off (F21, F22)."""
    folder, trading = tmp_path / "own-redis", indexing.trading
    offer = trading.list()
    server = start_redis(folder)
    indexing.board = Board(server.url)
    projector = indexing.projector()
    for number in range(5):
        signed = indexing.accept()
        level(projector)
        trading.open(signed, offer)
        server.kill()
        with pytest.raises(StoreUnavailable):
            projector.step()
        if number == 2:
            _cut_tail(folder, 1500)
        server = start_redis(folder)
        level(projector)
    digest = projector.digest()

    indexing.board.projection.begin("another", indexing.board.projection.head())
    level(projector)
    assert projector.digest() == digest
    indexing.board.close()
    server.stop()


def _cut_tail(folder: Path, bytes_: int) -> None:
    """What a power cut may do to a file that is synced once a second."""
    file = folder / "appendonly.aof"
    with file.open("r+b") as aof:
        aof.truncate(max(0, file.stat().st_size - bytes_))


def test_a_projection_with_a_hole_is_made_anew(indexing: Indexing, raw_redis: Redis) -> None:
    """An event that speaks of a row that is not there: no guess, the projection is rebuilt from the chain."""
    trading, projector = indexing.trading, indexing.projector()
    offer = trading.list()
    level(projector)
    raw_redis.hdel("{bourse}:projection:offers", str(offer.id))

    trading.open(indexing.accept(), offer)
    level(projector)
    level(projector)

    assert indexing.view().offers == (trading.market.offer_of(offer.id),)
    assert reconcile(indexing.board.projection, trading.market) == ()
