"""One database, opened the way a journal needs it: durable at commit, short transactions, many processes on one file.

When a write returns, it survives a kill and a power cut: SQLite runs in WAL with ``synchronous=FULL``, a session of
PostgreSQL with ``synchronous_commit``, whatever that server's default is. Writers queue at once (BEGIN IMMEDIATE; a lock of
the transaction), so that none reads what another one is changing; a reader sees one moment.
"""

from __future__ import annotations

import fcntl
import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Table, bindparam, create_engine, event, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from marketplace.domain.errors import ConfigError, Conflict, InvalidTransition, StoreUnavailable
from marketplace.domain.units import UnixTime
from marketplace.file_locks import file_turn
from marketplace.private_files import OWNERS_FOLDER, owners_database, owners_only
from marketplace.store.journal.rows import JournalEvent
from marketplace.store.journal.schema import COUNTERS, EVENTS, METADATA, MOVES, MOVES_BY_KIND, ORDER_CHANGES

BUSY_SECONDS = 30
"""How long a writer waits for the other processes' transactions; each of them is a few milliseconds."""

LOG_PAGES = 4_000
"""Of 4 KiB: so long grows SQLite's log before what it says is copied to its place, page by page, by the writer who makes it too long. Most
pages change many times until then, and are copied once."""

CACHED_PAGES = 4_000
"""In memory, for each connection: the leaves of all indexes of a hundred thousand orders."""

WRITERS_LOCK = 0x426F7572
"""Any constant: the key of the advisory lock that PostgreSQL's writers queue at, whoever creates the tables among them."""


class Database:
    """Transactions on one journal. Threads may share it; processes open their own."""

    def __init__(self, url: str, tables: Sequence[Table]) -> None:
        """Open the database, creating it and what is missing of ``tables``. Raises StoreUnavailable, ConfigError."""
        self._engine = _engine(url)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        self._writer = self._engine.execution_options(begin="BEGIN IMMEDIATE")
        # A transaction of SQLite reads one moment anyhow; a writer of PostgreSQL must see what those before it in the queue wrote.
        self._reader = (
            self._engine if self._is_sqlite else self._engine.execution_options(isolation_level="REPEATABLE READ")
        )
        # SQLite has one writer at a time and no queue for it: the threads of a process queue here, which is cheaper.
        self._turn = threading.Lock() if self._is_sqlite else nullcontext()
        self._own_turn = threading.Lock()
        self._set_up(tables)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view. Raises StoreUnavailable."""
        with _translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """All or nothing; durable when the block ends. Raises StoreUnavailable, Conflict (another one came first)."""
        with _translated(), self._turn, self._writer.begin() as connection:
            self._queue(connection)
            yield connection

    def write_probe(self) -> None:
        """Commit a write that changes nothing, all the way to the disk. Raises StoreUnavailable."""
        with self.write() as connection:
            connection.execute(update(COUNTERS).where(COUNTERS.c.name == ORDER_CHANGES).values(value=COUNTERS.c.value))

    @property
    def kind(self) -> str:
        """``sqlite``, ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Held by one process at a time, and let go of when it dies. Raises Conflict after ``BUSY_SECONDS``.

        Longer than a transaction, and none: whoever has it asks nodes and writes in between. Not reentrant.
        """
        if self._is_sqlite:
            path = self._engine.url.database
            gate = Path(f"{path}.{name}.turn") if path and path != ":memory:" else None
            with file_turn(gate, self._own_turn, name, seconds=BUSY_SECONDS):
                yield
            return
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            try:
                connection.execute(text(f"SET lock_timeout = '{BUSY_SECONDS}s'"))
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            except SQLAlchemyError as exc:
                connection.invalidate()
                raise Conflict("turn", name) from exc
            try:
                yield
            finally:
                # Closing the session lets go of the lock, whatever state the connection is in.
                connection.invalidate()

    def close(self) -> None:
        self._engine.dispose()

    def _queue(self, writing: Connection) -> None:
        """One writer at a time, as SQLite has it: what is proved of the one holds of the other."""
        if not self._is_sqlite:
            writing.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITERS_LOCK})

    def _set_up(self, tables: Sequence[Table]) -> None:
        with _translated(), self._one_at_a_time():
            if self._is_sqlite:
                with self._engine.execution_options(begin=None).connect() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # cannot be said inside a transaction
            with self._writer.begin() as connection:
                self._queue(connection)
                METADATA.create_all(connection, tables=list(tables))
                for index in (index for table in tables for index in table.indexes):
                    index.create(connection, checkfirst=True)  # of a table that is older than it
                _seed(connection)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """A new file turns to WAL under an exclusive lock for which SQLite does not wait: processes queue on a file."""
        path = self._engine.url.database
        if not self._is_sqlite or not path or path == ":memory:":
            yield
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=OWNERS_FOLDER)
        with open(f"{path}.setup", "w", opener=owners_only) as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            owners_database(Path(path))
            yield


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        engine = create_engine(parsed, pool_pre_ping=not parsed.drivername.startswith("sqlite"))
    except (SQLAlchemyError, ImportError) as exc:
        raise ConfigError([f"the journal's URL cannot be used: {exc}"]) from exc
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver would begin transactions by its own rules; ``_begin_sqlite`` does
    connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
    connection.execute(f"PRAGMA cache_size={CACHED_PAGES}")
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_postgresql(connection: Any, _: object) -> None:
    """Who is stopped inside a transaction loses it: nobody waits for it longer than for anybody else."""
    for setting, value in (
        ("synchronous_commit", "on"),
        ("lock_timeout", f"{BUSY_SECONDS}s"),
        ("idle_in_transaction_session_timeout", f"{BUSY_SECONDS}s"),
    ):
        connection.execute(f"SET SESSION {setting} = '{value}'")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    begin = connection.get_execution_options().get("begin", "BEGIN")
    if begin:
        connection.exec_driver_sql(begin)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as exc:
        raise Conflict("journal", str(exc.orig)) from exc
    except (OSError, SQLAlchemyError) as exc:
        raise StoreUnavailable("journal") from exc


def _seed(connection: Connection) -> None:
    if connection.execute(select(COUNTERS.c.value).where(COUNTERS.c.name == ORDER_CHANGES)).first() is None:
        connection.execute(insert(COUNTERS).values(name=ORDER_CHANGES, value=0))
    known = {tuple(row) for row in connection.execute(select(MOVES.c.kind, MOVES.c.from_state, MOVES.c.to_state))}
    allowed = [
        {"kind": kind, "from_state": start, "to_state": end}
        for kind, moves in MOVES_BY_KIND.items()
        for start, ends in moves.items()
        for end in sorted(ends)
    ]
    missing = [move for move in allowed if tuple(move.values()) not in known]
    if missing:
        connection.execute(insert(MOVES), missing)


def next_number(connection: Connection, name: str) -> int:
    """The next number of the sequence ``name``, in commit order; for use inside ``write`` only."""
    return next_numbers(connection, name, 1)[0]


_ADVANCED = (
    update(COUNTERS)
    .where(COUNTERS.c.name == bindparam("counter"))
    .values(value=COUNTERS.c.value + bindparam("count"))
    .returning(COUNTERS.c.value)
)


def next_numbers(connection: Connection, name: str, count: int) -> range:
    """The next so many of them."""
    last = int(connection.execute(_ADVANCED, {"counter": name, "count": count}).scalar_one())
    return range(last - count + 1, last + 1)


def record_move(
    connection: Connection,
    kind: str,
    subject: str,
    from_state: str,
    to_state: str,
    *,
    at: UnixTime | None = None,
    note: str = "",
) -> None:
    """Write the event of a transition. Raises InvalidTransition where the database knows no such move."""
    try:
        connection.execute(
            insert(EVENTS).values(
                kind=kind, subject=subject, from_state=from_state, to_state=to_state, at=at, note=note
            )
        )  # fmt: skip
    except IntegrityError as exc:
        raise InvalidTransition(kind, subject, from_state or "nothing", to_state) from exc


class Bulk:
    """Rows of one table that are written many at a time. Their statement is put into words once: for a few rows that takes longer than to write them."""

    def __init__(self, table: Table, *names: str) -> None:
        """``names``: the columns that a row has, in the table's order. What it has in them goes to the driver as it is: JSON as text."""
        self._table, self._names = table, names
        self._words = dict[str, str]()
        """By the kind of database."""

    def insert(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write the rows; there is at least one."""
        dialect, names = connection.dialect, self._names
        if dialect.name not in self._words:
            self._words[dialect.name] = str(insert(self._table).compile(dialect=dialect, column_keys=list(names)))
        words = self._words[dialect.name]
        if dialect.positional:
            connection.exec_driver_sql(words, list(rows))
        else:
            connection.exec_driver_sql(words, [dict(zip(names, row, strict=True)) for row in rows])


class Move(NamedTuple):
    """A transition of one thing."""

    subject: str
    start: str
    end: str
    at: UnixTime | None = None
    note: str = ""


_MOVED = Bulk(EVENTS, "kind", "subject", "from_state", "to_state", "at", "note")


def record_moves(connection: Connection, kind: str, moves: Sequence[Move]) -> None:
    """The same for many things of one kind."""
    if not moves:
        return
    try:
        _MOVED.insert(connection, [(kind, str(m.subject), str(m.start), str(m.end), m.at, m.note) for m in moves])
    except IntegrityError as exc:
        raise InvalidTransition(kind, moves[0].subject, moves[0].start or "nothing", moves[0].end) from exc


def history_of(connection: Connection, kind: str, subject: str) -> list[JournalEvent]:
    """All transitions of one thing, oldest first."""
    rows = connection.execute(
        select(EVENTS).where(EVENTS.c.kind == kind, EVENTS.c.subject == subject).order_by(EVENTS.c.sequence)
    )
    return [JournalEvent(row.sequence, row.subject, row.from_state, row.to_state, row.at, row.note) for row in rows]
