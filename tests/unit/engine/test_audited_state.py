"""The state that a snapshot tells, held against the chain's events, where no market on a chain says it shorter."""

from __future__ import annotations

from dataclasses import replace

from marketplace.domain.fills import Fill
from marketplace.domain.ids import OfferId
from marketplace.domain.ledger import Rows
from marketplace.domain.units import PricePerGpuHour
from scheduler.audit.findings import LETTERS_SHOWN, Check, Verdict
from scheduler.audit.history import History
from scheduler.audit.state import check_state
from tests.unit.engine.markets import BLOCK, DOLLAR, TERMS, a_record, a_snapshot, an_offer, an_order
from tests.unit.engine.opened import read_back


def test_the_lease_of_a_fill_that_is_remembered_is_the_chains() -> None:
    """Its order has left the book, and its row stands in the snapshot all the same: one that never was is a lie."""
    order = an_order("posted")
    remembered = a_snapshot(
        [an_order()], [an_offer()], posted=(Fill(order.signed, OfferId(1), PricePerGpuHour(DOLLAR)),)
    )
    false = replace(remembered, view=replace(remembered.view, leases={order.id: a_record(order, tip_paid=True)}))
    verdicts = [
        finding.verdict
        for one in (remembered, false)
        for finding in check_state(read_back(one), History(BLOCK.number, TERMS.bond_floor))
        if finding.check is Check.LEASES
    ]

    assert verdicts == [Verdict.OK, Verdict.FAILED]


def test_what_a_snapshot_says_does_not_fill_the_screen() -> None:
    """The words of a finding repeat the false row as far as one reads: a megabyte of it would push the verdicts out of sight."""
    order = an_order()
    told = a_snapshot([order], [an_offer()], leases={order.id: a_record(order, exit_event="x" * (1 << 20))})
    history = History(BLOCK.number, TERMS.bond_floor, rows=Rows(leases={order.id: a_record(order)}))
    (leases,) = (one for one in check_state(read_back(told), history) if one.check is Check.LEASES)

    assert leases.verdict is Verdict.FAILED
    assert leases.words[0].endswith("x…")
    assert len(leases.words[0]) <= LETTERS_SHOWN + 1
