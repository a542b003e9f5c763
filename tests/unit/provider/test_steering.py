"""What an agent is told while it runs: by its file, by signals and by commands; and how long each counts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import ConfigError
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.units import PricePerGpuHour, UnixTime
from marketplace.provider.inventory_file import InventoryFile
from marketplace.provider.reporter import Reporter
from marketplace.provider.steering import Graces, Steering
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.wishes import AgentReport, AgentStanding, AskedPrice, Wishes

ARBITER = "0x" + "ab" * 20
TEXT = f"""
region = "eu"
cpus = 8
memory_mib = 65536
disk_mib = 100000
[[offer]]
gpu = "RTX4090"
count = 2
price = "0.36"
bond_bps = 1000
arbiter = "{ARBITER}"
days = 30
"""


class Signals:
    """Signals that a test sends."""

    def __init__(self) -> None:
        self.is_asked = self.has_hangup = False
        self.left = ""

    def take_hangup(self) -> bool:
        had, self.has_hangup = self.has_hangup, False
        return had

    def leave(self, reason: str = "") -> None:
        self.left = reason


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[AgentJournal]:
    opened = AgentJournal(f"sqlite:///{tmp_path}/agent.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path: Path) -> InventoryFile:
    (tmp_path / "inventory.toml").write_text(TEXT)
    return InventoryFile(tmp_path / "inventory.toml", decimals=6)


def test_a_changed_file_is_in_force_when_it_has_come_to_rest(file: InventoryFile) -> None:
    """The look that sees another file reads nothing: half of it may be written. The next one does."""
    file.path.write_text(TEXT.replace("0.36", "0.40"))

    assert not file.look()
    assert file.inventory.offers[0].price == 360_000
    assert file.look()
    assert file.inventory.offers[0].price == 400_000
    assert not file.look()


def test_a_broken_file_changes_nothing_and_is_named(file: InventoryFile) -> None:
    """The inventory before stays in force; the problem names file, field and rule, and is gone when the file is right."""
    before = file.inventory
    file.path.write_text(TEXT.replace("count = 2", "count = 0"))

    assert not file.look(is_asked=True)
    assert file.inventory == before
    assert "inventory.toml" in file.problem
    assert "offer[0].count" in file.problem
    file.path.unlink()
    assert not file.look(is_asked=True)
    assert "cannot be read" in file.problem
    file.path.write_text(TEXT)
    assert not file.look(is_asked=True)
    assert file.problem == ""


def test_an_agent_does_not_start_with_a_broken_file(tmp_path: Path) -> None:
    """Only a running agent has something to keep."""
    (tmp_path / "inventory.toml").write_text("cpus = ")

    with pytest.raises(ConfigError):
        InventoryFile(tmp_path / "inventory.toml", decimals=6)


def test_a_hangup_reads_the_file_at_once(journal: AgentJournal, file: InventoryFile) -> None:
    """Also where its size and time are as before."""
    signals = Signals()
    steering = Steering(journal.desk, file.inventory, file=file, leaving=signals)
    steering.look()
    looked = file.path.stat()
    file.path.write_text(TEXT.replace("0.36", "0.40"))
    os.utime(file.path, ns=(looked.st_atime_ns, looked.st_mtime_ns))

    assert not steering.look()
    signals.has_hangup = True
    assert steering.has_news
    assert steering.look()
    assert steering.wanted.inventory.offers[0].price == 400_000
    assert not steering.has_news


def test_a_pause_outlives_the_agent_and_a_resume_ends_it(journal: AgentJournal, file: InventoryFile) -> None:
    """The wish is in the journal: another agent on it is as paused as the first; nobody is asked to leave."""
    journal.desk.stand(AgentStanding.PAUSED)
    for _ in range(2):
        steering = Steering(journal.desk, file.inventory)
        assert steering.look()
        assert not steering.wanted.is_open
        assert not steering.is_leaving
    journal.desk.stand(AgentStanding.OPEN)

    assert steering.look()
    assert steering.wanted.is_open


def test_a_drained_agent_ends_and_stays_paused(journal: AgentJournal, file: InventoryFile) -> None:
    """Whatever starts it again, it takes no leases until somebody says so."""
    signals = Signals()
    steering = Steering(journal.desk, file.inventory, leaving=signals)
    journal.desk.stand(AgentStanding.DRAINING)
    steering.look()

    assert steering.is_leaving
    assert not steering.must_hand_back
    steering.leave()
    assert signals.left
    assert journal.desk.wishes().standing is AgentStanding.PAUSED


def test_a_signal_gives_jobs_a_grace_and_then_their_outputs_another(journal: AgentJournal, file: InventoryFile) -> None:
    """Before it nothing is on offer any more; a signal is no wish: the next agent is open."""
    now, signals = [0.0], Signals()
    graces = Graces(grace_seconds=60, hand_back_seconds=30)
    steering = Steering(journal.desk, file.inventory, leaving=signals, graces=graces, elapsed=lambda: now[0])
    steering.look()
    now[0], signals.is_asked = 1_000, True
    assert steering.look()

    seen = []
    for passed in (0, 59, 60, 89, 90):
        now[0] = 1_000 + passed
        seen.append((steering.is_leaving, steering.wanted.is_open, steering.must_hand_back, steering.is_overdue))
    assert seen == [
        (True, False, False, False),
        (True, False, False, False),
        (True, False, True, False),
        (True, False, True, False),
        (True, False, True, True),
    ]
    assert journal.desk.wishes().standing is AgentStanding.OPEN


def test_wishes_are_numbered_and_kept(journal: AgentJournal) -> None:
    """Each changes one thing, and whoever waits knows by its number when it is heeded."""
    asked = AskedPrice(PricePerGpuHour(5), PricePerGpuHour(4))
    journal.desk.ask(OfferId(7), asked)
    journal.desk.stand(AgentStanding.PAUSED)

    assert journal.desk.wishes() == Wishes(2, AgentStanding.PAUSED, {OfferId(7): asked})
    assert journal.desk.ask(OfferId(7), None) == Wishes(3, AgentStanding.PAUSED, {})


def test_a_report_is_read_as_it_was_told(journal: AgentJournal) -> None:
    """The last one counts."""
    assert journal.desk.report() is None
    for number in (1, 2):
        told = AgentReport(
            pid=number, heeded=number, standing=AgentStanding.OPEN, is_leaving=False, block_number=9, block_time=UnixTime(10),
            inventory="/x", inventory_problem="", declared={OfferId(1): PricePerGpuHour(3)},
        )  # fmt: skip
        journal.desk.save_report(told)

    assert journal.desk.report() == told


def test_nobody_else_reads_a_journal(tmp_path: Path) -> None:
    """The database, its log and its locks are 0600, its folder is 0700, whatever the umask; one that was readable is closed."""
    (tmp_path / "old.sqlite").touch(mode=0o644)
    before = os.umask(0o022)
    try:
        for name in ("home/agent.sqlite", "old.sqlite"):
            journal = AgentJournal(f"sqlite:///{tmp_path}/{name}")
            journal.desk.stand(AgentStanding.PAUSED)
            with journal.outbox.turn("0xabc"):  # type: ignore[arg-type]
                pass
            modes = {
                path.name: oct(path.stat().st_mode & 0o777)
                for path in (tmp_path / name).parent.iterdir()
                if path.is_file()
            }
            journal.close()
            assert set(modes.values()) == {"0o600"}, modes
    finally:
        os.umask(before)

    assert oct((tmp_path / "home").stat().st_mode & 0o777) == "0o700"


def test_a_report_says_why_there_are_no_offers(journal: AgentJournal, file: InventoryFile) -> None:
    """Where the agent has withdrawn them although its operator wants them; and no longer than that."""
    reporter = Reporter(journal.desk, Steering(journal.desk, file.inventory, file=file), Address("0x" + "11" * 20))
    block = BlockRef(1, Bytes32("0x" + "00" * 32), UnixTime(10))
    told = []
    for trouble in ("no coin for gas", None):
        reporter.tell(block, trouble)
        report = journal.desk.report()
        told.append(report.trouble if report else "none")

    assert told == ["no coin for gas", ""]
