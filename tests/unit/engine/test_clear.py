"""Who gets what when not everybody can: priority, gangs, money, and the limits of a batch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.domain.book import RejectionReason
from marketplace.domain.fills import Fill
from marketplace.domain.ids import OfferId
from marketplace.domain.spec import Constraints, Resources
from marketplace.domain.units import TokenUnits
from scheduler.engine.clear import clear
from tests.unit.engine.markets import DOLLAR, NOW, OPENER, PEOPLE, SPEC, a_record, a_snapshot, an_offer, an_order

R = RejectionReason


def test_the_highest_limit_comes_first() -> None:
    """One GPU, two orders: the one that values it more, though it came later."""
    early, keen = an_order("early", accepted_at=NOW - 9), an_order("keen", accepted_at=NOW - 1, max_price=3 * DOLLAR)
    plan = clear(a_snapshot([early, keen], [an_offer(free=1)]))

    assert [fill.signed.id for fill in plan.fills] == [keen.id]
    assert dict(plan.rejections[0].reasons) == {R.OUTBID: 1}


def test_of_equal_limits_the_smaller_id_comes_first() -> None:
    """Whichever gateway they came to, and whenever: being early at one of them is worth nothing."""
    orders = [an_order(f"{n}", accepted_at=NOW - n) for n in range(4)]
    plan = clear(a_snapshot(orders, [an_offer(free=2)]))

    assert [fill.signed.id for fill in plan.fills] == sorted(order.id for order in orders)[:2]


def test_an_order_goes_to_the_cheapest_offer_and_pays_its_ask() -> None:
    """Whatever it would have paid (I-4)."""
    offers = [an_offer(1, price=DOLLAR + 1), an_offer(2, price=DOLLAR), an_offer(3, price=DOLLAR + 2)]
    plan = clear(a_snapshot([an_order(max_price=9 * DOLLAR)], offers))

    assert [(fill.offer, fill.price) for fill in plan.fills] == [(2, DOLLAR)]


def test_of_equal_asks_the_fuller_machine_is_filled_up() -> None:
    """So that the empty one stays whole for a gang."""
    small, gang = an_order("small", max_price=3 * DOLLAR), an_order("gang", gpus=4)
    plan = clear(a_snapshot([small, gang], [an_offer(1, free=4), an_offer(2, free=1)]))

    assert {fill.signed.id: fill.offer for fill in plan.fills} == {small.id: 2, gang.id: 1}


def test_a_gang_is_never_split() -> None:
    """All GPUs of an order are on one machine, or none are."""
    plan = clear(a_snapshot([an_order(gpus=4)], [an_offer(1, free=3), an_offer(2, free=3)]))

    assert dict(plan.rejections[0].reasons) == {R.NOT_ENOUGH_GPUS: 2}


def test_several_orders_of_one_client_share_its_balance() -> None:
    """2.50 dollars open two hours at a dollar, not three."""
    orders = [an_order(str(n)) for n in range(3)]
    accounts = {PEOPLE[-1]: TokenUnits(5 * DOLLAR // 2), PEOPLE[0]: TokenUnits(DOLLAR)}
    plan = clear(a_snapshot(orders, [an_offer()], accounts=accounts))

    assert len(plan.fills) == 2
    assert dict(plan.rejections[0].reasons) == {R.CLIENT_BALANCE_TOO_LOW: 1}


def test_several_bonds_of_one_provider_share_its_balance() -> None:
    """Also over several offers: 0.25 dollars cover two bonds of 0.10."""
    orders = [an_order(str(n)) for n in range(3)]
    accounts = {PEOPLE[-1]: TokenUnits(9 * DOLLAR), PEOPLE[0]: TokenUnits(DOLLAR // 4)}
    plan = clear(a_snapshot(orders, [an_offer(1, free=2), an_offer(2, free=2)], accounts=accounts))

    assert len(plan.fills) == 2
    assert set(plan.rejections[0].reasons) == {R.OUTBID, R.PROVIDER_BALANCE_TOO_LOW}


@pytest.mark.parametrize(("units", "fills"), [(DOLLAR + DOLLAR // 10, 1), (DOLLAR + DOLLAR // 10 - 1, 0)])
def test_a_provider_that_is_its_own_client_pays_for_both_roles(units: int, fills: int) -> None:
    """P-07: lock and bond come out of one balance."""
    plan = clear(a_snapshot([an_order(client=PEOPLE[0])], [an_offer()], accounts={PEOPLE[0]: TokenUnits(units)}))

    assert len(plan.fills) == fills


@pytest.mark.parametrize(("units", "fills"), [(DOLLAR + 7, 1), (DOLLAR + 6, 0)])
def test_the_tip_must_be_covered_too(units: int, fills: int) -> None:
    """At the first opening (P-24)."""
    accounts = {PEOPLE[-1]: TokenUnits(units), PEOPLE[0]: TokenUnits(DOLLAR)}
    order = an_order(tip=TokenUnits(7), opener=OPENER)

    assert len(clear(a_snapshot([order], [an_offer()], accounts=accounts)).fills) == fills


def test_a_tip_is_paid_once() -> None:
    """An order that was opened and declined owes none at its second opening (P-24)."""
    order = an_order(tip=TokenUnits(DOLLAR), opener=OPENER)
    record = a_record(order, provider=PEOPLE[1], exit_event="LeaseDeclined", opened_at=NOW, tip_paid=True)
    accounts = {PEOPLE[-1]: TokenUnits(DOLLAR), PEOPLE[0]: TokenUnits(DOLLAR)}

    assert len(clear(a_snapshot([order], [an_offer()], accounts=accounts, leases={order.id: record})).fills) == 1


def test_what_we_posted_a_moment_ago_counts_as_done() -> None:
    """The view lags: the order is not opened twice, its GPUs and its money are not given to another."""
    posted, other = an_order("posted", gpus=3), an_order("other", gpus=2, client=PEOPLE[4])
    plan = clear(a_snapshot([posted, other], [an_offer()], posted=(Fill(posted.signed, OfferId(1), DOLLAR),)))

    reasons = {why.order: dict(why.reasons) for why in plan.rejections}
    assert reasons == {posted.id: {R.ORDER_LIVE: 1}, other.id: {R.NOT_ENOUGH_GPUS: 1}}
    assert {why.order: why.placed_on for why in plan.rejections} == {posted.id: 1, other.id: None}


def test_orders_that_ask_for_the_same_thing_are_judged_alike_and_others_are_not() -> None:
    """Judging by shape must not mix up specs."""
    picky = replace(SPEC, constraints=Constraints(exclude_providers=PEOPLE[:1]))
    hungry = replace(SPEC, resources=Resources(cpus=33))
    orders = [an_order("a"), an_order("b", spec=picky), an_order("c", spec=hungry), an_order("d")]
    plan = clear(a_snapshot(orders, [an_offer()]))

    assert {fill.signed.id for fill in plan.fills} == {orders[0].id, orders[3].id}


def test_the_round_hash_tells_plans_apart() -> None:
    """Another block, another balance or another price is another round."""
    market = a_snapshot([an_order()], [an_offer()])
    poorer = replace(market, view=replace(market.view, accounts={PEOPLE[-1]: TokenUnits(DOLLAR)}))
    dearer = replace(market, view=replace(market.view, offers=(an_offer(price=DOLLAR + 1),)))
    hashes = {clear(one).round for one in (market, poorer, dearer, replace(market, opener=PEOPLE[3]))}

    assert len(hashes) == 4


def test_a_snapshot_does_not_give_signatures_away() -> None:
    """Whoever has a signature may open the order at the worst price that was signed (P-22)."""
    order = an_order()
    secret = replace(order, signed=replace(order.signed, signature="0x" + "5c" * 65))

    assert b"5c5c5c" not in a_snapshot([secret], [an_offer()]).canonical()
    assert b"5c5c5c" not in clear(a_snapshot([secret], [an_offer()])).canonical()


@pytest.mark.parametrize(("third", "price"), [(False, 6 * DOLLAR // 5), (True, 3 * DOLLAR // 2)])
def test_the_example_of_the_documentation(third: bool, price: int) -> None:
    """docs/explanation/clearing.md: a pair of GPUs makes a single one move to the dearer machine; who is left out makes the price."""
    pair, single = an_offer(1, free=2), an_offer(2, free=1, price=6 * DOLLAR // 5)
    a, b = an_order("A", max_price=3 * DOLLAR), an_order("B", gpus=2, max_price=5 * DOLLAR // 2)
    c = an_order("C", max_price=3 * DOLLAR // 2)
    plan = clear(a_snapshot([a, b, c] if third else [a, b], [pair, single]))

    found = {fill.signed.id: (fill.offer, fill.price) for fill in plan.fills}
    assert found == {b.id: (1, price), a.id: (2, price)}
