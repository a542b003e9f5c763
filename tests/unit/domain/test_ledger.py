"""What each event does to balances, offers, leases and volumes, one at a time; a walk on the chain holds all of it against the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain import events as e
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import NO_VOLUME, WRAP, Rows, apply, locked_in
from marketplace.domain.market import Volume
from marketplace.domain.units import GpuSeconds, TokenUnits
from tests.unit.domain.lives import ARBITER, CLIENT, DOLLAR, FLOOR, PEOPLE, PROVIDER, START, Life
from tests.unit.engine.markets import OPENER

LOCKED, BOND, HOUR = 20 * DOLLAR, 2 * DOLLAR, 3_600
ACCEPTOR, PAYEE = PEOPLE[2], PEOPLE[3]
RESULT = Bytes32("0x" + "5e" * 32)


@pytest.fixture
def life() -> Life:
    return Life()


def opened(life: Life) -> Bytes32:
    """A lease of two GPUs for ten hours at a dollar, with a tip of three and an acceptor."""
    return life.open(gpus=2, tip=TokenUnits(3), acceptor=ACCEPTOR)


def moved(life: Life, event: e.Event) -> dict[str, int]:
    """What the event does to balances; every account that it touches."""
    before = life.state
    life.tell(event)
    changed = apply(before, event, FLOOR).accounts
    return {who: units - before.accounts.get(who, 0) for who, units in changed.items()}


def free(life: Life) -> int:
    """Of the one offer's eight GPUs."""
    (offer,) = life.state.offers.values()
    return offer.free


def volume(life: Life) -> Volume:
    return next(iter(life.state.volumes.values()), NO_VOLUME)


def units(*amounts: int) -> list[TokenUnits]:
    return [TokenUnits(amount) for amount in amounts]


def test_opening_locks_what_both_sides_put_in_and_pays_the_tip(life: Life) -> None:
    """T and the tip from the client, B from the provider, the tip to the opener, two of eight GPUs taken."""
    lease = opened(life)
    record = life.state.leases[lease]

    assert life.state.accounts == {CLIENT: -LOCKED - 3, PROVIDER: -BOND, OPENER: 3}
    assert free(life) == 6
    assert (record.lease.status, record.lease.tip_paid, record.lease.opened_at) == (LeaseStatus.OPEN, True, START)
    assert (record.payee, record.provider, record.exit) == (PROVIDER, PROVIDER, "")


def test_a_second_opening_pays_no_second_tip(life: Life) -> None:
    """A lease that was declined at once may open again; what the first opening has paid is remembered."""
    lease = opened(life)
    life.tell(e.LeaseDeclined(life.ref(START), lease, LeaseStatus.NONE, *units(LOCKED, BOND)))
    record = life.state.leases[lease]

    assert (record.lease.status, record.lease.tip_paid, record.exit, record.refund) == (
        LeaseStatus.NONE, True, "LeaseDeclined", LOCKED,
    )  # fmt: skip
    assert free(life) == 8

    (offer,) = life.state.offers.values()
    assert record.order
    again = e.LeaseOpened(life.ref(START), lease, offer.id, CLIENT, OPENER, offer.price, record.order)

    assert moved(life, again) == {CLIENT: -LOCKED, PROVIDER: -BOND, OPENER: 0}


def test_a_lease_that_is_declined_for_good_is_closed(life: Life) -> None:
    """Its word stays, but for the status."""
    lease = opened(life)
    life.tell(e.LeaseDeclined(life.ref(START), lease, LeaseStatus.CLOSED, *units(LOCKED, BOND)))
    record = life.state.leases[lease]

    assert (record.lease.status, record.lease.price, free(life)) == (LeaseStatus.CLOSED, DOLLAR, 8)


def test_payments_on_the_way_add_up_in_record_and_volume(life: Life) -> None:
    """Two instalments and the last one: paid, refund, volume and GPU-seconds; the GPUs are free at the end alone."""
    lease = opened(life)
    for hours in (2, 5):
        paid = 4 * DOLLAR if hours == 2 else 6 * DOLLAR
        settled = e.LeaseSettled(life.ref(START), lease, hours * HOUR, RESULT, False, *units(paid, 0, 0, 0))
        assert moved(life, settled) == {PROVIDER: paid}
    assert (life.state.leases[lease].paid, free(life)) == (10 * DOLLAR, 6)
    assert volume(life) == Volume(TokenUnits(10 * DOLLAR), GpuSeconds(10 * HOUR))

    last = e.LeaseSettled(life.ref(START), lease, 6 * HOUR, RESULT, True, *units(2 * DOLLAR, 8 * DOLLAR, BOND, 0))

    assert moved(life, last) == {PROVIDER: 2 * DOLLAR + BOND, CLIENT: 8 * DOLLAR}
    record = life.state.leases[lease]
    assert (record.paid, record.refund, record.compensation) == (12 * DOLLAR, 8 * DOLLAR, 0)
    assert (record.exit, record.lease.status, record.result) == ("LeaseSettled", LeaseStatus.CLOSED, RESULT)
    assert (free(life), volume(life)) == (8, Volume(TokenUnits(12 * DOLLAR), GpuSeconds(12 * HOUR)))


def test_a_volume_wraps_as_the_contracts_does(life: Life) -> None:
    """Both halves have 128 bits."""
    lease = opened(life)
    (offer,) = life.state.offers.values()
    full = Volume(TokenUnits(WRAP - 1), GpuSeconds(WRAP - 1))
    life.state = Rows(volumes={offer.gpu_class: full}).over(life.state)
    life.tell(e.LeaseSettled(life.ref(START), lease, HOUR, RESULT, False, *units(5, 0, 0, 0)))

    assert volume(life) == Volume(TokenUnits(4), GpuSeconds(2 * HOUR - 1))


def test_what_an_expired_lease_pays_the_client_is_told_apart(life: Life) -> None:
    """The lock comes back as refund, the bond comes as compensation, and both are the client's."""
    lease = opened(life)

    assert moved(life, e.LeaseExpired(life.ref(START), lease, *units(LOCKED, BOND - 1, 1))) == {
        CLIENT: LOCKED + BOND - 1, PROVIDER: 1,
    }  # fmt: skip
    record = life.state.leases[lease]
    assert (record.refund, record.compensation, record.paid, record.exit) == (LOCKED, BOND - 1, 0, "LeaseExpired")
    assert (free(life), volume(life)) == (8, NO_VOLUME)


def test_a_claim_frees_the_gpus_once(life: Life) -> None:
    """What ends it later frees them no second time; whoever has the income has what it pays."""
    lease = opened(life)
    life.assign(lease, PAYEE, START)
    life.tell(e.LeaseClaimed(life.ref(START + 9), lease, HOUR, RESULT))
    record = life.state.leases[lease]

    assert (free(life), record.result) == (8, RESULT)
    assert (record.lease.status, record.lease.claimed_seconds, record.lease.changed_at) == (
        LeaseStatus.CLAIMED, HOUR, START + 9,
    )  # fmt: skip

    end = e.LeaseFinalized(life.ref(START), lease, HOUR, *units(2 * DOLLAR, 18 * DOLLAR, BOND))
    assert moved(life, end) == {PAYEE: 2 * DOLLAR, CLIENT: 18 * DOLLAR, PROVIDER: BOND}
    record = life.state.leases[lease]
    assert (free(life), record.lease.paid_seconds, record.lease.assigned) == (8, HOUR, True)


@pytest.mark.parametrize("by", [CLIENT, ACCEPTOR])
@pytest.mark.parametrize("was_claimed", [True, False])
def test_a_dispute_takes_a_stake_and_gives_it_to_whom_it_belongs(life: Life, by: Any, was_claimed: bool) -> None:
    """Of the disputing side's two accounts it is the one that disputed; GPUs are freed by the first of claim and dispute."""
    lease = opened(life)
    if was_claimed:
        life.claim(lease, HOUR, START)

    assert moved(life, e.LeaseDisputed(life.ref(START + 5), lease, by, HOUR, TokenUnits(BOND))) == {by: -BOND}
    record = life.state.leases[lease]
    assert (free(life), record.lease.by_acceptor, record.lease.changed_at) == (8, by != CLIENT, START + 5)
    assert record.lease.claimed_seconds == HOUR
    before = life.state

    ruled = e.LeaseRuled(life.ref(START), lease, True, HOUR, *units(5, 7, 11, 13, 17))
    expected = {PROVIDER: 5 + 11, CLIENT: 7, ARBITER: 17}
    expected[by] = expected.get(by, 0) + 13
    assert moved(life, ruled) == expected
    assert free(life) == 8

    life.state = before
    lapsed = e.LeaseLapsed(life.ref(START), lease, HOUR, *units(5, 7, 11, 13))
    expected = {PROVIDER: 5 + 11, CLIENT: 7}
    expected[by] = expected.get(by, 0) + 13
    assert moved(life, lapsed) == expected


def test_what_the_market_holds_for_a_lease_follows_its_state(life: Life) -> None:
    """The unpaid rest and the bond; a second bond while it is disputed; nothing once it is over (I-1, I-2)."""
    lease = opened(life)
    record = life.state.leases[lease]
    offer = life.state.offers[record.lease.offer]

    def held(status: LeaseStatus, paid_seconds: int = 0) -> int:
        word = replace(record.lease, status=status, paid_seconds=paid_seconds)  # type: ignore[arg-type]
        return locked_in(replace(record, lease=word), offer, FLOOR)

    assert held(LeaseStatus.OPEN) == LOCKED + BOND
    assert held(LeaseStatus.CLAIMED, HOUR) == LOCKED - 2 * DOLLAR + BOND
    assert held(LeaseStatus.DISPUTED, HOUR) == LOCKED - 2 * DOLLAR + 2 * BOND
    assert held(LeaseStatus.CLOSED) == held(LeaseStatus.NONE) == 0


def test_a_cancelled_order_is_closed_or_may_not_open_again(life: Life) -> None:
    """Never seen, charged only, or open: the first two are over, the third goes on."""
    lease, unseen, charged = opened(life), Bytes32("0x" + "99" * 32), Bytes32("0x" + "98" * 32)
    life.tell(e.Authorized(life.ref(START), CLIENT, ACCEPTOR, TokenUnits(100), START))
    life.tell(e.BudgetSpent(life.ref(START), CLIENT, ACCEPTOR, charged, TokenUnits(60)))

    assert life.state.budgets[CLIENT, ACCEPTOR].left == 60
    assert (life.state.leases[charged].lease.charged, life.state.leases[charged].lease.status) == (
        True,
        LeaseStatus.NONE,
    )
    for order in (lease, unseen, charged):
        life.tell(e.OrderCancelled(life.ref(START), order, CLIENT))
    words = {name: life.state.leases[name] for name in (lease, unseen, charged)}

    assert (words[lease].lease.status, words[lease].lease.no_reopen) == (LeaseStatus.OPEN, True)
    for name in (unseen, charged):
        assert (words[name].lease.status, words[name].exit) == (LeaseStatus.CLOSED, "OrderCancelled")
    assert (words[unseen].payee, words[charged].lease.charged) == (CLIENT, True)


def test_money_that_comes_and_goes_is_the_accounts(life: Life) -> None:
    """Whoever sends it, and wherever it goes to."""
    assert moved(life, e.Deposited(life.ref(START), CLIENT, PAYEE, TokenUnits(9))) == {CLIENT: 9}
    assert moved(life, e.Withdrawn(life.ref(START), CLIENT, PAYEE, TokenUnits(4))) == {CLIENT: -4}
    assert life.state.accounts == {CLIENT: 5}
