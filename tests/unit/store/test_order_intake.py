"""Many new orders in one transaction: each is taken or left as if it had come alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from marketplace.domain.ids import Address, Sha256, sha256_of
from marketplace.domain.units import UnixTime
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.journal.rows import NewOrder, RememberedAnswer
from tests.unit.store.rows import CLIENT, OPENER, SPEC, signed

NOW = UnixTime(1_700_000_000)
INPUT = sha256_of(b"an input")
STRANGER = Address("0x" + "57" * 20)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[OperatorJournal]:
    """A journal to which the client brought a spec and an input."""
    opened = OperatorJournal(f"sqlite:///{tmp_path}/operator.sqlite")
    for blob in (SPEC.sha256, INPUT):
        opened.uploads.note(blob, CLIENT, 10, UnixTime(NOW - 100))
    yield opened
    opened.close()


def entry(
    salt: int, *, blobs: tuple[Sha256, ...] = (SPEC.sha256, INPUT), key: str | None = None, **changed: Any
) -> NewOrder:
    one = signed(salt, **changed)
    answer = RememberedAnswer(f"{salt:064x}", 201, b"taken")
    return NewOrder(one, SPEC.canonical(), NOW, frozenset(blobs), frozenset({one.order.client}), key, answer)


def test_what_is_taken_is_kept_whole(journal: OperatorJournal) -> None:
    """In the order in which it came: the order, its history, what it uses, what its request was answered; and its spec is public."""
    entries = [entry(1, key="one"), entry(2)]

    assert journal.intake.take(entries) == [True, True]

    rows = journal.orders_since(0)
    assert [row.signed for row in rows] == [one.signed for one in entries]
    assert [(row.spec, row.accepted_at, row.sequence) for row in rows] == [(SPEC.canonical(), NOW, n) for n in (1, 2)]
    for row in rows:
        assert [move.to_state for move in journal.history_of_order(row.id)] == ["accepted"]
        assert row.id in journal.uploads.uses_of(INPUT)
    assert journal.recall("one", CLIENT) == entries[0].answer
    assert journal.uploads.is_public(SPEC.sha256)
    assert not journal.uploads.is_public(INPUT)
    assert journal.uploads.due(UnixTime(NOW + 86_400 - 1)) == [INPUT]  # the spec was looked at later


def test_what_is_known_is_left_alone(journal: OperatorJournal) -> None:
    """An order that is in the journal, one that is twice in the batch, and a key that its account used before."""
    journal.add_order(signed(1), b"as it was", NOW)
    journal.remember("used", CLIENT, "f" * 64, 201, b"another", NOW)

    taken = journal.intake.take(
        [entry(1), entry(2), entry(2), entry(3, key="used"), entry(4, key="new"), entry(5, key="new")]
    )

    assert taken == [False, True, False, False, True, False]
    assert {row.id for row in journal.all_orders()} == {signed(n).id for n in (1, 2, 4)}
    assert [row.spec for row in journal.all_orders() if row.id == signed(1).id] == [b"as it was"]
    assert [move.to_state for move in journal.history_of_order(signed(2).id)] == ["accepted"]


def test_nobody_stands_on_what_others_brought(journal: OperatorJournal) -> None:
    """A stranger who knows a file's name does not have it; what is public everybody has, but a spec is published by who brought it."""
    theirs = entry(1, client=STRANGER)
    assert journal.intake.take([theirs]) == [False]

    journal.uploads.note(INPUT, OPENER, 10, NOW, is_public=True)
    assert journal.intake.take([theirs]) == [False]
    assert not journal.uploads.is_public(SPEC.sha256)

    journal.uploads.note(SPEC.sha256, OPENER, 10, NOW, is_public=True)
    assert journal.intake.take([theirs]) == [True]


def test_what_an_order_was_taken_with_is_not_swept_away_under_it(journal: OperatorJournal) -> None:
    """A sweeper that looked before the order came, and asked the chain meanwhile, leaves the order its files; once it is over they go."""
    later = UnixTime(NOW + 2 * 86_400)
    assert set(journal.uploads.due(later)) == {SPEC.sha256, INPUT}
    assert journal.intake.take([entry(1)]) == [True]

    assert not journal.uploads.forget(INPUT, later)
    assert signed(1).id in journal.uploads.uses_of(INPUT)
    journal.uploads.close(signed(1).id, later)
    assert journal.uploads.forget(INPUT, later)


def test_a_journal_from_before_uses_had_numbers_is_as_good(tmp_path: Path) -> None:
    """What refers to a blob stood there under the two names themselves: it is found, added to and closed as ever."""
    path = tmp_path / "operator.sqlite"
    with closing(sqlite3.connect(path)) as older, older:
        older.execute("CREATE TABLE uses (blob TEXT, subject TEXT, closed_at BIGINT, PRIMARY KEY (blob, subject))")
        older.execute("INSERT INTO uses VALUES (?, ?, NULL)", (INPUT, signed(1).id))
    with closing(OperatorJournal(f"sqlite:///{path}")) as journal:
        for blob in (SPEC.sha256, INPUT):
            journal.uploads.note(blob, CLIENT, 10, NOW)
        assert journal.intake.take([entry(2)]) == [True]
        journal.uploads.use([INPUT], signed(2).id)
        journal.uploads.close(signed(1).id, UnixTime(NOW + 1))

        assert journal.uploads.uses_of(INPUT) == {signed(1).id: NOW + 1, signed(2).id: None}
