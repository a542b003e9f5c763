"""What is offered for gas: never more than the cap, and enough more that every pool takes the replacement."""

from __future__ import annotations

import pytest

from marketplace.chain.fees import MAX_TRANSACTION_GAS, FeeOffer, FeePolicy, Fees, patience_of
from marketplace.domain.chain_errors import FeesTooHigh, NodeRefused

FEES = Fees(base_wei=100, tip_wei=10, block_gas_limit=30_000_000)


def test_an_offer_bears_a_base_fee_that_doubles_and_no_more_than_the_cap() -> None:
    """Where the cap does not pay the next block, nothing is offered."""
    assert [FEES.offer(cap) for cap in (1_000, 210, 105, 100)] == [
        FeeOffer(210, 10), FeeOffer(210, 10), FeeOffer(105, 10), FeeOffer(100, 10),
    ]  # fmt: skip
    assert Fees(0, 10, 1).offer(4) == FeeOffer(4, 4)
    assert FEES.likely_wei == 110
    with pytest.raises(FeesTooHigh):
        FEES.offer(99)


@pytest.mark.parametrize(
    ("offered", "fees", "cap", "raised"),
    [
        (FeeOffer(80, 8), Fees(10, 1, 1), 1_000, FeeOffer(90, 9)),
        (FeeOffer(81, 9), Fees(10, 1, 1), 1_000, FeeOffer(92, 11)),
        (FeeOffer(80, 8), Fees(100, 20, 1), 1_000, FeeOffer(220, 20)),
        (FeeOffer(80, 8), Fees(100, 20, 1), 90, FeeOffer(90, 20)),
        (FeeOffer(80, 8), Fees(100, 20, 1), 89, None),
        (FeeOffer(80, 80), Fees(10, 91, 1), 90, None),
    ],
    ids=[
        "an eighth more",
        "rounded up",
        "what gas costs now",
        "as far as the cap",
        "a cap below an eighth more",
        "a tip above it all",
    ],
)
def test_a_replacement_pays_an_eighth_more_or_there_is_none(
    offered: FeeOffer, fees: Fees, cap: int, raised: FeeOffer | None
) -> None:
    """Of both fees, rounded up, and what gas costs by now, as far as the cap goes."""
    assert offered.raised(fees, cap) == raised


def test_gas_is_bounded_by_block_and_protocol() -> None:
    """Twice the estimate and some, never more than a block takes; an estimate of more than that is refused."""
    small = Fees(1, 1, 1_000_000)

    assert [small.gas_limit(estimate) for estimate in (100_000, 400_000, 1_000_000)] == [400_000, 1_000_000, 1_000_000]
    assert FEES.gas_limit(MAX_TRANSACTION_GAS) == MAX_TRANSACTION_GAS
    for fees, estimate in ((small, 1_000_001), (FEES, MAX_TRANSACTION_GAS + 1)):
        with pytest.raises(NodeRefused):
            fees.gas_limit(estimate)


def test_no_more_is_paid_than_is_at_stake() -> None:
    """But never less than was offered first, and never more than the most; where worth or stake is not known, the most."""
    policy = FeePolicy(most_wei=500, wei_per_unit=3)

    assert [policy.cap_wei(stake, 10) for stake in (0, 100, 1_000, 10_000)] == [500, 30, 300, 500]
    assert [policy.cap_wei(100, 10, FeeOffer(most, 1)) for most in (20, 40, 600)] == [30, 40, 500]
    assert (policy.cap_wei(100, 0), FeePolicy(500).cap_wei(100, 10)) == (300, 500)
    assert (patience_of("claim"), patience_of("deposit")) == (1, 4)
