"""The operator's journal on PostgreSQL: what SQLite's promises, whatever the processes and the server do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from types import FunctionType

import pytest
from sqlalchemy import create_engine, func, inspect, select, text

from marketplace.domain.errors import Conflict, StoreUnavailable
from marketplace.domain.units import UnixTime
from marketplace.store.journal import engine
from marketplace.store.journal.engine import Database, record_move
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.journal.schema import EVENTS, ORDERS
from tests.integration.store.postgresql import PostgresqlServer
from tests.integration.store.test_journal_processes import writer
from tests.unit.store import test_operator_journal as promises
from tests.unit.store import test_outbox as outboxes
from tests.unit.store.rows import CLIENT, signed, word

NEEDS_A_FILE = {
    "test_a_journal_opened_again_has_what_it_had",
    "test_the_tables_are_also_postgresqls",
    "test_a_journal_that_cannot_be_opened_says_so",
}
SAME_PROMISES = [one for name, one in vars(promises).items() if name.startswith("test_") and name not in NEEDS_A_FILE]
OUTBOX_PROMISES = [
    one
    for name, one in vars(outboxes).items()
    if name.startswith("test_") and "outbox" in one.__code__.co_varnames[: one.__code__.co_argcount]
]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    running = PostgresqlServer()
    yield running
    running.remove()


@pytest.fixture
def journal(server: PostgresqlServer) -> Iterator[OperatorJournal]:
    """Of an empty database."""
    OperatorJournal(server.url).close()
    emptied = create_engine(server.url)
    with emptied.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(inspect(connection).get_table_names())} RESTART IDENTITY"))
    emptied.dispose()
    opened = OperatorJournal(server.url)
    yield opened
    opened.close()


@pytest.mark.parametrize("promise", SAME_PROMISES, ids=lambda one: one.__name__.removeprefix("test_"))
def test_it_promises_what_sqlites_does(
    promise: FunctionType, journal: OperatorJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each promise of the journal on SQLite, asked of this one."""
    wanted = promise.__code__.co_varnames[: promise.__code__.co_argcount]
    promise(
        **{name: given for name, given in {"journal": journal, "monkeypatch": monkeypatch}.items() if name in wanted}
    )


@pytest.mark.parametrize("promise", OUTBOX_PROMISES, ids=lambda one: one.__name__.removeprefix("test_"))
def test_its_outbox_promises_what_sqlites_does(promise: FunctionType, journal: OperatorJournal) -> None:
    """Each promise of the outbox on SQLite, asked of this one."""
    promise(outbox=journal.outbox)


def test_processes_that_start_at_once_share_it(server: PostgresqlServer, journal: OperatorJournal) -> None:
    """Three of them write to it: none fails, all rows are there, changes are numbered without a gap."""
    writers = [writer(server.url, 1000 * part, 15) for part in range(3)]

    outputs = [one.communicate()[0] for one in writers]

    assert [one.returncode for one in writers] == [0] * 3
    assert [len(output.split()) for output in outputs] == [15] * 3
    assert [row.changed for row in journal.orders_since(0)] == list(range(1, 46))


def test_a_reader_sees_one_moment(server: PostgresqlServer, journal: OperatorJournal) -> None:
    """What is committed between two of its questions is in none of the answers."""
    reading, count = Database(server.url, []), select(func.count()).select_from(ORDERS)
    with reading.read() as connection:
        assert connection.execute(count).scalar_one() == 0
        journal.add_order(signed(1), b"{}", UnixTime(1))
        assert connection.execute(count).scalar_one() == 0
    with reading.read() as connection:
        assert connection.execute(count).scalar_one() == 1
    reading.close()


def test_a_writer_reads_what_those_before_it_in_the_queue_wrote(
    server: PostgresqlServer, journal: OperatorJournal
) -> None:
    """Two that write at once do so one after the other: the second finds what the first has kept."""
    first, second, count = Database(server.url, []), Database(server.url, []), select(func.count()).select_from(EVENTS)

    def looked() -> int:
        with second.write() as connection:
            return int(connection.execute(count).scalar_one())

    with ThreadPoolExecutor(1) as pool:
        with first.write() as connection:
            waiting = pool.submit(looked)
            until_waiting(server)
            record_move(connection, "order", word(1), "", "accepted")
        assert waiting.result(60) == 1
    first.close()
    second.close()


def until_waiting(server: PostgresqlServer) -> None:
    """Until somebody waits for an advisory lock."""
    asked = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    watching, deadline, waiting = create_engine(server.url), monotonic() + 60, threading.Event()
    with watching.connect() as connection:
        while connection.execute(asked).scalar_one() == 0:
            assert monotonic() < deadline
            waiting.wait(0.02)
    watching.dispose()


def test_a_server_that_dies_loses_nothing_that_was_acknowledged(
    server: PostgresqlServer, journal: OperatorJournal
) -> None:
    """While it is away the journal is unavailable, and says so; afterwards the same journal goes on with all that it had."""
    victim = writer(server.url, 0, 100_000)
    assert victim.stdout is not None
    with victim.stdout as lines:
        acknowledged = [int(next(lines)) for _ in range(5)]
        server.kill()
        acknowledged += [int(line) for line in lines if line.endswith(b"\n")]
    assert victim.wait() != 0

    with pytest.raises(StoreUnavailable):
        journal.order(signed(0).id)
    with pytest.raises(StoreUnavailable):
        journal.add_order(signed(200_000), b"{}", UnixTime(1))
    server.start()

    waiting = {row.tx_hash for row in journal.outbox.unsettled(CLIENT, 1 << 62)}
    for salt in acknowledged:
        row = journal.order(signed(salt).id)
        assert row is not None
        assert len(journal.receipts(row.id)) == 1
        assert word(salt) in waiting
    assert journal.add_order(signed(200_000), b"{}", UnixTime(1))


def test_a_turn_is_one_process_at_a_time_and_ends_with_it(
    server: PostgresqlServer, journal: OperatorJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits is told after a while; a turn whose connection is gone is free."""
    monkeypatch.setattr(engine, "BUSY_SECONDS", 1)
    first, second = Database(server.url, []), Database(server.url, [])
    other = create_engine(server.url)
    with first.turn("key"), second.turn("another key"):
        with pytest.raises(Conflict), second.turn("key"):
            pass
        with other.begin() as connection:
            connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"))
        with second.turn("key"):
            pass
    for one in (first, second):
        one.close()
    other.dispose()


def test_a_writer_that_stands_still_is_not_waited_for_long(
    server: PostgresqlServer, journal: OperatorJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process stopped inside its transaction loses it: others write on, and it is told when it goes on."""
    monkeypatch.setattr(engine, "BUSY_SECONDS", 1)
    stopped = Database(server.url, [])
    monkeypatch.undo()
    other = OperatorJournal(server.url)

    def stand_still() -> None:
        with stopped.write() as connection:
            assert other.add_order(signed(1), b"{}", UnixTime(1))
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable):
        stand_still()
    assert other.order(signed(1).id) is not None
    for one in (stopped, other):
        one.close()
