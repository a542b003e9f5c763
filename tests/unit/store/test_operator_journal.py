"""What the operator's journal promises, whatever database it stands on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from marketplace.domain.errors import ConfigError, IdempotencyMismatch, NotFound, StoreUnavailable
from marketplace.domain.results import EndedReason
from marketplace.domain.rounds import RoundSums
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.journal.schema import METADATA
from tests.unit.store.rows import CLIENT, PROVIDER, SPEC, receipt, signed, word

NOW = UnixTime(1_700_000_000)
LATER = UnixTime(1_700_000_060)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[OperatorJournal]:
    opened = OperatorJournal(f"sqlite:///{tmp_path}/folder/operator.sqlite")
    yield opened
    opened.close()


def test_an_order_is_kept_as_it_was_signed(journal: OperatorJournal) -> None:
    """What comes back is what was signed, to the last bit of the widest field."""
    kept = signed(salt=2**256 - 1, classes=2**256 - 1)

    assert journal.add_order(kept, SPEC.canonical(), NOW)

    row = journal.order(kept.id)
    assert row is not None
    assert row.signed == kept
    assert row.spec == SPEC.canonical()
    assert (row.accepted_at, row.withdrawn_at) == (NOW, None)


def test_an_order_is_accepted_once(journal: OperatorJournal) -> None:
    """The second time changes nothing and says so."""
    journal.add_order(signed(), SPEC.canonical(), NOW)

    assert journal.add_order(signed(), b"another spec", LATER) is False

    row = journal.order(signed().id)
    assert row is not None
    assert (row.spec, row.accepted_at) == (SPEC.canonical(), NOW)
    assert [event.to_state for event in journal.history_of_order(signed().id)] == ["accepted"]


def test_an_unknown_order_is_none(journal: OperatorJournal) -> None:
    """Nothing was accepted, nothing is there."""
    assert journal.order(word(1)) is None


def test_a_clients_orders_come_in_pages_newest_first(journal: OperatorJournal) -> None:
    """The last row's sequence is the cursor of the next page; other clients' orders are on none."""
    mine = [signed(salt) for salt in range(5)]
    for one in mine:
        journal.add_order(one, b"{}", NOW)
    journal.add_order(signed(9, client=PROVIDER), b"{}", NOW)

    first = journal.orders_of(CLIENT, limit=3)
    second = journal.orders_of(CLIENT, after=first[-1].sequence, limit=3)

    assert [row.id for row in (*first, *second)] == [one.id for one in reversed(mine)]


def test_whoever_remembers_the_last_change_misses_nothing(journal: OperatorJournal) -> None:
    """Acceptances and withdrawals come in the order of their commits, each order once, in its newest form."""
    first, second = signed(1), signed(2)
    journal.add_order(first, b"{}", NOW)
    journal.add_order(second, b"{}", NOW)
    seen = journal.orders_since(0)

    journal.withdraw_order(first.id, LATER)
    news = journal.orders_since(seen[-1].changed)

    assert [row.id for row in seen] == [first.id, second.id]
    assert [(row.id, row.withdrawn_at) for row in news] == [(first.id, LATER)]
    assert [row.id for row in journal.orders_since(0)] == [second.id, first.id]
    assert journal.orders_since(news[-1].changed) == []


def test_all_orders_are_walked_in_pages(journal: OperatorJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk over more than one page meets every order once, also what is added under way."""
    monkeypatch.setattr("marketplace.store.journal.operator.PAGE", 2)
    for salt in range(5):
        journal.add_order(signed(salt), b"{}", NOW)
    walk = journal.all_orders()
    met = [next(walk).id]

    journal.add_order(signed(5), b"{}", NOW)
    met += [row.id for row in walk]

    assert met == [signed(salt).id for salt in range(6)]


def test_an_order_is_withdrawn_once_and_for_good(journal: OperatorJournal) -> None:
    """Withdrawn stays withdrawn, even when it is sent again; both steps are in its history."""
    journal.add_order(signed(), b"{}", NOW)

    assert journal.withdraw_order(signed().id, LATER) is True
    assert journal.withdraw_order(signed().id, LATER) is False
    assert journal.add_order(signed(), b"{}", LATER) is False

    row = journal.order(signed().id)
    assert row is not None
    assert row.withdrawn_at == LATER
    moves = [(event.from_state, event.to_state, event.at) for event in journal.history_of_order(signed().id)]
    assert moves == [("", "accepted", NOW), ("accepted", "withdrawn", LATER)]


def test_only_an_accepted_order_can_be_withdrawn(journal: OperatorJournal) -> None:
    """There is nothing to withdraw: NotFound."""
    with pytest.raises(NotFound):
        journal.withdraw_order(word(1), NOW)


def test_the_first_answer_stays(journal: OperatorJournal) -> None:
    """A repeated request finds the answer of the first, per account."""
    assert journal.remember("key", CLIENT, "f" * 64, 201, b"one", NOW) is True
    assert journal.remember("key", CLIENT, "f" * 64, 200, b"two", NOW) is False
    assert journal.remember("key", PROVIDER, "e" * 64, 200, b"three", NOW) is True

    answer = journal.recall("key", CLIENT)
    assert answer is not None
    assert (answer.fingerprint, answer.status, answer.body) == ("f" * 64, 201, b"one")
    assert journal.recall("other", CLIENT) is None


def test_a_key_belongs_to_one_request(journal: OperatorJournal) -> None:
    """The same key with another request is a mistake of the sender's."""
    journal.remember("key", CLIENT, "f" * 64, 201, b"", NOW)

    with pytest.raises(IdempotencyMismatch):
        journal.remember("key", CLIENT, "e" * 64, 201, b"", NOW)


def test_old_answers_can_be_forgotten(journal: OperatorJournal) -> None:
    """Only what is older than the given instant goes."""
    journal.remember("old", CLIENT, "f" * 64, 200, b"", NOW)
    journal.remember("new", CLIENT, "f" * 64, 200, b"", LATER)

    assert journal.forget_answers_before(LATER) == 1
    assert journal.recall("old", CLIENT) is None
    assert journal.recall("new", CLIENT) is not None


def test_receipts_are_kept_with_one_signature_per_side(journal: OperatorJournal) -> None:
    """Both sides' signatures under one receipt are two rows, with why the job ended; a side's second signature is none."""
    one = receipt()

    assert journal.add_receipt(one, "provider", "0xaa", NOW, EndedReason.MEMORY_LIMIT) is True
    assert journal.add_receipt(one, "client", "0xbb", LATER) is True
    assert journal.add_receipt(one, "client", "0xcc", LATER) is False

    rows = journal.receipts(one.lease)
    assert [(row.role, row.receipt, row.signature, row.at, row.ended) for row in rows] == [
        ("provider", one, "0xaa", NOW, EndedReason.MEMORY_LIMIT),
        ("client", one, "0xbb", LATER, None),
    ]


def test_receipts_of_one_serving_can_be_told_from_anothers(journal: OperatorJournal) -> None:
    """A lease that was declined and opened again has receipts of two servings."""
    first, second = receipt(), receipt(opened_at=LATER)
    journal.add_receipt(first, "provider", "0xaa", NOW)
    journal.add_receipt(second, "provider", "0xbb", LATER)

    assert [row.receipt for row in journal.receipts(first.lease, LATER)] == [second]
    assert len(journal.receipts(first.lease)) == 2
    assert journal.receipts(word(1)) == []


def test_a_round_is_found_by_its_hash(journal: OperatorJournal) -> None:
    """The bytes come back as they were published."""
    assert journal.add_round(word(1), b"{}", 7) is True
    assert journal.add_round(word(1), b"{}", 7) is False

    kept = journal.round(word(1))
    assert kept is not None
    assert (kept.hash, kept.content, kept.block_number) == (word(1), b"{}", 7)
    assert journal.round(word(2)) is None


def test_rounds_are_listed_newest_block_first_page_by_page(journal: OperatorJournal) -> None:
    """Several may be of one block; each is on exactly one page."""
    sums = RoundSums(2, 5, TokenUnits(1 << 200), TokenUnits(0))
    for number, block in ((1, 7), (2, 9), (3, 7), (4, 8)):
        journal.add_round(word(number), b"{}" * number, block, sums if number == 4 else None)

    first = journal.rounds(limit=3)
    rest = journal.rounds(after=(first[-1].block_number, first[-1].hash), limit=3)
    assert [(row.hash, row.block_number, row.bytes) for row in first] == [
        (word(2), 9, 4), (word(4), 8, 8), (word(1), 7, 2),
    ]  # fmt: skip
    assert [row.hash for row in rest] == [word(3)]
    assert [row.sums for row in first] == [None, sums, None]
    assert journal.rounds(after=(7, word(3))) == []


def test_a_journal_opened_again_has_what_it_had(tmp_path: Path) -> None:
    """Closing and opening loses nothing; opening twice changes nothing."""
    url = f"sqlite:///{tmp_path}/operator.sqlite"
    first = OperatorJournal(url)
    first.add_order(signed(), b"{}", NOW)
    first.close()

    again, beside = OperatorJournal(url), OperatorJournal(url)
    beside.add_order(signed(2), b"{}", NOW)

    assert [row.id for row in again.all_orders()] == [signed().id, signed(2).id]
    again.close()
    beside.close()


def test_threads_share_one_journal(journal: OperatorJournal) -> None:
    """Many threads at once: every order is there, the changes are numbered without a gap or a double."""

    def write(part: int) -> None:
        for salt in range(20):
            journal.add_order(signed(part * 100 + salt), b"{}", NOW)

    threads = [threading.Thread(target=write, args=(part,)) for part in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [row.changed for row in journal.orders_since(0, limit=1000)] == list(range(1, 121))


def test_the_tables_are_also_postgresqls() -> None:
    """Every table can be made by PostgreSQL as it stands: nothing in it is SQLite's alone."""
    for table in METADATA.sorted_tables:
        text = str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]

        assert text.strip().startswith("CREATE TABLE")


def test_a_journal_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    """A file that is no database, and a folder that is none, are StoreUnavailable; a URL that is none is ConfigError."""
    (tmp_path / "text").write_text("this is not a database, and longer than a header would be" * 20)

    with pytest.raises(StoreUnavailable):
        OperatorJournal(f"sqlite:///{tmp_path}/text")
    with pytest.raises(StoreUnavailable):
        OperatorJournal(f"sqlite:///{tmp_path}/text/below/operator.sqlite")
    with pytest.raises(ConfigError):
        OperatorJournal("nonsense")
