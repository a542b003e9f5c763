"""Token buckets: so many at once, so many a second, each sender for itself."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from marketplace.domain.errors import TooManyRequests
from marketplace.services.rate_limits import MOST_BUCKETS, Cost, Rate, RateLimits, network_of

SLOW = dict.fromkeys(Cost, Rate(2, 4))


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def admitted(limits: RateLimits, times: int, host: str = "192.0.2.1", cost: Cost = Cost.READ) -> int:
    """How many of so many requests are let through."""
    count = 0
    for _ in range(times):
        try:
            limits.admit_address(host, cost)
            count += 1
        except TooManyRequests:
            continue
    return count


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    """Silence fills the bucket again, and not beyond its brim."""
    clock = Clock()
    limits = RateLimits(None, clock, SLOW, SLOW)

    assert admitted(limits, 10) == 4
    clock.now += 1
    assert admitted(limits, 10) == 2
    clock.now += 1_000
    assert admitted(limits, 10) == 4


def test_senders_and_costs_have_their_own_buckets() -> None:
    """Who asks too often slows down nobody else; nor do its cheap requests use up its costly ones, or its address's its account's."""
    limits = RateLimits(None, Clock(), SLOW, SLOW)
    assert admitted(limits, 9) == 4

    assert admitted(limits, 9, "192.0.2.2") == 4
    assert admitted(limits, 9, cost=Cost.COSTLY) == 4
    limits.admit_account("192.0.2.1", Cost.READ)


def test_addresses_and_accounts_have_rates_of_their_own() -> None:
    """Behind one address there may be many accounts; and an account's bucket stands after it was forgotten, as full as at first."""
    limits = RateLimits(None, Clock(), SLOW, dict.fromkeys(Cost, Rate(2, 1)))
    limits.admit_account("somebody", Cost.READ)
    with pytest.raises(TooManyRequests, match="2 read requests a second of account: wait 1 s"):
        limits.admit_account("somebody", Cost.READ)

    assert admitted(limits, 9) == 4


def test_a_subscriber_of_ipv6_is_one_sender() -> None:
    """Somebody who has 2^64 addresses has one bucket; addresses of IPv4 are their own, however they are written."""
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1:2:3") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("testclient") == "unknown"


def test_memory_is_bounded() -> None:
    """A flood from ever new addresses makes the longest silent be forgotten."""
    limits = RateLimits(None, Clock(), SLOW, SLOW)
    for number in range(MOST_BUCKETS + 10):
        limits.admit_account(str(number), Cost.READ)

    assert len(limits._buckets) == MOST_BUCKETS


def test_a_clock_that_goes_back_gives_and_takes_nothing() -> None:
    """The clock is the wall's, and may be set."""
    clock = Clock()
    limits = RateLimits(None, clock, SLOW, SLOW)
    assert admitted(limits, 4) == 4
    clock.now -= 500
    with pytest.raises(TooManyRequests):
        limits.admit_address("192.0.2.1", Cost.READ)
