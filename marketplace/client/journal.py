"""The client's own journal: orders are written down before they leave, signatures before they are handed out.

SQLite in WAL mode, one file per account and market; nothing here is authority over money, but without it a client that
restarts would not know what it has promised. Changes of a job are compare-and-set on its version: two processes that
watch the same jobs cannot both retry one.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from marketplace.client import choices, instalments, lease_events, witnesses
from marketplace.client.choices import Choices
from marketplace.client.instalments import Instalments
from marketplace.client.journal_rows import (
    POSTED,
    REFUSED,
    KeptJob,
    KeptOrder,
    KeptReceipt,
    NewJob,
    Reorder,
    history_text,
    order_of_row,
    receipt_of_row,
)
from marketplace.client.lease_events import LeaseEvent, LeaseEvents
from marketplace.client.terms import JobTerms, terms_text
from marketplace.client.witnesses import Witnesses
from marketplace.domain.blocks import BlockRef
from marketplace.domain.declines import one_line
from marketplace.domain.errors import Conflict, NotFound, StoreUnavailable
from marketplace.domain.ids import Address, Bytes32, Sha256
from marketplace.domain.orders import SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.spec import Group
from marketplace.domain.states import JobEvent, JobReason, JobState, TrackedJob, taken_back
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import order_to_wire, receipt_to_wire
from marketplace.sqlite_files import opened, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, spec TEXT NOT NULL, history TEXT NOT NULL,
  excluded TEXT NOT NULL, terms TEXT NOT NULL, version INTEGER NOT NULL, number INTEGER NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS nodes (
  job TEXT PRIMARY KEY REFERENCES jobs(id), group_id TEXT NOT NULL, size INTEGER NOT NULL, rank INTEGER NOT NULL,
  broken TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE IF NOT EXISTS orders (
  id TEXT PRIMARY KEY, job TEXT NOT NULL REFERENCES jobs(id), attempt INTEGER NOT NULL, document TEXT NOT NULL,
  signature TEXT NOT NULL, spec BLOB NOT NULL, work BLOB NOT NULL, signed_at INTEGER NOT NULL, is_posted INTEGER NOT NULL DEFAULT 0,
  note TEXT NOT NULL DEFAULT '', explanation TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS orders_of_job ON orders (job, attempt);
CREATE TABLE IF NOT EXISTS receipts (
  lease TEXT NOT NULL, opened_at INTEGER NOT NULL, document TEXT NOT NULL, signature TEXT NOT NULL,
  result BLOB NOT NULL, signed_at INTEGER NOT NULL, is_posted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (lease, opened_at)
) STRICT;
CREATE TABLE IF NOT EXISTS job_keys (job TEXT PRIMARY KEY REFERENCES jobs(id), secret TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS secret_sources (
  job TEXT PRIMARY KEY REFERENCES jobs(id), salt TEXT NOT NULL, files TEXT NOT NULL
) STRICT;
"""

_ORDERS = "SELECT * FROM orders LEFT JOIN given_up ON lease = id"


class _FileLock:
    """The connection's lock, reentrant; what SQLite and the disk say while it is held is the book's typed error."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._lock.release()
        if isinstance(error, (OSError, sqlite3.Error)):
            raise StoreUnavailable("client journal") from error


class JobJournal:
    """The journal in one file. Safe for several threads and several processes."""

    def __init__(self, path: Path) -> None:
        """Open, creating what is missing. This and every method raise StoreUnavailable where the file cannot be read or written."""
        self.path = path
        self._lock = _FileLock()
        with self._lock:
            self._db = opened(
                path, _SCHEMA + lease_events.SCHEMA + choices.SCHEMA + witnesses.SCHEMA + instalments.SCHEMA
            )
            self._db.row_factory = sqlite3.Row
        self.past = LeaseEvents(self._db, self._lock, self._transaction)
        """What the chain did, up to which block."""
        self.choices = Choices(self._db, self._lock, self._transaction)
        """Which orders were given up, and whose result was taken."""
        self.instalments = Instalments(self._db, self._lock, self._transaction)
        """What we signed for leases that go on."""
        self.witnesses = Witnesses(self._db, self._lock, self._transaction)
        """Since when silent providers would have been heard."""

    def close(self) -> None:
        self._db.close()

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def add_jobs(self, new: Iterable[NewJob], at: UnixTime) -> list[KeptJob]:
        """Write new jobs and their first orders down, all or none; raise Conflict when one is there already."""
        with self._transaction():
            return [self._add_job(one, at) for one in new]

    def change_job(
        self,
        kept: KeptJob,
        job: TrackedJob,
        order: Reorder | None = None,
        *,
        gives_up: bool = False,
    ) -> KeptJob:
        """Replace a job by what it became, with the order of a retry if any; raise Conflict after a lost race.

        ``gives_up``: the retry is for the silence of the provider whose lease the job was about.
        """
        with self._transaction():
            self._replace_job(kept, job)
            if order is not None:
                if gives_up:
                    self.choices.mark_given_up(kept.job.order, order.at)
                self.choices.release(job.id)
                self._add_order(job.id, len(job.orders), order.signed, order.spec, order.work, order.at)
        return replace(kept, job=job, version=kept.version + 1)

    def job(self, identifier: Bytes32) -> KeptJob:
        """The job with this id; raise NotFound."""
        found = self._kept_jobs("WHERE id = ?", identifier)
        if not found:
            raise NotFound("job", identifier)
        return found[0]

    def jobs(self) -> list[KeptJob]:
        """All jobs, oldest first."""
        return self._kept_jobs("ORDER BY number")

    def nodes(self) -> list[KeptJob]:
        """The jobs that belong to groups, oldest first."""
        return self._kept_jobs("WHERE group_id IS NOT NULL ORDER BY number")

    def group(self, identifier: str) -> list[KeptJob]:
        """The jobs of a group, by rank; raise NotFound."""
        found = self._kept_jobs("WHERE group_id = ? ORDER BY rank", identifier)
        if not found:
            raise NotFound("group", identifier)
        return found

    def break_group(self, identifier: str, why: str) -> None:
        """Say why the group cannot succeed any more. The first word stays: what follows from it is no other reason."""
        self._write("UPDATE nodes SET broken = ? WHERE group_id = ? AND broken = ''", (why, identifier))

    def job_named(self, text: str) -> KeptJob:
        """The job that people mean by its number, its id or one of its orders, or their beginning; raise NotFound."""
        wanted = text.strip().lower()
        if wanted.isascii() and wanted.isdecimal():
            found = [kept for kept in self.jobs() if str(kept.number) == wanted.lstrip("0")]
        else:
            digits = wanted.removeprefix("0x")
            starts = [kept for kept in self.jobs() if any(order[2:].startswith(digits) for order in kept.job.orders)]
            found = starts if len(digits) >= 4 else []
        if len(found) != 1:
            raise NotFound("job" if not found else f"single job (there are {len(found)})", text)
        return found[0]

    def job_key(self, identifier: Bytes32) -> str | None:
        """The secret key of a sealed job; None: it is not sealed."""
        with self._lock:
            row = self._db.execute("SELECT secret FROM job_keys WHERE job = ?", (identifier,)).fetchone()
        return None if row is None else str(row[0])

    def secret_sources(self, identifier: Bytes32) -> tuple[str, dict[str, str]]:
        """The salt of a job's secrets, and the files that some were read from; raise NotFound where it has none."""
        with self._lock:
            row = self._db.execute("SELECT salt, files FROM secret_sources WHERE job = ?", (identifier,)).fetchone()
        if row is None:
            raise NotFound("secrets", identifier)
        return str(row["salt"]), dict(json.loads(row["files"]))

    # -- orders -------------------------------------------------------------------------------------------------------

    def orders(self, job: Bytes32) -> list[KeptOrder]:
        """The orders of a job, in the order of the attempts."""
        with self._lock:
            rows = self._db.execute(f"{_ORDERS} WHERE job = ? ORDER BY attempt", (job,)).fetchall()
        return [order_of_row(row) for row in rows]

    def order(self, identifier: Bytes32) -> KeptOrder:
        """One order; raise NotFound."""
        with self._lock:
            row = self._db.execute(f"{_ORDERS} WHERE id = ?", (identifier,)).fetchone()
        if row is None:
            raise NotFound("order", identifier)
        return order_of_row(row)

    def mark_posted(self, order: Bytes32) -> None:
        """A gateway has the order."""
        self._write("UPDATE orders SET is_posted = ?, note = '' WHERE id = ?", (POSTED, order))

    def mark_refused(self, order: Bytes32, why: str) -> None:
        """Gateways have seen the order and will not have it: it is not posted again, and watched until it can be opened no more."""
        self._write("UPDATE orders SET is_posted = ?, note = ? WHERE id = ?", (REFUSED, one_line(why), order))

    def note(self, order: Bytes32, text: str) -> None:
        """Say why the order stands still, in one line: others' words are in it."""
        line = one_line(text)
        self._write("UPDATE orders SET note = ? WHERE id = ? AND note <> ?", (line, order, line))

    def keep_explanation(self, order: Bytes32, document: str) -> None:
        """Remember what the scheduler said: once the order has expired it only says that."""
        with self._lock:
            if self.order(order).explanation != document:
                self._write("UPDATE orders SET explanation = ? WHERE id = ?", (document, order))

    # -- receipts -----------------------------------------------------------------------------------------------------

    def add_receipt(self, job: Bytes32, receipt: Receipt, signature: str, result: bytes, at: UnixTime) -> None:
        """Write our signature down before it is handed out: its result is the job's. One for each serving, and one result for each job:
        another raises Conflict.

        The signature is empty where the chain settled without ours; the receipt then says what it settled.
        """
        document = json.dumps(receipt_to_wire(receipt), sort_keys=True)
        with self._transaction():
            self.choices.mark_taken(job, receipt.lease)
            self._db.execute(
                "INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
                (receipt.lease, receipt.opened_at, document, signature, result, at),
            )
            kept = self.receipt(receipt.lease, receipt.opened_at)
            if kept is None or kept.receipt != receipt:
                raise Conflict("receipt", receipt.lease)

    def receipt(self, lease: Bytes32, opened_at: UnixTime) -> KeptReceipt | None:
        """What we signed for this serving."""
        with self._lock:
            row = self._db.execute(
                "SELECT * FROM receipts WHERE lease = ? AND opened_at = ?", (lease, opened_at)
            ).fetchone()
        return None if row is None else receipt_of_row(row)

    def last_receipt(self, lease: Bytes32) -> KeptReceipt | None:
        """What we signed for the lease's latest serving that we signed for.

        One whose opening a reorganisation took back stays signed, and is not what became of the lease: others go before it.
        """
        with self._lock:
            row = self._db.execute(
                "SELECT receipts.* FROM receipts WHERE lease = ? ORDER BY EXISTS (SELECT 1 FROM moves WHERE moves.lease = receipts.lease"
                " AND moves.name = 'LeaseOpened' AND moves.at = receipts.opened_at) DESC, opened_at DESC LIMIT 1",
                (lease,),
            ).fetchone()
        return None if row is None else receipt_of_row(row)

    def mark_receipt_posted(self, lease: Bytes32, opened_at: UnixTime) -> None:
        """The gateway has our signature."""
        self._write("UPDATE receipts SET is_posted = 1 WHERE lease = ? AND opened_at = ?", (lease, opened_at))

    # -- what the chain did -------------------------------------------------------------------------------------------

    def moves(self, lease: Bytes32) -> list[LeaseEvent]:
        """What the chain did about this lease, in its order."""
        return self.past.of(lease)

    def undo(self, seen: BlockRef | None, to: BlockRef | None) -> bool:
        """Take back all that was read after the block ``to`` (None: everything): the moves, and what jobs became by them.

        False where another process has gone on from ``seen`` meanwhile.
        """
        with self._transaction():
            if self.past.cursor() != seen:
                return False
            standing = self.past.first_block() - 1 if to is None else to.number
            self.past.drop_after(standing)
            for kept in self.jobs():
                gone = self.past.drop_changes(kept.job.id, standing)
                before = taken_back(kept.job, gone, kept.job.history[-1].at if to is None else to.timestamp)
                if before is not kept.job:
                    self._replace_job(kept, before)
        return True

    def knows_order(self, identifier: Bytes32) -> bool:
        with self._lock:
            return self._db.execute("SELECT 1 FROM orders WHERE id = ?", (identifier,)).fetchone() is not None

    # -- sqlite -------------------------------------------------------------------------------------------------------

    def _transaction(self) -> AbstractContextManager[None]:
        return transaction(self._db, self._lock)

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        with self._transaction():
            self._db.execute(statement, values)

    def _one(self, statement: str) -> Any:
        return self._db.execute(statement).fetchone()

    def _replace_job(self, kept: KeptJob, job: TrackedJob) -> None:
        changed = self._db.execute(
            "UPDATE jobs SET state = ?, spec = ?, history = ?, excluded = ?, version = version + 1"
            " WHERE id = ? AND version = ?",
            (job.state, job.spec, history_text(job), json.dumps(job.excluded), job.id, kept.version),
        )
        if changed.rowcount != 1:
            raise Conflict("job", job.id)
        self.past.note_change(job.id, len(job.history) - 1)

    def _add_job(self, new: NewJob, at: UnixTime) -> KeptJob:
        job, group = new.job, new.group
        number = int(self._one("SELECT coalesce(max(number), 0) + 1 FROM jobs")[0])
        row = (
            job.id, job.name, job.state, job.spec, history_text(job), json.dumps(job.excluded), terms_text(new.terms), number,
        )  # fmt: skip
        try:
            self._db.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)", row)
        except sqlite3.IntegrityError:
            raise Conflict("job", job.id) from None
        if group is not None:
            self._db.execute("INSERT INTO nodes VALUES (?, ?, ?, ?, '')", (job.id, group.id, group.size, group.rank))
        if new.key is not None:
            self._db.execute("INSERT INTO job_keys VALUES (?, ?)", (job.id, new.key))
        if new.sources is not None:
            files = json.dumps(dict(new.sources.files))
            self._db.execute("INSERT INTO secret_sources VALUES (?, ?, ?)", (job.id, new.sources.salt, files))
        self._add_order(job.id, 1, new.signed, new.spec, new.work, at)
        return KeptJob(job, new.terms, 1, number, group)

    def _add_order(self, job: Bytes32, attempt: int, signed: SignedOrder, spec: bytes, work: bytes, at: UnixTime) -> None:  # fmt: skip
        document = json.dumps(order_to_wire(signed.order), sort_keys=True)
        self._db.execute(
            "INSERT INTO orders (id, job, attempt, document, signature, spec, work, signed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (signed.id, job, attempt, document, signed.signature, spec, work, at),
        )

    def _kept_jobs(self, which: str, *values: object) -> list[KeptJob]:
        with self._lock:
            rows = self._db.execute(
                f"SELECT * FROM jobs LEFT JOIN nodes ON job = id LEFT JOIN taken ON of_job = id {which}", values
            ).fetchall()
            return [self._kept_job(row) for row in rows]

    def _kept_job(self, row: sqlite3.Row) -> KeptJob:
        with self._lock:
            orders = self._db.execute("SELECT id FROM orders WHERE job = ? ORDER BY attempt", (row["id"],)).fetchall()
        history = tuple(
            JobEvent(JobState(s), UnixTime(at), JobReason(r), note) for s, at, r, note in json.loads(row["history"])
        )
        job = TrackedJob(
            id=Bytes32(row["id"]), name=row["name"], state=JobState(row["state"]), spec=Sha256(row["spec"]),
            history=history, orders=tuple(Bytes32(found["id"]) for found in orders),
            excluded=tuple(Address(who) for who in json.loads(row["excluded"])),
            taken=Bytes32(row["taken"]) if row["taken"] else None,
        )  # fmt: skip
        group = Group(row["group_id"], row["size"], row["rank"]) if row["group_id"] else None
        return KeptJob(
            job, JobTerms(*json.loads(row["terms"])), row["version"], row["number"], group, row["broken"] or ""
        )
