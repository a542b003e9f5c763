"""Rows survive the board unchanged, and equal rows are equal text."""

from __future__ import annotations

from dataclasses import replace

from marketplace.domain.book import RefusedFill
from marketplace.domain.ids import OfferId
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.refusals import Refusal
from marketplace.domain.reputation import Outcome, Reputation, Standing, Tally
from marketplace.domain.spec import Constraints, Group, JobSpec, Resources
from marketplace.domain.units import UnixTime
from marketplace.store import board_rows
from tests.unit.store.rows import MACHINE, PROVIDER, block, book_order, lease, offer, signed, word
from tests.works import WORK


def test_a_block_survives() -> None:
    """Number, hash and time."""
    assert board_rows.block_in(board_rows.block_text(block(7)).encode()) == block(7)


def test_an_offer_survives() -> None:
    """With a price at the very end of its width."""
    assert board_rows.offer_in(board_rows.offer_text(offer()).encode()) == offer()


def test_a_lease_survives() -> None:
    """Live, over, and cancelled before anybody saw its order."""
    for record in (
        lease(signed(), LeaseStatus.OPEN),
        lease(signed(), LeaseStatus.CLOSED, exit="LeaseSettled", result=word(4)),
        replace(lease(signed(), LeaseStatus.CLOSED), order=None),
    ):
        assert board_rows.lease_in(board_rows.lease_text(record).encode()) == record


def test_an_order_on_the_book_survives() -> None:
    """With everything that a spec may say."""
    spec = JobSpec(
        work=WORK,
        resources=Resources(gpus=2, vram_mib=5, egress_mib=7),
        constraints=Constraints(("eu",), 5, (PROVIDER,), (PROVIDER,)),
        network="egress",
        egress=("a.example:443",),
        session=SessionTerms(60),
        checkpoint="/job/checkpoint",
        group=Group("ab" * 32, 2, 1),
        public=True,
    )
    entry = replace(book_order(), spec=spec)

    assert board_rows.book_order_in(board_rows.book_order_text(entry).encode()) == entry


def test_an_order_of_a_delegate_survives() -> None:
    """Who signed is part of the row."""
    entry = replace(book_order(), delegate=PROVIDER)

    assert board_rows.book_order_in(board_rows.book_order_text(entry).encode()) == entry


def test_a_standing_survives() -> None:
    """Weights beyond what a double can hold."""
    tallies = {Outcome.SETTLED: Tally(3, 2**80 + 1), Outcome.EXPIRED: Tally(1, 5)}
    standing = Standing(Reputation(UnixTime(7), tallies, 2**70), {0: 2**80 + 1, 63: 4})

    assert board_rows.standing_in(board_rows.standing_text(standing).encode()) == standing


def test_a_machine_survives() -> None:
    """Declared stays declared."""
    assert board_rows.machine_in(board_rows.machine_text(MACHINE).encode()) == MACHINE


def test_a_refused_fill_survives() -> None:
    """Its order and offer are in the row's name."""
    fill = RefusedFill(OfferId(12), Refusal.NotEnoughGpus, 99)
    name = board_rows.refused_field(word(3), fill.offer)

    assert board_rows.refused_in(name.encode(), board_rows.refused_text(fill).encode()) == (word(3), fill)


def test_a_reader_reads_equal_texts_once_and_another_reader_has_its_own() -> None:
    """So rows that stay are the same objects for all who read from one board, and nothing is kept when that is gone."""
    text, reader = board_rows.offer_text(offer()).encode(), board_rows.RowReader()
    one, again, elsewhere = reader.offer(text), reader.offer(bytes(bytearray(text))), board_rows.RowReader().offer(text)

    assert one is again
    assert (elsewhere == one, elsewhere is one) == (True, False)
