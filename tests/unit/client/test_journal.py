"""The client's journal: what was written down is there after a kill, and two writers cannot both win."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptJob, NewJob, Reorder
from marketplace.client.terms import JobTerms
from marketplace.domain import events as e
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import Conflict, NotFound, StoreUnavailable
from marketplace.domain.ids import ZERO_ADDRESS, ZERO_BYTES32, Address, Bytes32, OfferId, Sha256
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.refusals import Refusal
from marketplace.domain.spec import Group
from marketplace.domain.states import JobEvent, JobReason, JobState, TrackedJob, advance
from marketplace.domain.units import Seconds, UnixTime
from tests.unit.client.happened import happened

TERMS = JobTerms(1, Seconds(600), Seconds(15))
SPEC = Sha256("33" * 32)


def an_id(number: int) -> Bytes32:
    return Bytes32("0x" + f"{number:064x}")


def signed(number: int) -> SignedOrder:
    order = Order(
        ZERO_ADDRESS, 2**255, 0, 1, 600, 0, 2**80 - 1, 0, 0, 1_000, 0, ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS, an_id(9), 2**256 - 1  # type: ignore[arg-type]
    )  # fmt: skip
    return SignedOrder(an_id(number), order, "0x" + "ab" * 65)


def add(book: JobJournal, number: int) -> KeptJob:
    event = JobEvent(JobState.SUBMITTED, UnixTime(5), JobReason.ORDER_ACCEPTED, "note")
    job = TrackedJob(an_id(number), f"job {number}", JobState.SUBMITTED, (an_id(number),), SPEC, (event,))
    (kept,) = book.add_jobs([NewJob(job, TERMS, signed(number), b"{}", b"[]")], UnixTime(5))
    return kept


@pytest.fixture
def book(tmp_path: Path) -> Iterator[JobJournal]:
    book = JobJournal(tmp_path / "jobs.sqlite")
    yield book
    book.close()


def running(kept: KeptJob) -> TrackedJob:
    return advance(kept.job, JobState.RUNNING, at=UnixTime(6), reason=JobReason.LEASE_OPENED)


def test_a_job_comes_back_as_it_went_in(book: JobJournal) -> None:
    """Order, signature, spec, history and terms, with integers of any size."""
    kept = add(book, 7)

    assert book.job(an_id(7)) == kept
    (order,) = book.orders(an_id(7))
    assert order.signed == signed(7)
    assert (order.spec, order.work, order.is_posted, order.attempt) == (b"{}", b"[]", False, 1)


def test_what_is_not_in_the_book_is_told_by_name(book: JobJournal) -> None:
    """A job, its secrets' sources, and a group."""
    for look in (book.job, book.secret_sources):
        with pytest.raises(NotFound, match=an_id(7)):
            look(an_id(7))
    with pytest.raises(NotFound, match="group"):
        book.group("none")


def test_a_refused_fill_is_read_as_it_was_written(book: JobJournal) -> None:
    """With the contract's reason, and under its order's id; another process's step back is not taken twice."""
    add(book, 7)
    refused = e.FillRefused(
        e.LogRef(BlockRef(10, an_id(10), UnixTime(50)), ZERO_BYTES32, 3),
        an_id(7),
        OfferId(2),
        ZERO_ADDRESS,
        Refusal.OverBudget,
    )
    book.past.start_at(10)

    assert book.past.take_in(None, [refused], [refused.ref.block])
    assert book.past.of(an_id(7)) == [refused]
    assert not book.undo(None, None)
    assert book.undo(refused.ref.block, None)
    assert book.past.of(an_id(7)) == []


def test_the_same_job_twice_is_a_conflict(book: JobJournal) -> None:
    """An order's id names one job."""
    add(book, 7)

    with pytest.raises(Conflict):
        add(book, 7)
    assert len(book.jobs()) == 1


def test_a_change_from_an_old_version_is_a_conflict(book: JobJournal, tmp_path: Path) -> None:
    """Compare-and-set, between processes too."""
    kept = add(book, 7)
    other = JobJournal(tmp_path / "jobs.sqlite")
    other.change_job(kept, running(kept))

    with pytest.raises(Conflict):
        book.change_job(kept, running(kept))
    assert len(book.job(an_id(7)).job.history) == 2
    other.close()


def test_a_lost_race_adds_no_order(book: JobJournal) -> None:
    """The retry's order and the job's change are one transaction."""
    kept = add(book, 7)
    book.change_job(kept, running(kept))
    retried = replace(kept.job, orders=(an_id(7), an_id(8)), excluded=(Address("0x" + "a" * 40),))

    with pytest.raises(Conflict):
        book.change_job(kept, retried, Reorder(signed(8), b"{}", b"work", UnixTime(9)))
    assert len(book.orders(an_id(7))) == 1


def test_a_retry_is_kept_with_its_order(book: JobJournal) -> None:
    """The job knows its orders in the order of the attempts, and whom it avoids."""
    kept = book.change_job(add(book, 7), replace(add(book, 6).job, id=an_id(7), excluded=(Address("0x" + "a" * 40),)))
    job = replace(kept.job, orders=(an_id(7), an_id(8)))

    book.change_job(kept, job, Reorder(signed(8), b"{2}", b"work", UnixTime(9)))

    found = book.job(an_id(7)).job
    assert found.orders == (an_id(7), an_id(8))
    assert found.excluded == (Address("0x" + "a" * 40),)
    assert [order.attempt for order in book.orders(an_id(7))] == [1, 2]


def test_one_signature_per_serving(book: JobJournal) -> None:
    """The same receipt may be written twice; another one for the same serving never."""
    receipt = Receipt(an_id(7), OfferId(1), UnixTime(100), Seconds(5), an_id(3), True)
    book.add_receipt(an_id(7), receipt, "0xab", b"{}", UnixTime(110))
    book.add_receipt(an_id(7), receipt, "0xab", b"{}", UnixTime(111))

    with pytest.raises(Conflict):
        book.add_receipt(an_id(7), replace(receipt, used_seconds=Seconds(6)), "0xcd", b"{}", UnixTime(112))
    kept = book.receipt(an_id(7), UnixTime(100))
    assert kept is not None
    assert (kept.receipt, kept.signature, kept.is_posted) == (receipt, "0xab", False)


def test_one_result_per_job(book: JobJournal) -> None:
    """Whichever of a job's leases is signed for first: another one's receipt raises Conflict, and is not written down."""
    first = Receipt(an_id(7), OfferId(1), UnixTime(100), Seconds(5), an_id(3), True)
    book.add_receipt(an_id(5), first, "0xab", b"{}", UnixTime(110))

    with pytest.raises(Conflict):
        book.add_receipt(an_id(5), replace(first, lease=an_id(8)), "0xcd", b"{}", UnixTime(111))

    assert book.receipt(an_id(8), UnixTime(100)) is None


def test_the_receipt_of_an_opening_that_is_gone_goes_behind(book: JobJournal) -> None:
    """A later opening was signed for and left the chain with its block: the one that stands is what became of the lease."""
    gone = Receipt(an_id(7), OfferId(1), UnixTime(52), Seconds(5), an_id(3), True)
    book.add_receipt(an_id(7), gone, "0xab", b"{}", UnixTime(60))
    assert book.last_receipt(an_id(7)) is not None
    stands = replace(gone, opened_at=UnixTime(50))
    book.add_receipt(an_id(7), stands, "0xcd", b"{}", UnixTime(70))
    opened = happened("LeaseOpened", an_id(7), 10, 50, an_id(1))
    book.past.start_at(10)
    book.past.take_in(None, [opened], [BlockRef(10, an_id(10), UnixTime(50))])

    kept = book.last_receipt(an_id(7))

    assert kept is not None
    assert kept.receipt == stands


def test_events_are_kept_once_by_who_saw_the_cursor(book: JobJournal) -> None:
    """Reading the same blocks again changes nothing."""
    add(book, 7)
    order = book.order(an_id(7)).signed.order
    move = happened(
        "LeaseOpened",
        an_id(7),
        10,
        50,
        an_id(1),
        offer=1,
        price=2**80,
        client=order.client,
        opener=order.opener,
        order=order,
    )
    blocks = [BlockRef(number, an_id(number), UnixTime(40 + number)) for number in (10, 11, 12)]
    book.past.start_at(10)
    book.past.start_at(99)

    assert book.past.take_in(None, [move], blocks)
    assert not book.past.take_in(None, [move], blocks[:2])
    assert book.moves(an_id(7)) == [move]
    assert (book.past.cursor(), book.past.next_block()) == (blocks[2], 13)
    assert book.past.trail() == blocks


def test_jobs_are_named_by_number_or_by_the_beginning_of_an_id(book: JobJournal) -> None:
    """What is ambiguous, or too short to mean anything, is not found."""
    add(book, 0x1234 << 240)
    add(book, 0x1235 << 240)

    assert book.job_named("2").job.name == f"job {0x1235 << 240}"
    assert book.job_named("0x1234").number == 1
    for text in ("3", "0x12", "0x123", "abc", ""):
        with pytest.raises(NotFound):
            book.job_named(text)


def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    """A process that is killed right after writing leaves a whole book."""
    program = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from tests.unit.client.test_journal import add; from marketplace.client.journal import JobJournal\n"
        "add(JobJournal(Path(sys.argv[1])), 7); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[3]

    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "jobs.sqlite"), str(root)], check=False, cwd=root
    )

    assert ended.returncode == -signal.SIGKILL
    book = JobJournal(tmp_path / "jobs.sqlite")
    assert [kept.job.id for kept in book.jobs()] == [an_id(7)]
    assert not book.order(an_id(7)).is_posted
    book.close()
    assert os.path.exists(tmp_path / "jobs.sqlite")


def a_group(size: int = 2) -> list[NewJob]:
    event = JobEvent(JobState.SUBMITTED, UnixTime(5), JobReason.ORDER_ACCEPTED)
    return [
        NewJob(
            TrackedJob(an_id(rank + 1), "train", JobState.SUBMITTED, (an_id(rank + 1),), SPEC, (event,)), TERMS, signed(rank + 1), b"{}", b"[]",
            Group("ab" * 32, size, rank),
        )
        for rank in range(size)
    ]  # fmt: skip


def test_the_nodes_of_a_group_are_kept_together(book: JobJournal) -> None:
    """Found again by rank, apart from jobs that stand alone, also by a book that is opened anew."""
    add(book, 9)
    kept = book.add_jobs(a_group(), UnixTime(5))
    again = JobJournal(book.path)

    assert again.group("ab" * 32) == again.nodes() == kept
    assert [node.group.rank for node in kept if node.group] == [0, 1]
    assert len(again.jobs()) == 3
    again.close()
    with pytest.raises(NotFound):
        book.group("cd" * 32)


def test_a_group_is_written_down_whole_or_not_at_all(book: JobJournal) -> None:
    """A node that is there already keeps the others out, too."""
    add(book, 2)

    with pytest.raises(Conflict):
        book.add_jobs(a_group(), UnixTime(5))

    assert [kept.job.id for kept in book.jobs()] == [an_id(2)]


def test_why_a_group_broke_is_said_once(book: JobJournal) -> None:
    """What follows from the first reason is none, and every node knows it."""
    kept = book.add_jobs(a_group(), UnixTime(5))
    book.break_group("ab" * 32, "node 1 of 2 failed")
    book.break_group("ab" * 32, "node 0 of 2 was cancelled")

    assert {node.broken for node in book.group("ab" * 32)} == {"node 1 of 2 failed"}
    assert book.change_job(kept[0], running(kept[0])).group == kept[0].group


def test_what_was_read_again_replaces_what_never_happened(book: JobJournal) -> None:
    """Moves of blocks read again that are not in them are dropped, and those above the cursor; others stay."""
    opened, false, old = (
        happened(name, an_id(7), block, 50, an_id(block))
        for block, name in ((11, "LeaseFinalized"), (12, "LeaseExpired"), (9, "LeaseDeclined"))
    )
    ahead = happened("LeaseExpired", an_id(7), 10**12, 50, an_id(99))
    book.past.start_at(9)
    book.past.take_in(None, [old, false, ahead], [BlockRef(number, an_id(number), UnixTime(40)) for number in (10, 13)])

    assert book.past.mend([opened], 10, 13) == 3
    assert book.moves(an_id(7)) == [old, opened]
    assert book.past.mend([opened], 10, 13) == 0


def test_a_full_disk_is_said_by_its_name_and_harms_nothing(book: JobJournal) -> None:
    """Whatever SQLite rolled back by itself; when there is room again the book goes on."""
    add(book, 7)
    pages = book._one("PRAGMA page_count")[0]
    book._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable):
        book.keep_explanation(an_id(7), "x" * 200_000)
    book._db.execute("PRAGMA max_page_count = 100000")
    add(book, 8)

    assert [kept.job.id for kept in book.jobs()] == [an_id(7), an_id(8)]
    assert book.order(an_id(7)).explanation == ""


def test_a_file_that_is_no_book_is_said_by_its_name(tmp_path: Path) -> None:
    """Garbage, and a folder where the file should be."""
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"garbage" * 1_000)
    for path in (garbage, tmp_path):
        with pytest.raises(StoreUnavailable):
            JobJournal(path)
