"""Money in a round: nobody spends it twice, in whatever role, and orders that nobody could pay for do no harm to the others."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.domain.book import BookOrder, RejectionReason
from marketplace.domain.budgets import Budget
from marketplace.domain.ids import Address
from marketplace.domain.units import GpuCount, PricePerGpuHour, TokenUnits, UnixTime
from scheduler.engine import clear as clearing
from scheduler.engine.clear import MOST_PASSES, PASSES, clear
from scheduler.engine.documents.plan import Plan
from scheduler.engine.documents.snapshot import Snapshot
from tests.unit.engine.markets import DOLLAR, NOW, PEOPLE, a_record, a_snapshot, an_offer, an_order
from tests.unit.engine.wild import DELEGATES, group_of, refusals_of, wild_markets

R = RejectionReason
RICH = TokenUnits(10_000 * DOLLAR)


def person(number: int) -> Address:
    return Address(f"0x{number:040x}")


PROVIDERS = tuple(person(1_000 + n) for n in range(10))
HONEST = tuple(person(n) for n in range(1, 61))
RICH_CLIENT = person(99)


@settings(max_examples=250, deadline=None)
@given(wild_markets())
def test_every_fill_of_a_wild_market_would_be_taken_by_the_contract(snapshot: Snapshot) -> None:
    """Shared budgets, several roles of one address, sums beyond 64 bits: P-20 holds fill by fill, and groups are whole, each on offers of its own."""
    plan = clear(snapshot)

    assert refusals_of(snapshot, plan.fills) == []
    linked = [order for order in snapshot.view.orders if group_of(order)]
    placed = [fill for fill in plan.fills if fill.signed.id in {order.id for order in linked}]
    size = linked[0].spec.group.size if linked and linked[0].spec.group else 0
    assert (len(placed), len({fill.offer for fill in placed})) in ((0, 0), (size, size))


def test_an_order_too_large_to_add_up_is_counted_with_the_others_of_its_client() -> None:
    """136 years of a thousand GPUs lock more than columns can say: what is left after it pays for two hours more, not for three."""
    huge = an_order("huge", gpus=1_000, max_seconds=2**32 - 1, max_price=2**50)
    hours = [an_order(str(n)) for n in range(3)]
    cost = 1_000 * (2**32 - 1) * DOLLAR // 3_600
    accounts = {PEOPLE[-1]: TokenUnits(cost + 5 * DOLLAR // 2), PEOPLE[0]: TokenUnits(2**90)}
    snapshot = a_snapshot([huge, *hours], [an_offer(gpus=2_000, free=2_000)], accounts=accounts)
    plan = clear(snapshot)

    assert refusals_of(snapshot, plan.fills) == []
    assert len(plan.fills) == 3


@pytest.mark.parametrize(("units", "is_filled"), [(18_204_167, True), (18_204_166, False)])
def test_an_order_of_very_many_gpu_seconds_at_a_tiny_price_is_counted_exactly(units: int, is_filled: bool) -> None:
    """65,535 GPUs for a million seconds at one unit an hour: ceil(65,535 x 10^6 / 3,600) units, whatever 64 bits hold."""
    price, gpus = PricePerGpuHour(1), GpuCount(65_535)
    order = an_order(gpus=gpus, max_seconds=1_000_000, max_price=price)
    money = {order.signed.order.client: TokenUnits(units), PEOPLE[0]: TokenUnits(1_000 * DOLLAR)}
    plan = clear(a_snapshot([order], [an_offer(gpus=gpus, free=gpus, price=price)], accounts=money))

    assert len(plan.fills) == is_filled
    assert is_filled or dict(plan.explanation(order.id).reasons) == {RejectionReason.CLIENT_BALANCE_TOO_LOW: 1}


@pytest.mark.parametrize(
    ("charged", "until", "reason"),
    [(True, NOW + 99, None), (False, NOW + 99, R.OVER_BUDGET), (True, NOW, R.BAD_SIGNATURE)],
)
def test_an_order_that_was_charged_before_needs_no_budget_again(
    charged: bool, until: int, reason: RejectionReason | None
) -> None:
    """Declined once, it is placed though nothing is left, as long as its delegate's time runs, and leaves what is left to others (P-20, I-7)."""
    order, other = _signed_by_delegate("declined"), _signed_by_delegate("another")
    past = a_record(
        order,
        provider=PEOPLE[1],
        exit_event="LeaseDeclined",
        opened_at=UnixTime(NOW - 700),
        tip_paid=True,
        charged=charged,
    )
    leases = {order.id: past}

    def plan_of(left: int, *orders: BookOrder) -> Plan:
        budgets = {(PEOPLE[-1], DELEGATES[0]): Budget(TokenUnits(left), UnixTime(until))}
        return clear(a_snapshot(orders, [an_offer()], budgets=budgets, leases=leases))

    alone, both = plan_of(1, order), plan_of(2 * DOLLAR, order, other)

    assert [why.reasons for why in alone.rejections] == ([] if reason is None else [{reason: 1}])
    assert len(alone.fills) == (reason is None)
    assert len(both.fills) == (0 if reason is R.BAD_SIGNATURE else 2 if charged else 1)


@pytest.mark.parametrize(("left", "fills"), [(4 * DOLLAR, 2), (4 * DOLLAR - 1, 1)])
def test_orders_that_one_delegate_signed_share_its_budget(left: int, fills: int) -> None:
    """It is charged with their limits, whatever they pay (I-7)."""
    orders = [_signed_by_delegate(str(n)) for n in range(3)]
    budgets = {(PEOPLE[-1], DELEGATES[0]): Budget(TokenUnits(left), UnixTime(NOW + 99))}
    plan = clear(a_snapshot(orders, [an_offer()], budgets=budgets))

    assert len(plan.fills) == fills
    assert {reason for why in plan.rejections for reason in why.reasons} == {R.OVER_BUDGET}


def test_a_provider_with_few_bonds_gives_way_to_the_next_dearer_one() -> None:
    """Four GPUs and money for one bond: the other orders go where a bond can be paid, each for no more than its limit."""
    offers = [an_offer(1), an_offer(2, provider=PEOPLE[1], price=DOLLAR + 5)]
    accounts = {PEOPLE[-1]: RICH, PEOPLE[0]: TokenUnits(DOLLAR // 10), PEOPLE[1]: RICH}
    snapshot = a_snapshot([an_order(str(n)) for n in range(4)], offers, accounts=accounts)
    plan = clear(snapshot)

    assert sorted(fill.offer for fill in plan.fills) == [1, 2, 2, 2]
    assert refusals_of(snapshot, plan.fills) == []


def test_a_client_without_money_for_its_orders_displaces_no_more_of_the_others_than_it_pays_for() -> None:
    """Two thousand orders at twenty dollars and twenty dollars in all: at the price of two that the others make it is nine or ten of them."""
    before, after = clear(_market({})), clear(_market({person(9_000): 20 * DOLLAR}, orders_each=2_000))
    theirs = [fill for fill in after.fills if fill.signed.order.client not in HONEST]

    assert len(_of_honest(before)) == 40
    assert len(theirs) in (9, 10)
    assert len(after.fills) == 40
    assert (_prices(before), {fill.price for fill in after.fills}) == ({3 * DOLLAR // 2}, {2 * DOLLAR})


@pytest.mark.parametrize("ask", [DOLLAR, DOLLAR // 10])
def test_a_client_who_cannot_pay_the_price_leaves_and_its_order_makes_none(ask: int) -> None:
    """Two GPUs, 1.50 in the account for two orders, and another client at 1.49: one GPU each, at what 1.50 would pay both orders with."""
    short, other = PEOPLE[5], PEOPLE[4]
    brief = an_order("brief", client=short, max_price=3 * DOLLAR, max_seconds=1_200)
    long = an_order("long", client=short, max_price=3 * DOLLAR)
    keen = an_order("keen", client=other, max_price=149 * DOLLAR // 100)
    offers = [an_offer(n, gpus=1, free=1, price=ask, provider=PEOPLE[n]) for n in (1, 2)]
    money = dict.fromkeys(PEOPLE, RICH) | {short: TokenUnits(3 * DOLLAR // 2)}
    plan = clear(a_snapshot([brief, long, keen], offers, accounts=money))

    assert {fill.signed.id for fill in plan.fills} == {brief.id, keen.id}
    (price,) = {fill.price for fill in plan.fills}
    assert 1_124_900 <= price <= 1_125_000


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_equal_machines_have_one_price_however_short_money_is(seed: int) -> None:
    """Each fill pays what the dearest of them pays, or its own signed limit; and nobody is left out who offers more and could pay for it alone."""
    snapshot = short_market(random.Random(seed))
    plan = clear(snapshot)
    placed, price = {fill.signed.id for fill in plan.fills}, max((fill.price for fill in plan.fills), default=0)

    assert refusals_of(snapshot, plan.fills) == []
    for fill in plan.fills:
        assert fill.price == min(price, fill.signed.order.max_price)
    rich = [order for order in snapshot.view.orders if order.signed.order.client == RICH_CLIENT]
    if all(snapshot.view.accounts[who] == RICH for who in PROVIDERS):  # Else some may lack the bond for it.
        assert all(order.signed.order.max_price <= price for order in rich if order.id not in placed and plan.fills)


def short_market(draw: random.Random) -> Snapshot:
    """Up to five equal machines of one GPU at various asks; orders of short clients, and some of a rich one."""
    clients = [*HONEST[: draw.randint(1, 3)], RICH_CLIENT]
    offers = [
        an_offer(n + 1, provider=who, gpus=1, free=1, price=draw.randint(5, 15) * DOLLAR // 10)
        for n, who in enumerate(PROVIDERS[: draw.randint(2, 5)])
    ]
    orders = [
        an_order(
            str(n),
            client=draw.choice(clients),
            max_seconds=draw.choice([600, 1_200, 3_600, 7_200]),
            max_price=draw.randint(6, 40) * DOLLAR // 10,
        )
        for n in range(draw.randint(2, 10))
    ]
    money = {who: TokenUnits(draw.randint(2, 40) * DOLLAR // 10) for who in clients} | {RICH_CLIENT: RICH}
    poorest = draw.choice([RICH, RICH, DOLLAR // 10])
    bonds = {who: TokenUnits(draw.choice([RICH, poorest])) for who in PROVIDERS}
    return a_snapshot(orders, offers, accounts=money | bonds, heartbeats=dict.fromkeys(PROVIDERS, NOW))


@pytest.mark.parametrize("layers", [2, 4, 8])
def test_several_such_clients_take_no_more_than_they_pay_for(layers: int) -> None:
    """Each a dollar below the one before, so that one is found out when the one above it is gone."""
    money = {person(9_000 + n): (20 - n) * DOLLAR for n in range(layers)}
    snapshot = _market(money, orders_each=60)
    plan = clear(snapshot)
    theirs = [fill for fill in plan.fills if fill.signed.order.client in money]

    assert refusals_of(snapshot, plan.fills) == []
    assert len(plan.fills) == 40
    assert len({fill.price for fill in plan.fills}) == 1
    for client, units in money.items():
        assert sum(fill.price for fill in theirs if fill.signed.order.client == client) <= units
    # The GPUs that they do not pay for are the others' in this very round.
    assert len(_of_honest(plan)) == 40 - len(theirs)


def test_a_round_is_cleared_a_few_times_at_most_however_many_lack_money(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is bound: four auctions a pass at most, whatever clients pretend; of many orders there are four passes."""
    held = list[int]()

    def auctioneer(market: Any, shards: int) -> Any:
        held.append(len(market.orders))
        return clearing.hold_here(market, shards)

    money = {person(9_000 + n): (20 - n) * DOLLAR for n in range(12)}
    clear(_market(money, orders_each=400), auctioneer)

    assert 0 < len(held) <= 4 * (MOST_PASSES + PASSES)


def _signed_by_delegate(name: str) -> BookOrder:
    order = an_order(name)
    return BookOrder(order.signed, order.spec, order.accepted_at, DELEGATES[0])


def _market(pretenders: Mapping[Address, int], orders_each: int = 0) -> Snapshot:
    """Forty GPUs at a dollar; thirty-nine honest orders at two dollars, twenty-one at 1.50; and pretenders with a dollar less each."""
    offers = [an_offer(n + 1, provider=who) for n, who in enumerate(PROVIDERS)]
    honest = [
        an_order(f"honest {n}", client=who, max_price=2 * DOLLAR if n < 39 else 3 * DOLLAR // 2)
        for n, who in enumerate(HONEST)
    ]
    others = [
        an_order(f"pretended {who} {n}", client=who, max_price=units)
        for who, units in pretenders.items()
        for n in range(orders_each)
    ]
    accounts = dict.fromkeys((*HONEST, *PROVIDERS), RICH) | {who: TokenUnits(n) for who, n in pretenders.items()}
    return a_snapshot([*honest, *others], offers, accounts=accounts, heartbeats=dict.fromkeys(PROVIDERS, NOW))


def _of_honest(plan: Plan) -> list[Any]:
    return [fill for fill in plan.fills if fill.signed.order.client in HONEST]


def _prices(plan: Plan) -> set[int]:
    return {fill.price for fill in _of_honest(plan)}


def _surplus(plan: Plan) -> int:
    return sum(fill.signed.order.max_price - fill.price for fill in _of_honest(plan))
