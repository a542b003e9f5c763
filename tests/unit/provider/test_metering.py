"""When things are due, at −1, 0 and +1, and how many seconds count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.domain.ids import ZERO_ADDRESS, ZERO_BYTES32, Address, OfferId
from marketplace.domain.leases import NO_LEASE, Lease, LeaseStatus
from marketplace.domain.market import MarketTerms
from marketplace.domain.orders import Order
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.provider import metering
from marketplace.provider.policy import AgentPolicy

TERMS = MarketTerms(
    1, ZERO_ADDRESS, ZERO_ADDRESS, "USD", 6, 0, Seconds(5), Seconds(15), Seconds(15), Seconds(30), TokenUnits(100_000)
)
POLICY = AgentPolicy.for_terms(TERMS)
ORDER = Order(
    client=Address("0x" + "11" * 20), classes=1, offer=OfferId(0), gpus=GpuCount(1), max_seconds=Seconds(100),
    min_seconds=Seconds(20), max_price=PricePerGpuHour(3_600_000), min_bond_bps=Bps(0), starts_at=UnixTime(0),
    expires_at=UnixTime(2**40 - 1), tip=TokenUnits(0), opener=ZERO_ADDRESS, acceptor=ZERO_ADDRESS, arbiter=ZERO_ADDRESS,
    spec=ZERO_BYTES32, salt=1,
)  # fmt: skip
LEASE = replace(NO_LEASE, status=LeaseStatus.OPEN, price=PricePerGpuHour(3_600_000), opened_at=UnixTime(1_000))


@pytest.mark.parametrize(("ended_at", "used"), [(1_000, 0), (1_001, 1), (1_099, 99), (1_100, 100), (5_000, 100)])
def test_used_seconds_count_from_the_start_to_the_block_of_the_end(ended_at: int, used: int) -> None:
    """usedSeconds is the block time at or after the end, minus start, and at most maxSeconds."""
    assert metering.used_seconds(ORDER, LEASE, UnixTime(ended_at), Seconds(0)) == used


def test_used_seconds_are_never_below_what_is_paid() -> None:
    """What a progress receipt has paid for is not metered back (I-5)."""
    assert metering.used_seconds(ORDER, replace(LEASE, paid_seconds=Seconds(30)), UnixTime(1_010), Seconds(0)) == 30


@pytest.mark.parametrize(("paid", "lost", "used"), [(0, 0, 60), (0, 25, 35), (40, 25, 40), (0, 80, 0)])
def test_what_the_provider_lost_is_not_used(paid: int, lost: int, used: int) -> None:
    """Time that the provider was away is taken off, down to what is paid already."""
    lease = replace(LEASE, paid_seconds=Seconds(paid))

    assert metering.used_seconds(ORDER, lease, UnixTime(1_060), Seconds(lost)) == used


@pytest.mark.parametrize(("now", "left"), [(999, 101), (1_000, 100), (1_099, 1), (1_100, 0), (1_101, 0)])
def test_seconds_left_end_at_max_seconds(now: int, left: int) -> None:
    """A job may run until its client has paid for all of maxSeconds."""
    assert metering.seconds_left(ORDER, LEASE, UnixTime(now)) == left


def test_term_lease_is_metered_from_its_start() -> None:
    """Metering of a term lease starts at startsAt, and it cannot be declined (P-21)."""
    order = replace(ORDER, starts_at=UnixTime(2_000))

    assert metering.used_seconds(order, LEASE, UnixTime(2_010), Seconds(0)) == 10
    assert not metering.has_started(order, LEASE, UnixTime(1_999))
    assert metering.has_started(order, LEASE, UnixTime(2_000))
    assert not metering.can_decline(order, LEASE, UnixTime(1_000), Bps(1_000), TERMS)


@pytest.mark.parametrize(
    ("ended_at", "paid", "lost", "owed"),
    [(2_000, 0, 0, 20), (2_019, 0, 0, 20), (2_021, 0, 0, 21), (2_005, 20, 0, 20), (2_005, 0, 7, 13)],
)
def test_a_term_lease_owes_what_it_guarantees(ended_at: int, paid: int, lost: int, owed: int) -> None:
    """Its GPUs were held for it: a job that ends itself earlier is charged that, less what its provider lost; any other lease what it ran."""
    order, lease = replace(ORDER, starts_at=UnixTime(2_000)), replace(LEASE, paid_seconds=Seconds(paid))

    assert metering.owed_seconds(order, lease, UnixTime(ended_at), Seconds(lost)) == owed
    assert metering.owed_seconds(ORDER, LEASE, UnixTime(1_005), Seconds(0)) == 5


@pytest.mark.parametrize(
    ("now", "paid", "signed", "unpaid"),
    [(2_000, 0, 0, 0), (2_020, 0, 0, 0), (2_021, 0, 0, 1), (2_060, 30, 50, 10), (2_060, 50, 30, 10), (2_010, 0, 15, 0)],
)
def test_what_is_unpaid_is_beyond_what_is_paid_signed_and_guaranteed(
    now: int, paid: int, signed: int, unpaid: int
) -> None:
    """The largest of the three covers what was served up to there."""
    order, lease = replace(ORDER, starts_at=UnixTime(2_000)), replace(LEASE, paid_seconds=Seconds(paid))

    assert metering.unpaid_seconds(order, lease, UnixTime(now), Seconds(signed)) == unpaid


@pytest.mark.parametrize(("now", "can"), [(1_000, True), (1_003, True), (1_004, False), (1_005, False)])
def test_decline_must_be_mined_inside_the_grace(now: int, can: bool) -> None:
    """A decline that is sent now is mined a block later, and must be there before openedAt + START_GRACE."""
    assert metering.can_decline(ORDER, LEASE, UnixTime(now), Bps(1_000), TERMS) is can


def test_decline_is_out_of_reach_when_more_is_paid_than_the_bond() -> None:
    """What was paid comes back out of the bond, which must cover it."""
    paid = replace(LEASE, paid_seconds=Seconds(10))  # 10,000 units; the bond is the floor of 100,000

    assert metering.can_decline(ORDER, paid, UnixTime(1_000), Bps(0), TERMS)
    assert not metering.can_decline(
        ORDER, replace(paid, price=PricePerGpuHour(3_600_000_000)), UnixTime(1_000), Bps(0), TERMS
    )


def test_decision_to_decline_leaves_time_for_the_transaction() -> None:
    """What is not there by then is declined while a block or two are left."""
    window = metering.decline_window(LEASE, TERMS, POLICY)

    assert (window.decide_by, window.closes_at) == (1_003, 1_005)


def due(now: int, waited_since: int | None, *, lease: Lease = LEASE) -> bool:
    window = metering.claim_window(ORDER, lease, TERMS, POLICY)
    since = None if waited_since is None else UnixTime(waited_since)
    return window.is_due(UnixTime(now), since, POLICY.patience_seconds)


@pytest.mark.parametrize(("now", "is_due"), [(1_059, False), (1_060, True), (1_061, True)])
def test_claim_comes_when_patience_ends(now: int, is_due: bool) -> None:
    """The client has patience_seconds (30 here) to sign what it was given."""
    assert due(now, 1_030) is is_due


@pytest.mark.parametrize(("now", "is_due"), [(1_019, False), (1_020, True)])
def test_claim_waits_for_min_seconds(now: int, is_due: bool) -> None:
    """The contract takes no claim before start + minSeconds."""
    assert due(now, 900) is is_due


@pytest.mark.parametrize(("now", "is_due"), [(1_108, False), (1_109, True), (1_114, True), (1_115, False)])
def test_claim_comes_before_the_deadline_without_any_patience(now: int, is_due: bool) -> None:
    """From the margin before the deadline on there is no time left to give; from the deadline on it is too late."""
    assert due(now, None) is is_due


def test_finalize_is_due_when_the_window_is_over() -> None:
    """A claim can be finalized from changedAt + CHALLENGE_WINDOW on."""
    assert metering.finalize_at(replace(LEASE, changed_at=UnixTime(1_200)), TERMS) == 1_215


def test_a_long_claim_grace_makes_nobody_wait_for_days() -> None:
    """With windows of a day the client's side has an hour to sign, and the claim is made hours before it would be too late."""
    long = AgentPolicy.for_terms(replace(TERMS, start_grace=Seconds(900), claim_grace=Seconds(86_400)))
    window = metering.claim_window(ORDER, LEASE, replace(TERMS, claim_grace=Seconds(86_400)), long)

    assert (long.patience_seconds, long.fetch_patience_seconds, long.keeper_head_start_seconds) == (3_600, 3_600, 600)
    assert window.closes_at - window.last_call_at == 6 * 3_600
