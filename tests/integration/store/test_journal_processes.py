"""Several processes on one journal, and processes killed in the middle: nothing that was acknowledged is lost."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.units import UnixTime
from marketplace.store.journal.operator import OperatorJournal
from tests.unit.store.rows import CLIENT, signed, word

ROOT = Path(__file__).parents[3]


def writer(url: str, first: int, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.integration.store.journal_writer", url, str(first), str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def test_processes_that_start_at_once_share_a_new_journal(tmp_path: Path) -> None:
    """Six of them create one file and write to it: none fails, all rows are there, changes are numbered without a gap."""
    url = f"sqlite:///{tmp_path}/new/operator.sqlite"
    writers = [writer(url, 1000 * part, 15) for part in range(6)]

    outputs = [one.communicate()[0] for one in writers]

    assert [one.returncode for one in writers] == [0] * 6
    assert [len(output.split()) for output in outputs] == [15] * 6
    journal = OperatorJournal(url)
    assert [row.changed for row in journal.orders_since(0)] == list(range(1, 91))
    assert {row.id for row in journal.all_orders()} == {
        signed(1000 * part + n).id for part in range(6) for n in range(15)
    }
    journal.close()


@pytest.mark.parametrize("heard", [1, 2, 5, 9, 14, 23])
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, heard: int) -> None:
    """Of two writers one is killed after it has acknowledged some rows: those are all there, the other goes on undisturbed."""
    url = f"sqlite:///{tmp_path}/operator.sqlite"
    other, victim = writer(url, 10_000, 25), writer(url, 0, 100_000)
    assert victim.stdout is not None
    with victim.stdout as lines:
        acknowledged = [int(next(lines)) for _ in range(heard)]
        victim.kill()
        acknowledged += [int(line) for line in lines if line.endswith(b"\n")]
    victim.wait()
    assert len(other.communicate()[0].split()) == 25

    journal = OperatorJournal(url)
    waiting = {row.tx_hash for row in journal.outbox.unsettled(CLIENT, 1 << 62)}
    for salt in (*acknowledged, *range(10_000, 10_025)):
        row = journal.order(signed(salt).id)
        assert row is not None
        assert row.signed == signed(salt)
        assert [event.to_state for event in journal.history_of_order(row.id)] == ["accepted"]
        assert len(journal.receipts(row.id)) == 1
        assert word(salt) in waiting
    journal.close()


def test_a_full_disk_is_an_outage_and_nothing_is_half_written(tmp_path: Path) -> None:
    """Where a commit cannot reach the disk the answer is StoreUnavailable, and the journal is what it was (F24)."""
    url = f"sqlite:///{tmp_path}/operator.sqlite"
    journal = OperatorJournal(url)
    journal.add_order(signed(1), b"{}", UnixTime(1))
    wal = Path(f"{tmp_path}/operator.sqlite-wal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    # A limit on the size of files is what a full disk is to a writer: the write fails in the middle.
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 5000, hard))
    try:
        with pytest.raises(StoreUnavailable):
            journal.add_order(signed(2), b"x" * 100_000, UnixTime(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert journal.order(signed(2).id) is None
    assert journal.add_order(signed(3), b"{}", UnixTime(3)) is True
    assert [row.id for row in journal.all_orders()] == [signed(1).id, signed(3).id]
    journal.close()
