"""The arithmetic on money in Python and in Solidity, seen through balances: same inputs, same outputs (P-03, P-04)."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.chain import verbs
from marketplace.domain import events
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.pricing import bond_of, earned_rounded_down, lock_of
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits

ENOUGH = 2**130
LONGEST = 2 * 10**9
"""A deadline must fit in 32 bits of Unix time."""


def often_round(largest: int) -> st.SearchStrategy[int]:
    """Small numbers, large ones, and those on which roundings turn."""
    return st.one_of(st.integers(0, largest), st.integers(0, 4_000), st.sampled_from([3600, 3599, largest]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    price=often_round(2**80 - 1),
    gpus=st.integers(1, 2**16 - 1),
    max_seconds=often_round(LONGEST).map(lambda seconds: max(1, min(seconds, LONGEST))),
    bond_bps=st.integers(0, 10_000),
    cuts=st.tuples(st.integers(0, LONGEST), st.integers(0, LONGEST)),
)
def test_locks_bonds_and_earnings_are_the_contracts(
    trading: Any, price: int, gpus: int, max_seconds: int, bond_bps: int, cuts: tuple[int, int]
) -> None:
    """T, B and E of any price, GPUs, seconds and share move the balances as computed; cutting a payment changes nothing."""
    if trading.free(trading.client) < ENOUGH:
        trading.fund(trading.client, 100 * ENOUGH)
        trading.fund(trading.provider, 100 * ENOUGH)
    offer: Offer = trading.list(price=PricePerGpuHour(price), gpus=GpuCount(gpus), bond_bps=Bps(bond_bps))
    signed = trading.signed(
        gpus=GpuCount(gpus), max_seconds=Seconds(max_seconds), min_seconds=Seconds(max_seconds),
        max_price=PricePerGpuHour(2**80 - 1),
    )  # fmt: skip
    order: Order = signed.order
    before = trading.free(trading.client), trading.free(trading.provider)
    part, used = sorted(cut % (max_seconds + 1) for cut in cuts)

    trading.open(signed, offer)
    locked = lock_of(order, offer.price)
    bond = bond_of(locked, offer.bond_bps, trading.market.terms().bond_floor)

    assert trading.free(trading.client) == before[0] - locked
    assert trading.free(trading.provider) == before[1] - bond

    found = trading.settle([trading.receipted(order, part, last=False), trading.receipted(order, used, last=True)])
    settled = [event for event in found.events if isinstance(event, events.LeaseSettled)]
    earned = earned_rounded_down(offer.price, order.gpus, Seconds(used))

    assert sum(event.paid for event in settled) == earned
    assert settled[-1].refund == locked - earned
    assert settled[-1].bond == bond
    assert trading.free(trading.client) == before[0] - earned
    assert trading.free(trading.provider) == before[1] + earned


def test_an_expired_lease_pays_the_client_out_of_the_bond(trading: Any) -> None:
    """Never more than T, however large the bond, and never more than B, however large T."""
    for price, bond_bps in ((0, 0), (3_600_000, 10_000), (360_000_000, 500)):
        trading.fund(trading.client, 10**9)
        trading.fund(trading.provider, 10**9)
        offer = trading.list(price=PricePerGpuHour(price), bond_bps=Bps(bond_bps))
        signed = trading.signed(max_price=PricePerGpuHour(price), max_seconds=Seconds(60))
        before = trading.free(trading.client), trading.free(trading.provider)
        opened = trading.open(signed, offer).block.timestamp
        trading.at(opened + 60 + trading.market.terms().claim_grace)
        (expired,) = trading.send(trading.opener, verbs.expire(trading.market.address, signed.order)).events

        locked = lock_of(signed.order, offer.price)
        bond = bond_of(locked, offer.bond_bps, TokenUnits(100_000))
        assert isinstance(expired, events.LeaseExpired)
        assert expired.compensation == min(locked, bond)
        assert trading.free(trading.client) == before[0] + min(locked, bond)
        assert trading.free(trading.provider) == before[1] - min(locked, bond)
