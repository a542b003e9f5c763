"""Which plan the next round goes on from."""

from __future__ import annotations

from marketplace.domain.ids import Sha256
from scheduler.engine.clear import clear
from scheduler.engine.plan import Plan
from scheduler.lineage import Lineage
from tests.unit.engine.markets import a_snapshot, an_offer, an_order


def _planned(lineage: Lineage, order: str, *, price: int = 1) -> Plan:
    """The plan of a round that goes on as it should, about to be posted; without fills if the offer asks too much."""
    plan = clear(a_snapshot([an_order(order)], [an_offer(price=price)], former=lineage.former))
    lineage.note_planned(plan)
    return plan


def _name(lineage: Lineage) -> Sha256 | None:
    return lineage.former.plan if lineage.former else None


def test_a_round_goes_on_from_the_last_plan_of_which_something_was_mined() -> None:
    """The first one begins from nothing; so does whoever comes after a plan that never was on the chain."""
    lineage = Lineage()
    first = _planned(lineage, "first")
    before = _name(lineage)
    lineage.note_mined(first)
    after_first = _name(lineage)
    _planned(lineage, "never mined")

    assert (before, after_first, _name(lineage)) == (None, first.sha256, None)


def test_a_plan_without_fills_is_passed_over() -> None:
    """It is not posted, and has no seats to go on from."""
    lineage = Lineage()
    first = _planned(lineage, "first")
    lineage.note_mined(first)
    idle = _planned(lineage, "second", price=2**70)

    assert idle.fills == ()
    assert _name(lineage) == first.sha256


def test_one_round_in_so_many_begins_from_nothing() -> None:
    """However many batches each has."""
    lineage, began = Lineage(most_rounds=3), list[bool]()
    for number in range(7):
        plan = _planned(lineage, str(number))
        began.append(plan.source.former is None)
        lineage.note_mined(plan)
        lineage.note_mined(plan)

    assert began == [True, False, False, True, False, False, True]


def test_a_plan_that_was_not_mined_breaks_the_line() -> None:
    """The round after it begins from nothing, and the count with it."""
    lineage, began = Lineage(most_rounds=3), list[bool]()
    for number in range(5):
        plan = _planned(lineage, str(number))
        began.append(plan.source.former is None)
        if number != 1:
            lineage.note_mined(plan)

    assert began == [True, False, True, False, False]
