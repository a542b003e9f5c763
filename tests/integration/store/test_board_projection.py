"""The projection on a real Redis: whole, atomic, fenced, and gone without pretending."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from marketplace.domain.book import BookView, RefusedFill
from marketplace.domain.budgets import NO_BUDGET, Budget
from marketplace.domain.errors import Conflict, StoreUnavailable
from marketplace.domain.events import Deposited, LogRef
from marketplace.domain.ids import OfferId
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import Rows
from marketplace.domain.refusals import Refusal
from marketplace.domain.reputation import Outcome, Reputation, Standing, Tally
from marketplace.domain.units import GpuCount, TokenUnits, UnixTime
from marketplace.store.board import Board
from marketplace.store.board_projection import Head, Step
from tests.unit.store.rows import CLIENT, MACHINE, OPENER, PROVIDER, block, book_order, lease, offer, signed, word

MARKET = "31337:0xmarket:0xblock"


def step(number: int, **changed: Any) -> Step:
    plain = Step(cursor=block(number), changed=0, is_ready=True, expired_before=UnixTime(0), refused_before=0)
    return replace(plain, **changed)


def begun(board: Board) -> Head:
    return board.projection.begin(MARKET, None)


def viewed(board: Board) -> BookView:
    view = board.view()
    assert view is not None
    return view


def test_a_view_is_what_was_written(board: Board) -> None:
    """Rows, book, machines and refusals of one block, with the heartbeats of that moment."""
    waiting, served, over = signed(1), signed(2), signed(3)
    records = {one.id: lease(one, status) for one, status in ((served, LeaseStatus.OPEN), (over, LeaseStatus.CLOSED))}
    declined = lease(waiting, LeaseStatus.NONE)
    rows = Rows({CLIENT: TokenUnits(2**200)}, {OfferId(1): offer()}, {**records, waiting.id: declined})
    refused = {
        waiting.id: (RefusedFill(OfferId(1), Refusal.TooSoon, 4), RefusedFill(OfferId(2), Refusal.WrongOffer, 5))
    }
    entry = replace(book_order(1), signed=waiting)
    board.beat(PROVIDER, UnixTime(7))

    board.projection.write(
        step(5, rows=rows, booked={waiting.id: entry}, machines={MACHINE.sha256: MACHINE}, refused=refused),
        begun(board),
    )

    assert viewed(board) == BookView(
        block=block(5),
        orders=(entry,),
        offers=(offer(),),
        accounts={CLIENT: TokenUnits(2**200)},
        leases={served.id: records[served.id], waiting.id: declined},
        machines={MACHINE.sha256: MACHINE},
        heartbeats={PROVIDER: UnixTime(7)},
        refused=refused,
    )
    assert board.cursor() == block(5)
    assert board.lease(over.id) == records[over.id]
    assert board.lease(word(1)) is None
    assert (board.offer(OfferId(1)), board.offer(OfferId(2))) == (offer(), None)
    assert board.offers() == (offer(),)
    assert (board.account(CLIENT), board.account(OPENER)) == (2**200, 0)


def test_a_view_has_the_reputations_and_the_budgets_that_pay_for_orders(board: Board) -> None:
    """Who signed and was never given a budget is no delegate; budgets of nobody's order are left out."""
    standing = Standing(Reputation(UnixTime(5), {Outcome.EXPIRED: Tally(1, 8)}, 0), {})
    by_client, by_delegate, by_owner = (
        replace(book_order(salt), delegate=who) for salt, who in ((1, None), (2, OPENER), (3, PROVIDER))
    )
    budgets = {(CLIENT, OPENER): Budget(TokenUnits(9), UnixTime(99)), (PROVIDER, OPENER): NO_BUDGET}
    entries = {entry.id: entry for entry in (by_client, by_delegate, by_owner)}

    head = board.projection.write(
        step(5, rows=Rows(budgets=budgets), booked=entries, standings={PROVIDER: standing}), begun(board)
    )

    assert viewed(board).reputations == {PROVIDER: standing.reputation}
    assert viewed(board).budgets == {(CLIENT, OPENER): Budget(TokenUnits(9), UnixTime(99))}
    assert viewed(board).orders == (by_client, by_delegate, replace(by_owner, delegate=None))
    assert board.projection.standing(PROVIDER) == standing
    assert board.projection.standing(CLIENT) is None

    # Authorized in a later block than the order came in: from then on it is charged.
    late = Rows(budgets={(CLIENT, PROVIDER): NO_BUDGET})
    board.projection.write(step(6, rows=late), head)
    assert viewed(board).orders[2] == by_owner
    assert viewed(board).budgets[CLIENT, PROVIDER] == NO_BUDGET


def test_a_view_is_read_once_and_its_heartbeats_each_time(board: Board, raw_redis: Redis) -> None:
    """While nobody has written; a write, a rebuilt projection and a wiped Redis are seen at once."""
    head = board.projection.write(step(5, rows=Rows({CLIENT: TokenUnits(5)})), begun(board))
    first = viewed(board)
    board.beat(PROVIDER, UnixTime(7))
    assert viewed(board).accounts is first.accounts
    assert viewed(board).heartbeats == {PROVIDER: UnixTime(7)}

    head = board.projection.write(step(6, rows=Rows({CLIENT: TokenUnits(6)})), head)
    assert viewed(board).accounts == {CLIENT: TokenUnits(6)}

    begun_anew = board.projection.begin(MARKET, head)
    assert board.view() is None
    board.projection.write(step(7, rows=Rows({CLIENT: TokenUnits(7)})), begun_anew)
    assert viewed(board).accounts == {CLIENT: TokenUnits(7)}

    raw_redis.flushall()
    assert board.view() is None


def test_there_is_no_view_before_there_is_a_whole_projection(board: Board) -> None:
    """None and StoreUnavailable, never an empty or half a market."""
    for prepare in (lambda: None, lambda: begun(board)):
        prepare()
        assert board.view() is None
        assert board.cursor() is None
        for ask in (board.offers, lambda: board.account(CLIENT), lambda: board.lease(word(1))):
            with pytest.raises(StoreUnavailable):
                ask()

    head = board.projection.head()
    assert head is not None
    board.projection.write(step(5, is_ready=False, rows=Rows({CLIENT: TokenUnits(1)})), head)

    assert board.view() is None
    with pytest.raises(StoreUnavailable):
        board.account(CLIENT)
    assert board.projection.account(CLIENT) == 1


def test_a_write_over_anothers_is_refused(board: Board) -> None:
    """Whoever read before somebody else wrote must read again; nothing of its step is there."""
    head = begun(board)
    board.projection.write(step(5, rows=Rows({CLIENT: TokenUnits(5)})), head)
    digest = board.projection.digest()

    with pytest.raises(Conflict):
        board.projection.write(step(6, rows=Rows({CLIENT: TokenUnits(6)})), head)
    with pytest.raises(Conflict):
        board.projection.begin(MARKET, head)
    with pytest.raises(Conflict):
        board.projection.begin(MARKET, None)

    assert board.projection.digest() == digest
    assert board.account(CLIENT) == 5


def test_a_write_after_a_wipe_is_refused(board: Board, raw_redis: Redis) -> None:
    """A step over rows that are gone would make half a projection look whole."""
    head = begun(board)
    head = board.projection.write(step(5, rows=Rows({CLIENT: TokenUnits(5)})), head)
    raw_redis.flushall()

    with pytest.raises(Conflict):
        board.projection.write(step(6), head)

    assert board.projection.head() is None
    assert raw_redis.keys() == []


def test_beginning_anew_clears_everything_of_the_projection_and_nothing_else(board: Board) -> None:
    """Heartbeats and logs are not the projection's to forget."""
    board.beat(PROVIDER, UnixTime(7))
    first = book_order()
    written = board.projection.write(
        step(5, rows=Rows({CLIENT: TokenUnits(5)}, {OfferId(1): offer()}), booked={first.id: first}), begun(board)
    )
    empty = board.projection.write(step(5), board.projection.begin(MARKET, written))

    assert empty.fence != written.fence
    view = viewed(board)
    assert (view.orders, view.offers, view.accounts, view.leases) == ((), (), {}, {})
    assert view.heartbeats == {PROVIDER: UnixTime(7)}


def test_orders_leave_the_book_when_told_and_when_expired(board: Board) -> None:
    """By the order's own expiry, at the block time of the step; the boundary itself stays."""
    entries = [book_order(salt, expires_at=UnixTime(100 + salt)) for salt in (1, 2, 3, 4)]
    head = board.projection.write(step(5, booked={entry.id: entry for entry in entries}), begun(board))

    head = board.projection.write(step(6, unbooked=frozenset({entries[3].id}), expired_before=UnixTime(102)), head)
    assert viewed(board).orders == (entries[1], entries[2])

    board.projection.write(step(7, expired_before=UnixTime(200), booked={entries[3].id: entries[3]}), head)
    assert viewed(board).orders == ()


def test_refusals_are_forgotten_after_a_while(board: Board) -> None:
    """By block number; of one pair only the last counts."""
    old, new = RefusedFill(OfferId(1), Refusal.TooSoon, 4), RefusedFill(OfferId(2), Refusal.TooSoon, 6)
    again = RefusedFill(OfferId(1), Refusal.NotEnoughGpus, 7)
    head = board.projection.write(step(6, refused={word(1): (old, new)}), begun(board))
    head = board.projection.write(step(7, refused={word(1): (again,)}), head)
    assert viewed(board).refused == {word(1): (again, new)}

    head = board.projection.write(step(8, refused_before=7), head)
    assert viewed(board).refused == {word(1): (again,)}

    board.projection.write(step(9, refused_before=8), head)
    assert viewed(board).refused == {}


def test_a_lease_that_is_over_is_not_looked_at_but_found(board: Board) -> None:
    """Rounds look at what is live or may come back; the record stays."""
    one = signed()
    head = board.projection.write(step(5, rows=Rows(leases={one.id: lease(one, LeaseStatus.OPEN)})), begun(board))
    board.projection.write(step(6, rows=Rows(leases={one.id: lease(one, LeaseStatus.CLOSED)})), head)

    assert viewed(board).leases == {}
    found = board.lease(one.id)
    assert found is not None
    assert found.lease.status is LeaseStatus.CLOSED


def test_a_declined_lease_is_looked_at_while_its_order_waits(board: Board) -> None:
    """Its tip is paid and its last opening is known: a round needs that; without its order on the book nobody does."""
    one = book_order()
    record = lease(one.signed, LeaseStatus.NONE)
    head = board.projection.write(step(5, rows=Rows(leases={one.id: record}), booked={one.id: one}), begun(board))
    assert viewed(board).leases == {one.id: record}

    board.projection.write(step(6, unbooked=frozenset({one.id})), head)
    assert viewed(board).leases == {}


def test_missing_machine_descriptions_are_those_that_offers_name(board: Board) -> None:
    """Until they are written."""
    head = board.projection.write(step(5, rows=Rows(offers={OfferId(1): offer()})), begun(board))
    assert board.projection.machines_missing() == {MACHINE.sha256}

    board.projection.write(step(5, machines={MACHINE.sha256: MACHINE}), head)
    assert board.projection.machines_missing() == frozenset()


def test_the_digest_is_that_of_the_contents(board: Board) -> None:
    """Two ways to one state have one digest; another state has another."""
    one, two = {CLIENT: TokenUnits(1)}, {PROVIDER: TokenUnits(2)}
    head = board.projection.write(step(5, rows=Rows(one)), begun(board))
    head = board.projection.write(step(6, rows=Rows(two)), head)
    digest = board.projection.digest()

    head = board.projection.write(step(6, rows=Rows({**two, **one})), board.projection.begin(MARKET, head))
    assert board.projection.digest() == digest

    board.projection.write(step(6, rows=Rows({CLIENT: TokenUnits(2)})), head)
    assert board.projection.digest() != digest


def test_events_keep_their_ids_over_a_rebuild(board: Board) -> None:
    """A reader that was at an event goes on after it, and is told nothing twice."""
    told = [Deposited(LogRef(block(5), word(1), index), CLIENT, CLIENT, TokenUnits(2**90)) for index in (0, 7)]
    head = board.projection.write(step(5, events=tuple(told), undo_from=0), begun(board))
    before = board.read_events("0")
    head = board.projection.begin(MARKET, head)
    board.projection.write(step(5, events=tuple(told), undo_from=0), head)

    assert [event.id for event in before] == ["5-1", "5-8"]
    assert board.read_events("0") == before
    assert board.read_events("5-1") == before[1:]
    assert before[0].payload["name"] == "Deposited"
    assert before[0].payload["fields"]["amount"] == str(2**90)


def test_a_rebuild_tells_nobody_of_what_is_long_past(board: Board) -> None:
    """Until it is ready, events of old blocks are no news; from then on all are, however long the indexer was away."""
    old, new = (Deposited(LogRef(block(number), word(1), 0), CLIENT, CLIENT, TokenUnits(1)) for number in (5, 6))
    head = board.projection.write(step(5, events=(old,)), begun(board))
    board.projection.write(step(6, events=(new,)), head)

    assert [event.id for event in board.read_events("0")] == ["6-1"]


def test_a_stream_with_later_ids_does_not_stop_a_step(board: Board, raw_redis: Redis) -> None:
    """The stream is a courtesy; the rows are not."""
    head = begun(board)
    raw_redis.xadd("{bourse}:events:chain", {"event": "{}"}, id="999-1")
    told = Deposited(LogRef(block(5), word(1), 0), CLIENT, CLIENT, TokenUnits(1))

    board.projection.write(step(5, rows=Rows({CLIENT: TokenUnits(1)}), events=(told,)), head)

    assert board.account(CLIENT) == 1


def test_a_view_is_never_of_two_blocks(board: Board) -> None:
    """While a writer moves two rows with the cursor, a reader always sees all three agree."""
    head = board.projection.write(step(0, rows=_agreeing(0)), begun(board))
    done = threading.Event()

    def write() -> None:
        standing = head
        for number in range(1, 300):
            standing = board.projection.write(step(number, rows=_agreeing(number)), standing)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    views = [viewed(board)]
    while not done.is_set():
        views.append(viewed(board))
    writer.join()

    assert len(views) > 10
    for view in views:
        assert (view.accounts[CLIENT], view.offers[0].free) == (view.block.number, view.block.number)


def test_two_writers_at_once_never_mix(board: Board) -> None:
    """Each adds one per successful step; every success counts, every conflict leaves nothing."""
    begun(board)
    successes: list[int] = []

    def write() -> None:
        mine = 0
        while mine < 50:
            head = board.projection.head()
            assert head is not None
            number = (head.cursor.number if head.cursor else 0) + 1
            rows = Rows({CLIENT: TokenUnits((board.projection.account(CLIENT) or 0) + 1)})
            try:
                board.projection.write(step(number, rows=rows), head)
            except Conflict:
                continue
            mine += 1
        successes.append(mine)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert successes == [50, 50, 50]
    assert board.account(CLIENT) == 150
    assert viewed(board).block == block(150)


def _agreeing(number: int) -> Rows:
    return Rows({CLIENT: TokenUnits(number)}, {OfferId(1): replace(offer(), free=GpuCount(number))})
