"""What a provider has earned, from the market's events: lease by lease, and all of the balance explained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.domain import events as e
from marketplace.domain.earnings import Earnings, earnings_of
from marketplace.domain.ids import Bytes32
from marketplace.domain.ledger import NOTHING
from marketplace.domain.units import TokenUnits
from tests.unit.domain.lives import CLIENT, DOLLAR, FLOOR, PEOPLE, PROVIDER, START, Life

HOUR, DAY = 3_600, 86_400
BOND = DOLLAR
"""A tenth of the ten dollars that each lease locks."""


def books(life: Life) -> Earnings:
    """Computed from what was told; and they explain the ledger's balance to the unit."""
    found = earnings_of(PROVIDER, life.told, FLOOR)

    assert found.balance == life.state.accounts.get(PROVIDER, 0)
    return found


def told_with(life: Life, event: e.Event, **money: int) -> None:
    """Tell the event with these amounts, which the lives leave at nothing."""
    life.tell(replace(event, **{name: TokenUnits(units) for name, units in money.items()}))  # type: ignore[arg-type]


def settled(life: Life, lease: Bytes32, hours: int, at: int) -> None:
    event = e.LeaseSettled(life.ref(at), lease, hours * HOUR, lease, True, *(NOTHING,) * 4)  # type: ignore[arg-type]
    told_with(life, event, paid=hours * DOLLAR, refund=(10 - hours) * DOLLAR, bond=BOND)


def funded() -> Life:
    life = Life()
    life.tell(e.Deposited(life.ref(START), PROVIDER, PROVIDER, TokenUnits(100 * DOLLAR)))
    return life


def test_each_lease_earns_what_it_was_paid_and_bonds_that_come_back_are_none() -> None:
    """Two leases of other lengths on other days; a withdrawal in between is not an expense."""
    life = funded()
    first, second = life.open(), life.open()
    settled(life, first, 2, START + 2 * HOUR)
    life.tell(e.Withdrawn(life.ref(START + DAY), PROVIDER, PROVIDER, TokenUnits(5 * DOLLAR)))
    settled(life, second, 3, START + DAY)
    found = books(life)

    assert [(row.lease, row.amount, row.gpu_seconds, row.at) for row in found.rows] == [
        (first, 2 * DOLLAR, 2 * HOUR, START + 2 * HOUR),
        (second, 3 * DOLLAR, 3 * HOUR, START + DAY),
    ]
    assert (found.deposited, found.withdrawn, found.earned, found.held) == (100 * DOLLAR, 5 * DOLLAR, 5 * DOLLAR, 0)


def test_the_bond_of_a_live_lease_is_held_and_not_lost() -> None:
    """Nothing is earned before something is paid."""
    life = funded()
    life.open()
    found = books(life)

    assert (found.earned, found.held, found.balance) == (0, BOND, 99 * DOLLAR)


def test_a_bond_that_pays_the_client_is_a_loss() -> None:
    """An expired lease costs what of its bond does not come back."""
    life = funded()
    lease = life.open()
    event = e.LeaseExpired(life.ref(START + DAY), lease, NOTHING, NOTHING, NOTHING)
    told_with(life, event, refund=10 * DOLLAR, compensation=BOND, bond=0)

    assert [row.amount for row in books(life).rows] == [-BOND]


def test_a_declined_lease_is_no_row() -> None:
    """It moved a bond there and back."""
    life = funded()
    told_with(life, e.LeaseDeclined(life.ref(START), life.open(), 0, NOTHING, NOTHING), refund=10 * DOLLAR, bond=BOND)

    assert books(life) == replace(books(funded()))


def test_income_that_was_assigned_is_shown_and_not_counted() -> None:
    """The payee has it; only the bond comes back."""
    life = funded()
    lease = life.open()
    life.assign(lease, PEOPLE[2], START)
    settled(life, lease, 4, START + 4 * HOUR)
    (row,) = books(life).rows

    assert (row.amount, row.elsewhere) == (0, 4 * DOLLAR)


def test_each_instalment_is_a_row_of_what_it_paid() -> None:
    """Not of what was paid before it: neither its money, nor its seconds, nor what went to a payee."""
    life = funded()
    own, assigned = life.open(gpus=2), life.open()
    life.assign(assigned, PEOPLE[2], START)
    for lease, gpus in ((own, 2), (assigned, 1)):
        for hours in (1, 3):
            event = e.LeaseSettled(life.ref(START), lease, hours * HOUR, lease, False, *(NOTHING,) * 4)  # type: ignore[arg-type]
            told_with(life, event, paid=gpus * (1 if hours == 1 else 2) * DOLLAR)

    assert [(row.amount, row.elsewhere, row.gpu_seconds) for row in books(life).rows] == [
        (2 * DOLLAR, 0, 2 * HOUR), (4 * DOLLAR, 0, 4 * HOUR), (0, DOLLAR, HOUR), (0, 2 * DOLLAR, 2 * HOUR),
    ]  # fmt: skip


@pytest.mark.parametrize("served", [True, False])
def test_what_it_spent_as_a_client_is_no_loss_of_its_trade(served: bool) -> None:
    """Its own orders move its balance, too: they are told apart, also where it serves itself."""
    life = funded()
    lease = life.open(provider=PROVIDER if served else PEOPLE[2], client=PROVIDER)
    settled(life, lease, 2, START + 2 * HOUR)
    found = books(life)

    assert (found.earned, found.other) == ((0, 0) if served else (0, -2 * DOLLAR))
    assert CLIENT != PROVIDER
