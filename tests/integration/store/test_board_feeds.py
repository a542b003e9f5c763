"""Logs, events, hints, heartbeats and explanations on a real Redis: told, heard, and forgotten without harm."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from redis import Redis

from marketplace.domain.book import Explanation, RejectionReason
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import OfferId
from marketplace.domain.units import UnixTime
from marketplace.store.board import Board
from marketplace.store.board_keys import BEATS_TOPIC, LIVE_TOPIC
from marketplace.store.redis_server import RedisHandle
from tests.unit.store.rows import CLIENT, PROVIDER, block, word

LEASE = word(7)
FIRST = UnixTime(1_700_000_000)
SECOND = UnixTime(1_700_000_060)
LONG_MS = 20_000
"""Longer than any test should take: who waits so long was not woken."""


def later(act: Callable[[], object]) -> threading.Thread:
    """Do something in another thread, while this one waits for it."""
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_log_grows_where_it_ends(board: Board) -> None:
    """Each append answers with the length; what was appended is read from any offset."""
    assert board.append_log(LEASE, FIRST, 0, b"one\n") == 4
    assert board.append_log(LEASE, FIRST, 4, b"\xfftwo\n") == 9

    assert board.read_log(LEASE, 0) == b"one\n\xfftwo\n"
    assert board.read_log(LEASE, 4) == b"\xfftwo\n"
    assert board.read_log(LEASE, 9) == b""
    assert board.read_log(word(8), 0) == b""


@pytest.mark.parametrize("offset", [0, 3, 5, 1_000_000])
def test_a_log_does_not_grow_at_another_offset(board: Board, offset: int) -> None:
    """A chunk sent twice, or after a gap, changes nothing: the answer says where to go on."""
    board.append_log(LEASE, FIRST, 0, b"one\n")

    assert board.append_log(LEASE, FIRST, offset, b"two\n") == 4
    assert board.read_log(LEASE, 0) == b"one\n"


def test_another_serving_begins_its_log_anew(board: Board) -> None:
    """After an unpaid decline the same lease is served elsewhere: nobody reads two providers' lines as one log."""
    board.append_log(LEASE, FIRST, 0, b"by the first\n")

    assert board.append_log(LEASE, SECOND, 13, b"too far\n") == 0
    assert board.append_log(LEASE, SECOND, 0, b"by the second\n") == 14

    assert board.read_log(LEASE, 0) == b"by the second\n"


def test_a_lost_log_asks_for_its_beginning(board: Board, raw_redis: Redis) -> None:
    """When Redis was wiped, the next append is told to begin at 0."""
    board.append_log(LEASE, FIRST, 0, b"one\n")
    raw_redis.flushall()

    assert board.append_log(LEASE, FIRST, 4, b"two\n") == 0


def test_a_reader_at_the_end_is_woken_by_an_append(board: Board) -> None:
    """The first append, and every one after it."""
    for offset, chunk in ((0, b"one\n"), (4, b"two\n")):
        thread = later(partial(board.append_log, LEASE, FIRST, offset, chunk))
        assert board.read_log(LEASE, offset, LONG_MS) == chunk
        thread.join()


def test_a_reader_waits_no_longer_than_it_said(board: Board) -> None:
    """An empty answer when nothing came."""
    assert board.read_log(LEASE, 0, 20) == b""


def test_what_is_told_is_read_from_where_the_reader_was(board: Board) -> None:
    """By id, on several topics at once; a reader that wants only new ones begins at the last."""
    board.publish("head", b"1")
    first = board.last_event_id(topic=LIVE_TOPIC)
    board.publish("book", b"2")
    board.beat(PROVIDER, FIRST)
    board.beat(PROVIDER, FIRST)

    told = board.follow({LIVE_TOPIC: "0", BEATS_TOPIC: "0"}, 0)
    assert [(entry.topic, entry.name, entry.content) for entry in told] == [
        (LIVE_TOPIC, "head", b"1"),
        (LIVE_TOPIC, "book", b"2"),
        (BEATS_TOPIC, "heartbeat", f'{{"provider":"{PROVIDER}","at":{FIRST}}}'.encode()),
    ]
    assert [entry.content for entry in board.follow({LIVE_TOPIC: first}, 0)] == [b"2"]
    assert board.follow({LIVE_TOPIC: board.last_event_id(topic=LIVE_TOPIC)}, 0) == []
    assert board.read_events("0") == []
    assert board.last_event_id() == "0"


def test_who_follows_is_woken(board: Board) -> None:
    """By the next word, not by the end of its patience."""
    thread = later(lambda: board.publish("head", b"1"))

    assert [entry.content for entry in board.follow({LIVE_TOPIC: "0"}, LONG_MS)] == [b"1"]
    thread.join()


@pytest.mark.parametrize("after", ["", "$", "x", "-1", "1-2-3", "9" * 40, "1 2"])
def test_an_event_id_that_is_none_is_refused(board: Board, after: str) -> None:
    """It comes from strangers (Last-Event-ID)."""
    with pytest.raises(InvalidField):
        board.read_events(after)
    with pytest.raises(InvalidField):
        board.follow({LIVE_TOPIC: after}, 0)


def test_a_nudge_wakes_every_waiter(redis_server: RedisHandle, board: Board) -> None:
    """Indexer and scheduler both wait for orders: one nudge is for both."""
    waiters = [Board(redis_server.url), Board(redis_server.url)]
    woken: list[bool] = []
    threads = [later(partial(_note_nudge, waiter, woken)) for waiter in waiters]

    board.nudge("orders")
    for thread in threads:
        thread.join()

    assert woken == [True, True]
    for waiter in waiters:
        waiter.close()


def _note_nudge(waiter: Board, woken: list[bool]) -> None:
    woken.append(waiter.wait_nudge("orders", timeout_seconds=20))


def test_a_nudge_between_two_waits_is_not_lost(board: Board) -> None:
    """What came while the step ran is heard at the next wait, once."""
    board.nudge("orders")
    assert board.wait_nudge("orders", "chain", timeout_seconds=0.01)
    assert not board.wait_nudge("orders", "chain", timeout_seconds=0.01)

    board.nudge("chain")

    assert board.wait_nudge("orders", "chain", timeout_seconds=0.01)
    assert not board.wait_nudge("orders", "chain", timeout_seconds=0.01)


def test_waiting_without_redis_returns(own_redis: RedisHandle) -> None:
    """A hint is a convenience: its loss is not the waiter's failure."""
    board = Board(own_redis.url)
    own_redis.kill()

    assert board.wait_nudge("orders", timeout_seconds=20) is False
    board.close()


def test_heartbeats_are_the_last_ones(board: Board) -> None:
    """Per provider, in block time."""
    board.beat(PROVIDER, FIRST)
    board.beat(PROVIDER, SECOND)
    board.beat(CLIENT, FIRST)

    assert board.heartbeats() == {PROVIDER: SECOND, CLIENT: FIRST}


def test_an_explanation_stands_until_the_next(board: Board) -> None:
    """A round explains the orders that it looked at; what it says of others stays."""
    first = Explanation(word(1), block(5), None, {RejectionReason.NO_OFFERS: 1}, "there are none")
    other = Explanation(word(2), block(5), None, {RejectionReason.OUTBID: 2})
    placed = Explanation(word(1), block(6), OfferId(3), {})
    board.explain([first, other])

    board.explain([placed])
    board.explain([])

    assert board.explanation(word(1)) == placed
    assert board.explanation(word(2)) == other
    assert board.explanation(word(3)) is None
