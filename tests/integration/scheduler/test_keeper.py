"""Deadlines that somebody must act on: the scheduler does, and loses a race to others gladly."""

from __future__ import annotations

from marketplace.chain import verbs
from marketplace.domain.events import LeaseExpired, LeaseFinalized, LeaseLapsed
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.units import Seconds
from scheduler.service import SchedulerService
from tests.integration.scheduler.floor import CLIENT, DOLLAR, PROVIDERS, Floor

RESULT = "0x" + "4e" * 32


def _opened(floor: Floor, service: SchedulerService, **changes: object) -> SignedOrder:
    order = floor.order(**changes)
    floor.index()
    service.step()
    assert floor.lease(order).status is LeaseStatus.OPEN
    floor.index()
    return order


def test_the_lease_of_a_silent_provider_is_expired_and_its_client_compensated(floor: Floor) -> None:
    """From the deadline on, and not a second before (P-10)."""
    floor.list(bond_bps=5_000)
    service = floor.scheduler()
    order = _opened(floor, service, max_seconds=60)
    opened_at = floor.lease(order).opened_at
    bond = floor.free(PROVIDERS[0])
    deadline = opened_at + 60 + floor.terms.claim_grace

    floor.reach(deadline - 1)
    floor.index()
    service.step()
    assert floor.lease(order).status is LeaseStatus.OPEN

    floor.reach(deadline)
    floor.index()
    service.step()
    assert floor.lease(order).status is LeaseStatus.CLOSED
    locked = -(-DOLLAR * 60 // 3_600)
    lost = max(locked // 2, DOLLAR // 10)
    assert floor.free(CLIENT) == 100 * DOLLAR + min(lost, locked)
    assert floor.free(PROVIDERS[0]) == bond + lost - min(lost, locked)


def test_claims_that_nobody_challenged_are_finalized_in_one_batch(floor: Floor) -> None:
    """Two claims, one transaction, when the challenge window is over."""
    floor.list()
    service = floor.scheduler()
    orders = [_opened(floor, service) for _ in range(2)]
    floor.pass_time(10)
    for order in orders:
        floor.send(PROVIDERS[0], verbs.claim(floor.market.address, order.order, Seconds(5), RESULT))
    floor.index()
    service.step()
    assert [floor.lease(order).status for order in orders] == [LeaseStatus.CLAIMED] * 2

    floor.pass_time(floor.terms.challenge_window)
    floor.index()
    service.step()
    paid = [event for event in floor.events() if isinstance(event, LeaseFinalized)]
    assert {event.lease for event in paid} == {order.id for order in orders}
    assert len({event.ref.tx_hash for event in paid}) == 1


def test_a_dispute_on_which_nobody_rules_lapses(floor: Floor) -> None:
    """From the end of the ruling window on, and not a second before: stakes go back, the seconds are split (P-10)."""
    floor.list()
    service = floor.scheduler()
    order = _opened(floor, service)
    floor.pass_time(10)
    floor.send(CLIENT, verbs.dispute(floor.market.address, order.order))
    disputed = floor.lease(order)
    end = disputed.changed_at + floor.terms.ruling_window

    floor.reach(end - 1)
    floor.index()
    service.step()
    assert floor.lease(order).status is LeaseStatus.DISPUTED

    floor.reach(end)
    floor.index()
    service.step()
    half = disputed.claimed_seconds // 2
    assert floor.lease(order).status is LeaseStatus.CLOSED
    assert floor.lease(order).paid_seconds == half > 0
    assert floor.free(CLIENT) == 100 * DOLLAR - DOLLAR * half // 3_600
    assert floor.free(PROVIDERS[0]) == 100 * DOLLAR + DOLLAR * half // 3_600
    assert [event.lease for event in floor.events() if isinstance(event, LeaseLapsed)] == [order.id]


def test_being_second_is_no_failure(floor: Floor) -> None:
    """Somebody else expired one lease and finalized another a moment ago; the projection does not show it yet."""
    floor.list()
    service = floor.scheduler()
    overdue, claimed = _opened(floor, service, max_seconds=60), _opened(floor, service)
    floor.pass_time(10)
    floor.send(PROVIDERS[0], verbs.claim(floor.market.address, claimed.order, Seconds(5), RESULT))
    floor.pass_time(90)
    floor.index()
    floor.send(CLIENT, verbs.expire(floor.market.address, overdue.order))
    floor.send(CLIENT, verbs.finalize(floor.market.address, [claimed.order]))
    service.step()
    service.step()

    closed = [event for event in floor.events() if isinstance(event, LeaseExpired | LeaseFinalized)]
    assert len(closed) == 2
    assert [floor.lease(order).status for order in (overdue, claimed)] == [LeaseStatus.CLOSED] * 2


def test_what_was_tried_is_not_tried_again_before_the_projection_has_moved(floor: Floor) -> None:
    """One transaction for what expires and one for what is finalized, however often the daemon looks."""
    floor.list()
    service = floor.scheduler()
    overdue, claimed = _opened(floor, service, max_seconds=60), _opened(floor, service)
    floor.pass_time(10)
    floor.send(PROVIDERS[0], verbs.claim(floor.market.address, claimed.order, Seconds(5), RESULT))
    floor.pass_time(90)
    floor.index()
    blocks = floor.chain.head().number
    for _ in range(3):
        service.step()

    assert [floor.lease(order).status for order in (overdue, claimed)] == [LeaseStatus.CLOSED] * 2
    assert floor.chain.head().number == blocks + 2
