"""Views on a real Redis, read change by change: always what reading everything gives, and never a change to an earlier view."""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import Any

import pytest
from redis import Redis

from marketplace.domain.book import BookOrder, BookView, Faults, RefusedFill
from marketplace.domain.budgets import NO_BUDGET, Budget
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import Rows
from marketplace.domain.refusals import Refusal
from marketplace.domain.reputation import Outcome, Reputation, Standing, Tally
from marketplace.domain.units import GpuCount, TokenUnits, UnixTime
from marketplace.store import board_keys as keys
from marketplace.store.board import Board
from marketplace.store.board_projection import TOUCHED_KEPT, Head, Step
from marketplace.store.redis_server import RedisHandle
from tests.unit.store.rows import CLIENT, MACHINE, OPENER, PROVIDER, block, book_order, lease, offer, word

MARKET = "31337:0xmarket:0xblock"
PEOPLE = (CLIENT, PROVIDER, OPENER, *(Address(f"0x{number:040x}") for number in range(1, 4)))
COMPANIES = tuple(Address(f"0x{number:040x}") for number in range(11, 16))
ORDERS = tuple(book_order(salt, expires_at=UnixTime(100 + 15 * salt)) for salt in range(1, 15))
MACHINES = tuple(replace(MACHINE, region=region) for region in ("eu", "us", "ap"))
SEEDS = range(12)


def step(number: int, **changed: Any) -> Step:
    plain = Step(cursor=block(number), changed=0, is_ready=True, expired_before=UnixTime(0), refused_before=0)
    return replace(plain, **changed)


@dataclass
class Plain:
    """The projection as plain rows: what a view of it must be, said without Redis."""

    number: int = 5
    rows: Rows = field(default_factory=lambda: Rows(*({} for _ in fields(Rows))))
    book: dict[Any, BookOrder] = field(default_factory=dict)
    machines: dict[Any, Any] = field(default_factory=dict)
    standings: dict[Any, Standing] = field(default_factory=dict)
    refused: dict[Any, RefusedFill] = field(default_factory=dict)
    faults: dict[Any, Faults] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        for name in ("accounts", "offers", "leases", "budgets", "owners"):
            getattr(self.rows, name).update(getattr(step.rows, name))
        self.machines |= step.machines
        self.standings |= step.standings
        self.faults |= step.faults
        self.refused |= {(order, fill.offer): fill for order, fills in step.refused.items() for fill in fills}
        self.refused = {pair: fill for pair, fill in self.refused.items() if fill.block_number >= step.refused_before}
        booked = {one: entry for one, entry in (self.book | dict(step.booked)).items() if one not in step.unbooked}
        self.book = {one: row for one, row in booked.items() if row.signed.order.expires_at >= step.expired_before}
        self.number = step.cursor.number

    def view(self) -> BookView:
        orders = [self._judged(entry) for entry in self.book.values()]
        pairs = {(entry.signed.order.client, entry.delegate) for entry in orders if entry.delegate}
        # By the text of their fields: offer 10 comes before offer 9.
        refused = sorted(self.refused, key=lambda pair: f"{pair[0]}:{pair[1]}")
        live = (LeaseStatus.OPEN, LeaseStatus.CLAIMED)
        return BookView(
            block=block(self.number),
            orders=tuple(sorted(orders, key=lambda entry: (entry.accepted_at, entry.id))),
            offers=tuple(self.rows.offers[number] for number in sorted(self.rows.offers)),
            accounts=dict(self.rows.accounts),
            leases={
                one: record
                for one, record in self.rows.leases.items()
                if record.lease.status in live or (record.lease.status is LeaseStatus.NONE and one in self.book)
            },
            machines=dict(self.machines),
            heartbeats={},
            refused={order: tuple(self.refused[pair] for pair in refused if pair[0] == order) for order, _ in refused},
            budgets={pair: row for pair, row in self.rows.budgets.items() if pair in pairs},
            reputations=self._reputations(),
            faults={who: row for who, row in self.faults.items() if self.number - row.block_number < 1_000},
        )

    def _reputations(self) -> dict[Address, Reputation]:
        """Companies have their owners'."""
        own = {who: standing.reputation for who, standing in self.standings.items()}
        return own | {company: own[owner] for company, owner in self.rows.owners.items() if owner in own}

    def _judged(self, entry: BookOrder) -> BookOrder:
        is_delegate = (entry.signed.order.client, entry.delegate) in self.rows.budgets
        return entry if is_delegate else replace(entry, delegate=None)


def random_step(rng: Random, number: int) -> Step:
    """A little of everything; most parts are empty in most steps."""

    def some(make: Callable[[], tuple[Any, Any]], most: int = 2) -> dict[Any, Any]:
        return dict(make() for _ in range(rng.randint(1, most))) if rng.random() < 0.4 else {}

    def entry() -> tuple[Any, Any]:
        chosen, accepted_at = rng.choice(ORDERS), UnixTime(rng.randint(1, 4))
        signer = rng.choice((None, *PEOPLE[1:]))
        return chosen.id, replace(chosen, accepted_at=accepted_at, delegate=signer)

    def refusal() -> tuple[Any, Any]:
        kinds = [RefusedFill(OfferId(n), rng.choice(list(Refusal)), number) for n in (1, 9, 10) if rng.random() < 0.6]
        return rng.choice(ORDERS).id, tuple(kinds)

    def record() -> tuple[Any, Any]:
        chosen = rng.choice(ORDERS)
        status = rng.choice((LeaseStatus.NONE, LeaseStatus.OPEN, LeaseStatus.CLAIMED, LeaseStatus.CLOSED))
        return chosen.id, lease(chosen.signed, status, opened_in_block=rng.randint(1, 3))

    def one_offer() -> tuple[Any, Any]:
        listed = offer(rng.randint(1, 12), free=GpuCount(rng.randint(0, 4)))
        return listed.id, listed

    def standing() -> tuple[Any, Any]:
        reputation = Reputation(UnixTime(number), {Outcome.EXPIRED: Tally(1, rng.randint(1, 9))}, 0)
        return rng.choice(PEOPLE), Standing(reputation, {})

    booked, people = some(entry, 5), lambda: rng.choice(PEOPLE)
    unbooked = frozenset(one.id for one in ORDERS if rng.random() < 0.08) - booked.keys()
    rows = Rows(
        accounts=some(lambda: (people(), TokenUnits(rng.randint(0, 3)))),
        offers=some(one_offer, 3),
        leases=some(record, 3),
        budgets=some(lambda: ((CLIENT, people()), rng.choice((NO_BUDGET, Budget(TokenUnits(3), UnixTime(9))))), 1),
        owners=some(lambda: (rng.choice(COMPANIES), people())),
    )
    machines = some(lambda: ((machine := rng.choice(MACHINES)).sha256, machine), 1)
    return step(
        number, rows=rows, booked=booked, unbooked=unbooked, machines=machines, standings=some(standing),
        refused=some(refusal), faults=some(lambda: (people(), Faults(rng.randint(1, 3), number))),
        expired_before=UnixTime(60 + number // 20), refused_before=number - 300,
    )  # fmt: skip


class Turns:
    """What may happen to a projection between two looks at it: done to Redis and to the plain rows."""

    def __init__(self, rng: Random, board: Board, redis: Redis) -> None:
        self._rng, self._table, self._redis = rng, board.projection, redis
        self.plain, self._head = Plain(), board.projection.begin(MARKET, None)
        self._saved: tuple[dict[bytes, bytes], Plain, Head] | None = None
        self.write()

    def write(self) -> None:
        drawn = random_step(self._rng, self.plain.number + self._rng.choice((0, 1, 1, 1, 1, 350)))
        self._head = self._table.write(drawn, self._head)
        self.plain.take(drawn)

    def take_one(self) -> None:
        what = self._rng.choices(
            (self._wipe, self._begin_anew, self._save, self._roll_back, self._forget_touched), (1, 1, 2, 2, 1)
        )[0]
        if self._rng.random() < 0.25:
            what()
        for _ in range(self._rng.randint(0, 3)):
            self.write()

    def _wipe(self) -> None:
        self._redis.flushall()
        self._start(None)

    def _begin_anew(self) -> None:
        self._start(self._head)

    def _start(self, head: Head | None) -> None:
        self._head, self.plain = self._table.begin(MARKET, head), Plain(self.plain.number)
        if self._rng.random() < 0.5:
            rebuilding = replace(random_step(self._rng, self.plain.number), is_ready=False)
            self._head = self._table.write(rebuilding, self._head)
            self.plain.take(rebuilding)
        self.write()

    def _save(self) -> None:
        every_key = self._redis.keys(f"{keys.ROOT}:projection:*")
        self._saved = {key: self._redis.dump(key) for key in every_key}, deepcopy(self.plain), self._head

    def _roll_back(self) -> None:
        """As after a restart without its last seconds."""
        if self._saved:
            texts, plain, self._head = self._saved
            self._redis.flushall()
            for key, text in texts.items():
                self._redis.restore(key, 0, text)
            self.plain = deepcopy(plain)

    def _forget_touched(self) -> None:
        self._redis.ltrim(keys.TOUCHED, self._rng.choice((1, 3, 10)), -1)


def viewed(board: Board) -> BookView:
    view = board.view()
    assert view is not None
    return view


def hashes_read(redis: Redis) -> int:
    """How many tables were read whole since the server started."""
    counts: Any = redis.info("commandstats")
    return int(counts.get("cmdstat_hgetall", {"calls": 0})["calls"])


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_an_old_board_sees_what_a_new_one_sees(
    board: Board, raw_redis: Redis, redis_server: RedisHandle, seed: int
) -> None:
    """Orders, offers, leases, money, delegates and the rest, in the same order; and what was seen stays what it was."""
    rng, earlier = Random(seed), list[tuple[BookView, str]]()
    turns, seldom = Turns(rng, board, raw_redis), Board(redis_server.url)
    for turn in range(40):
        turns.take_one()
        new = Board(redis_server.url)
        expected = turns.plain.view()

        assert viewed(new) == expected
        assert viewed(board) == expected
        assert turn % 5 or viewed(seldom) == expected

        view = viewed(board)
        earlier.append((view, repr(view)))
        new.close()

    seldom.close()
    assert [repr(view) for view, _ in earlier] == [text for _, text in earlier]


def test_threads_on_one_board_each_see_whole_blocks(board: Board, raw_redis: Redis) -> None:
    """While a writer goes on, every view of every thread is the one of its block."""
    table, plain, rng, done = board.projection, Plain(), Random(1), threading.Event()
    head = table.write(step(5), table.begin(MARKET, None))
    expected, seen = {5: plain.view()}, list[BookView]()

    def look() -> None:
        while not done.is_set():
            seen.append(viewed(board))

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(6, 200):
        drawn = random_step(rng, number)
        plain.take(drawn)
        expected[number] = plain.view()
        head = table.write(drawn, head)
    done.set()
    for reader in readers:
        reader.join()

    assert len({view.block.number for view in seen}) > 10
    assert all(view == expected[view.block.number] for view in seen)


def test_after_a_block_only_what_it_touched_is_read(board: Board, raw_redis: Redis) -> None:
    """No table but the head and the heartbeats; and all rows that stayed are the objects they were, strangers' orders too."""
    entries = {one.id: replace(one, delegate=OPENER if n % 2 else None) for n, one in enumerate(ORDERS)}
    offers, leases = {OfferId(n): offer(n) for n in (1, 2, 9, 10)}, {word(1): lease(ORDERS[0].signed, LeaseStatus.OPEN)}
    head = board.projection.write(
        step(5, rows=Rows({CLIENT: TokenUnits(1)}, offers, leases), booked=entries),
        board.projection.begin(MARKET, None),
    )
    first = viewed(board)
    gone, again = ORDERS[3].id, ORDERS[5].id

    rows = Rows({PROVIDER: TokenUnits(2)}, {OfferId(9): offer(9, free=GpuCount(1))})
    board.projection.write(step(6, rows=rows, unbooked=frozenset({gone}), booked={again: entries[again]}), head)
    before = hashes_read(raw_redis)
    second = viewed(board)

    assert hashes_read(raw_redis) - before == 2
    assert second.accounts == {CLIENT: 1, PROVIDER: 2}
    assert list(map(id, second.orders)) == [id(entry) for entry in first.orders if entry.id != gone]
    assert [a is b for a, b in zip(first.offers, second.offers, strict=True)] == [True, True, False, True]
    assert second.leases[ORDERS[0].id] is first.leases[ORDERS[0].id]
    assert second.machines is first.machines


def test_a_delegate_is_one_from_its_first_budget_on(board: Board, raw_redis: Redis) -> None:
    """A budget row makes the stranger who signed earlier a delegate, without the order being read again."""
    entries = {
        one.id: replace(one, delegate=signer) for one, signer in zip(ORDERS, (OPENER, PROVIDER, None), strict=False)
    }
    head = board.projection.write(step(5, booked=entries), board.projection.begin(MARKET, None))
    assert [entry.delegate for entry in viewed(board).orders] == [None, None, None]

    head = board.projection.write(step(6, rows=Rows(budgets={(CLIENT, PROVIDER): NO_BUDGET})), head)
    view = viewed(board)
    assert view.orders == (replace(ORDERS[0], delegate=None), entries[ORDERS[1].id], ORDERS[2])
    assert view.budgets == {(CLIENT, PROVIDER): NO_BUDGET}

    board.projection.write(step(7, unbooked=frozenset({ORDERS[1].id})), head)
    assert viewed(board).budgets == {}


def test_who_is_too_far_behind_reads_everything(board: Board, raw_redis: Redis, redis_server: RedisHandle) -> None:
    """The list of touched rows stays short, whether one step fills it or many do; the next step is told again."""
    many = {Address(f"0x{number:040x}"): TokenUnits(number) for number in range(TOUCHED_KEPT)}
    head = board.projection.write(step(5, rows=Rows({CLIENT: TokenUnits(1)})), board.projection.begin(MARKET, None))
    assert viewed(board).accounts == {CLIENT: 1}

    head = board.projection.write(step(6, rows=Rows(many)), head)
    assert raw_redis.llen(keys.TOUCHED) == 1
    before = hashes_read(raw_redis)
    assert viewed(board).accounts == {CLIENT: 1} | many
    assert hashes_read(raw_redis) - before > 2

    head = board.projection.write(step(7, rows=Rows({CLIENT: TokenUnits(2)})), head)
    before = hashes_read(raw_redis)
    assert viewed(board).accounts == {CLIENT: 2} | many
    assert hashes_read(raw_redis) - before == 2

    half = dict(list(many.items())[: TOUCHED_KEPT // 2])
    for number in (8, 9, 10):
        half = {who: TokenUnits(units + number) for who, units in half.items()}
        head = board.projection.write(step(number, rows=Rows(half)), head)
    assert raw_redis.llen(keys.TOUCHED) == TOUCHED_KEPT
    assert viewed(board).accounts == {CLIENT: 2} | many | half


def test_a_step_that_was_not_noted_is_not_missed(board: Board, raw_redis: Redis, redis_server: RedisHandle) -> None:
    """An indexer of an earlier version writes rows without saying which: readers then read everything, also after a step of ours."""
    head = board.projection.write(step(5, rows=Rows({CLIENT: TokenUnits(5)})), board.projection.begin(MARKET, None))
    before, late = viewed(board), Board(redis_server.url)
    assert viewed(late) == before

    raw_redis.hset(keys.ACCOUNTS, PROVIDER, 6)
    raw_redis.hset(keys.HEAD, "fence", "theirs")
    assert viewed(board).accounts == {CLIENT: 5, PROVIDER: 6}

    board.projection.write(step(7, rows=Rows({OPENER: TokenUnits(7)})), replace(head, fence="theirs"))
    assert viewed(board).accounts == {CLIENT: 5, PROVIDER: 6, OPENER: 7}
    assert viewed(late).accounts == {CLIENT: 5, PROVIDER: 6, OPENER: 7}
    late.close()


def test_the_list_of_touched_rows_is_no_part_of_the_digest(board: Board, raw_redis: Redis) -> None:
    """It tells how the projection came about; and it begins anew with it."""
    head = board.projection.write(step(5, rows=Rows({CLIENT: TokenUnits(5)})), board.projection.begin(MARKET, None))
    digest = board.projection.digest()
    raw_redis.delete(keys.TOUCHED)
    assert board.projection.digest() == digest

    head = board.projection.write(step(6), head)
    board.projection.begin(MARKET, head)
    assert raw_redis.exists(keys.TOUCHED) == 0
