"""Linked orders: all or none, on distinct offers of one provider, and at prices that they can pay; and who would rather be elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.book import BookOrder, RejectionReason
from marketplace.domain.budgets import Budget
from marketplace.domain.ids import ClassNumber, OfferId, bytes32_of
from marketplace.domain.offers import Offer
from marketplace.domain.spec import Constraints, Group, JobSpec
from marketplace.domain.units import TokenUnits, UnixTime
from scheduler.engine.clear import clear
from scheduler.engine.documents.plan import Plan
from scheduler.service import batches_of
from tests.unit.engine.markets import DOLLAR, FAR_MACHINE, NOW, PEOPLE, a_snapshot, an_offer, an_order
from tests.unit.engine.wild import DELEGATES
from tests.works import WORK

R = RejectionReason
FAR = bytes32_of(FAR_MACHINE.sha256)
RATHER_FAR = JobSpec(WORK, constraints=Constraints(prefer_regions=("us",)))


def a_group(size: int = 2, name: str = "ab", **changes: Any) -> list[BookOrder]:
    """Nodes of four GPUs each: a whole machine of these tests."""
    return [
        an_order(f"{name} {rank}", spec=JobSpec(WORK, group=Group(name * 32, size, rank)), **{"gpus": 4} | changes)
        for rank in range(size)
    ]


def _placed(plan: Plan, linked: list[BookOrder]) -> list[Any]:
    return [fill for fill in plan.fills if fill.signed.id in {order.id for order in linked}]


def _reasons(plan: Plan, order: BookOrder) -> dict[RejectionReason, int]:
    return dict(plan.explanation(order.id).reasons)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_group_that_is_not_whole_waits_and_is_told_so(missing: int) -> None:
    """Whichever of its orders has not come yet."""
    linked = a_group(3)
    there = [order for rank, order in enumerate(linked) if rank != missing]
    plan = clear(a_snapshot(there, [an_offer(n) for n in (1, 2, 3)]))

    assert plan.fills == ()
    assert [_reasons(plan, order) for order in there] == [{R.GROUP_INCOMPLETE: 3}] * 2


def test_a_group_of_which_one_order_fits_nowhere_waits() -> None:
    """A sibling that has expired, or wants what nobody has, is as good as missing."""
    fine, expired = a_group(2)[0], a_group(2, expires_at=UnixTime(NOW))[1]
    picky = a_group(2, classes=4)[1]

    for other, reason in ((expired, R.GROUP_INCOMPLETE), (picky, R.GROUP_NOT_TOGETHER)):
        plan = clear(a_snapshot([fine, other], [an_offer(1), an_offer(2)]))
        assert plan.fills == ()
        assert _reasons(plan, fine) == {reason: 2}


def test_a_group_is_on_distinct_offers_of_one_provider() -> None:
    """Two providers with one machine each, or one machine for two, will not do; the cheapest provider that will is taken."""
    linked = a_group(2, gpus=2)
    one_each = [an_offer(1), an_offer(2, provider=PEOPLE[1])]
    dear = [an_offer(n, provider=PEOPLE[2], price=DOLLAR + n) for n in (5, 6)]
    cheaper = [an_offer(n, provider=PEOPLE[3], price=DOLLAR + n) for n in (3, 4)]
    apart, together = clear(a_snapshot(linked, one_each)), clear(a_snapshot(linked, [*one_each, *dear, *cheaper]))

    assert apart.fills == ()
    assert _reasons(apart, linked[0]) == {R.GROUP_NOT_TOGETHER: 2}
    assert {fill.offer for fill in together.fills} == {3, 4}


def test_a_place_is_found_for_each_if_there_is_one() -> None:
    """One order fits both offers, the other is pinned to the one that the first would have taken."""
    linked = a_group(2)
    pinned = a_group(2, offer=OfferId(1))[1]
    plan = clear(a_snapshot([linked[0], pinned], [an_offer(1), an_offer(2, price=DOLLAR + 1)]))

    assert {fill.signed.id: fill.offer for fill in plan.fills} == {linked[0].id: 2, pinned.id: 1}


def test_groups_of_two_clients_with_one_name_are_two_groups() -> None:
    """Half of one and half of the other is no group."""
    mine, theirs = a_group(2), a_group(2, client=PEOPLE[4])
    both = clear(a_snapshot([*mine, *theirs], [an_offer(n) for n in (1, 2, 3, 4)]))
    halves = clear(a_snapshot([mine[0], theirs[1]], [an_offer(1), an_offer(2)]))

    assert len(both.fills) == 4
    assert halves.fills == ()


@pytest.mark.parametrize(("limit", "is_placed"), [(2 * DOLLAR - 1, False), (3 * DOLLAR + 1, True)])
def test_a_group_pushes_nobody_aside_who_would_pay_more(limit: int, is_placed: bool) -> None:
    """Two machines are full of orders at three dollars, at an ask of one: a group has them only above that."""
    singles = [an_order(f"single {n}", client=PEOPLE[4], max_price=3 * DOLLAR) for n in range(8)]
    linked = a_group(2, max_price=limit)
    plan = clear(a_snapshot([*singles, *linked], [an_offer(1), an_offer(2)]))

    assert len(_placed(plan, linked)) == (2 if is_placed else 0)
    assert len(_placed(plan, singles)) == (0 if is_placed else 8)


def test_a_group_that_gave_up_its_places_takes_what_is_left() -> None:
    """It cannot pay for the machines that others want, but there are two more."""
    singles = [an_order(f"single {n}", client=PEOPLE[4], max_price=3 * DOLLAR, classes=1) for n in range(8)]
    linked = a_group(2, max_price=2 * DOLLAR - 1)
    left = [an_offer(n, gpu_class=1, price=3 * DOLLAR // 2) for n in (3, 4)]
    plan = clear(a_snapshot([*singles, *linked], [an_offer(1), an_offer(2), *left]))

    assert {fill.offer for fill in _placed(plan, linked)} == {3, 4}
    assert len(_placed(plan, singles)) == 8


@pytest.mark.parametrize(("units", "fills"), [(8 * DOLLAR, 2), (8 * DOLLAR - 1, 0)])
def test_there_is_money_for_all_of_a_group_or_none_is_opened(units: int, fills: int) -> None:
    """Four GPUs an hour at a dollar, twice. What a group cannot use is others'."""
    linked, other = a_group(2), an_order("other", client=PEOPLE[4], max_price=DOLLAR)
    accounts = {PEOPLE[-1]: TokenUnits(units), PEOPLE[4]: TokenUnits(9 * DOLLAR), PEOPLE[0]: TokenUnits(9 * DOLLAR)}
    plan = clear(a_snapshot([*linked, other], [an_offer(1), an_offer(2)], accounts=accounts))

    assert len(_placed(plan, linked)) == fills
    assert len(_placed(plan, [other])) == (0 if fills else 1)


def test_the_budget_of_a_delegate_must_do_for_all_of_a_group() -> None:
    """It is charged with eight dollars at the limit for each."""
    linked = [BookOrder(order.signed, order.spec, order.accepted_at, DELEGATES[0]) for order in a_group(2)]
    offers, until = [an_offer(1), an_offer(2)], UnixTime(NOW + 99)
    plans = [
        clear(a_snapshot(linked, offers, budgets={(PEOPLE[-1], DELEGATES[0]): Budget(TokenUnits(left), until)}))
        for left in (16 * DOLLAR, 16 * DOLLAR - 1)
    ]

    assert [len(plan.fills) for plan in plans] == [2, 0]


def test_a_group_goes_to_the_chain_in_one_batch() -> None:
    """Whatever the limits of its orders and of those between them."""
    low, high = a_group(2, max_price=2 * DOLLAR)[0], a_group(2, max_price=9 * DOLLAR)[1]
    others = [an_order(str(n), client=PEOPLE[4], max_price=5 * DOLLAR) for n in range(4)]
    plan = clear(a_snapshot([low, high, *others], [an_offer(n) for n in (1, 2, 3)]))
    batches = [{fill.signed.id for fill in batch} for batch in batches_of(plan, 3)]

    assert len(plan.fills) == 6
    assert [len({low.id, high.id} & batch) for batch in batches if {low.id, high.id} & batch] == [2]


def test_of_two_groups_the_one_that_has_waited_too_long_comes_first() -> None:
    """Then the one with the higher limit for a GPU, however many orders the other has."""
    offers = [an_offer(n) for n in (1, 2)]
    low, high = a_group(2, "aa"), a_group(2, "bb", max_price=3 * DOLLAR)
    old = a_group(2, "aa", accepted_at=NOW - 3_601)

    assert len(_placed(clear(a_snapshot([*low, *high], offers)), high)) == 2
    assert len(_placed(clear(a_snapshot([*old, *high], offers)), old)) == 2


# Preferred regions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ask", "offer"), [(DOLLAR, 2), (DOLLAR + 20_000, 2), (DOLLAR + 20_001, 1)])
def test_a_preferred_region_may_cost_two_percent_more(ask: int, offer: int) -> None:
    """Not more; and no order waits for one."""
    offers = [an_offer(1), an_offer(2, price=ask, spec=FAR)]
    plan = clear(a_snapshot([an_order(spec=RATHER_FAR)], offers))

    assert [fill.offer for fill in plan.fills] == [offer]
    assert len(clear(a_snapshot([an_order(spec=RATHER_FAR)], offers[:1])).fills) == 1


def test_it_is_what_is_paid_that_may_be_two_percent_more() -> None:
    """The far machine asks no more, but its GPUs clear at three dollars: whoever only prefers it stays where it is."""
    here, there = an_offer(1, free=1), an_offer(2, spec=FAR, free=2)
    far = JobSpec(WORK, constraints=Constraints(regions=("us",)))
    bound = an_order("bound", spec=far, max_price=4 * DOLLAR)
    outbid = an_order("outbid", spec=far, gpus=2, max_price=3 * DOLLAR)
    rather = an_order("rather", spec=RATHER_FAR, max_price=9 * DOLLAR)
    plan = clear(a_snapshot([bound, outbid, rather], [here, there]))
    paid = {fill.signed.id: (fill.offer, fill.price) for fill in plan.fills}

    assert paid[rather.id][1] <= DOLLAR * 102 // 100


@pytest.mark.parametrize("seed", range(20))
def test_a_preference_costs_nobody_else_anything(seed: int) -> None:
    """With and without it every other order is served as well, at a price as good."""
    offers: list[Offer] = [
        an_offer(n, price=DOLLAR + 1_000 * (n * seed % 7), spec=FAR if n % 2 else an_offer().spec) for n in range(1, 6)
    ]

    def orders(spec: JobSpec) -> list[BookOrder]:
        others = [an_order(f"{seed} {n}", gpus=1 + n % 3, max_price=DOLLAR * (1 + n % 3)) for n in range(9)]
        return [*others, an_order(f"rather {seed}", spec=spec, max_price=3 * DOLLAR)]

    with_it, without = clear(a_snapshot(orders(RATHER_FAR), offers)), clear(a_snapshot(orders(an_order().spec), offers))
    surplus = [
        {fill.signed.id: fill.signed.order.max_price - fill.price for fill in plan.fills} for plan in (with_it, without)
    ]
    for order in orders(RATHER_FAR)[:-1]:
        assert surplus[0].get(order.id, 0) >= surplus[1].get(order.id, 0)


def test_of_equally_cheap_providers_that_one_is_taken_whose_offer_for_the_first_order_is_the_first() -> None:
    """Whatever they have for the others: equal snapshots give equal plans."""
    one, other = sorted(a_group(2), key=lambda order: order.id)
    first = replace(one, signed=replace(one.signed, order=replace(one.signed.order, classes=1)))
    second = replace(other, signed=replace(other.signed, order=replace(other.signed.order, classes=2)))
    offers = [
        an_offer(2, provider=PEOPLE[0], gpu_class=ClassNumber(1)), an_offer(5, provider=PEOPLE[0]),
        an_offer(3, provider=PEOPLE[1]), an_offer(9, provider=PEOPLE[1], gpu_class=ClassNumber(1)),
    ]  # fmt: skip
    plan = clear(a_snapshot([first, second], offers))

    assert {fill.signed.id: fill.offer for fill in plan.fills} == {first.id: 3, second.id: 9}


def test_a_provider_with_cheap_and_dear_machines_is_taken_for_its_cheap_ones() -> None:
    """What a provider could do for least says whether it is looked at at all."""
    prices = {1: (PEOPLE[0], 10), 2: (PEOPLE[0], 10), 3: (PEOPLE[0], 19), 4: (PEOPLE[1], 15), 5: (PEOPLE[1], 15)}
    offers = [an_offer(n, provider=who, price=dimes * DOLLAR // 10) for n, (who, dimes) in prices.items()]
    plan = clear(a_snapshot(a_group(2), offers))

    assert {fill.offer for fill in plan.fills} == {1, 2}
