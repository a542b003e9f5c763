"""Whether a fill holds (P-20), as the domain decides it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.budgets import Budget
from marketplace.domain.errors import InvalidField
from marketplace.domain.fills import (
    LAST_INSTANT,
    Fill,
    FillFacts,
    check_widths,
    refusal_of_fill,
    refusal_of_signer,
    refused,
)
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.leases import NO_LEASE, LeaseStatus
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime

CLIENT, PROVIDER, OPENER, ARBITER = (Address("0x" + digit * 40) for digit in "1234")
TERMS = MarketTerms(31337, Address("0x" + "5" * 40), Address("0x" + "6" * 40), "TUSD", 6, 1, Seconds(5), Seconds(15), Seconds(15),
                    Seconds(30), TokenUnits(100_000))  # fmt: skip
ORDER = Order(CLIENT, 0b10, OfferId(0), GpuCount(2), Seconds(3600), Seconds(60), PricePerGpuHour(400_000), Bps(1000), UnixTime(0),
              UnixTime(1000), TokenUnits(5), OPENER, ZERO_ADDRESS, ARBITER, Bytes32("0x" + "7" * 64), 1)  # fmt: skip
OFFER = Offer(OfferId(1), PROVIDER, ClassNumber(1), GpuCount(4), GpuCount(2), Bps(2000), UnixTime(2000), ARBITER,
              PricePerGpuHour(300_000), Seconds(60), Bytes32("0x" + "8" * 64))  # fmt: skip
PRICE = PricePerGpuHour(350_000)
LOCK, BOND = 700_000, 140_000
FACTS = FillFacts(UnixTime(999), OPENER, NO_LEASE, OFFER, TokenUnits(LOCK + 5), TokenUnits(BOND))


def refusal(order: Order = ORDER, facts: FillFacts = FACTS, price: int = PRICE) -> Refusal | None:
    fill = Fill(SignedOrder(Bytes32("0x" + "9" * 64), order, "0x"), OfferId(1), PricePerGpuHour(price))
    return refusal_of_fill(fill, facts, TERMS)


def test_a_fill_within_every_limit_holds() -> None:
    """Expiry, balances, bond and GPUs are each exactly enough (P-20)."""
    assert refusal() is None


BROKEN_ORDERS: list[tuple[dict[str, Any], Refusal]] = [
    ({"gpus": 0}, Refusal.BadAmounts),
    ({"max_seconds": 0, "min_seconds": 0}, Refusal.BadAmounts),
    ({"min_seconds": 3601}, Refusal.BadAmounts),
    ({"expires_at": 999}, Refusal.OrderExpired),
    ({"opener": ARBITER}, Refusal.OpenerNotAllowed),
    ({"opener": ZERO_ADDRESS}, Refusal.TipWithoutOpener),
    ({"classes": 0b01}, Refusal.ClassNotAccepted),
    ({"offer": 2}, Refusal.WrongOffer),
    ({"arbiter": CLIENT}, Refusal.WrongArbiter),
    ({"arbiter": ZERO_ADDRESS}, Refusal.WrongArbiter),
    ({"gpus": 3}, Refusal.NotEnoughGpus),
    ({"max_price": 349_999}, Refusal.PriceOutOfBounds),
    ({"min_bond_bps": 2001}, Refusal.BondTooSmall),
    ({"min_seconds": 59}, Refusal.MinSecondsTooSmall),
    ({"starts_at": 1000}, Refusal.TermLeaseNotByProvider),
    ({"tip": 6}, Refusal.ClientBalanceTooLow),
]


@pytest.mark.parametrize(("change", "expected"), BROKEN_ORDERS, ids=lambda case: getattr(case, "name", ""))
def test_an_order_that_breaks_one_rule_is_refused_for_it(change: dict[str, Any], expected: Refusal) -> None:
    """One violation, that very reason (P-20)."""
    assert refusal(replace(ORDER, **change)) is expected


TIGHT: list[dict[str, Any]] = [
    {"gpus": 1, "max_seconds": 7200}, {"max_seconds": 1, "min_seconds": 1}, {"min_seconds": 3600}, {"max_price": 350_000},
    {"min_bond_bps": 2000}, {"opener": ZERO_ADDRESS, "tip": 0}, {"offer": 1}, {"classes": 2**256 - 1}, {"expires_at": 2**40 - 1},
]  # fmt: skip


@pytest.mark.parametrize("change", TIGHT, ids=str)
def test_an_order_at_one_limit_is_served(change: dict[str, Any]) -> None:
    """One GPU, one second, all of it guaranteed, the very price and bond that are asked: what just fits is not refused (P-20)."""
    order = replace(ORDER, **change)
    facts = replace(FACTS, offer=replace(OFFER, min_seconds=Seconds(1 if order.max_seconds == 1 else 60)))

    assert refusal(order, facts) is None


def test_a_bond_is_at_most_the_whole_lock_and_an_offers_ask_is_a_price() -> None:
    """Both to the last unit (P-04, I-4)."""
    whole = replace(FACTS, offer=replace(OFFER, bond_bps=Bps(10_000)), provider_free=TokenUnits(LOCK))
    dear = replace(ORDER, max_price=PRICE)

    assert refusal(replace(ORDER, min_bond_bps=Bps(10_000)), whole) is None
    assert refusal(replace(ORDER, min_bond_bps=Bps(10_001)), whole) is Refusal.BondTooSmall
    assert refusal(dear, replace(FACTS, offer=replace(OFFER, price=PRICE))) is None


@pytest.mark.parametrize(("name", "bits"), [("gpus", 16), ("max_price", 80), ("tip", 96), ("salt", 256)])
def test_an_integer_fits_its_field_of_the_abi(name: str, bits: int) -> None:
    """From 0 to the last one; the field is named."""
    for value in (0, 2**bits - 1):
        check_widths(replace(ORDER, **{name: value}))  # type: ignore[arg-type]
    for value in (-1, 2**bits):
        with pytest.raises(InvalidField) as caught:
            check_widths(replace(ORDER, **{name: value}))  # type: ignore[arg-type]
        assert caught.value.field == name


def test_a_refusal_names_the_field_that_it_is_about() -> None:
    """As people and programs read it; of the market's own state there is none."""
    assert (refused(Refusal.NotEnoughGpus, "3 of 2").field, refused(Refusal.ProviderBalanceTooLow).field) == (
        "gpus",
        "",
    )
    assert "(3 of 2)" in str(refused(Refusal.NotEnoughGpus, "3 of 2"))


BROKEN_FACTS: list[tuple[dict[str, Any], Refusal]] = [
    ({"now": UnixTime(1000)}, Refusal.OrderExpired),
    ({"opener": ARBITER}, Refusal.OpenerNotAllowed),
    ({"offer": None}, Refusal.OfferNotAlive),
    ({"offer": replace(OFFER, expires_at=UnixTime(999))}, Refusal.OfferNotAlive),
    ({"offer": replace(OFFER, free=GpuCount(1))}, Refusal.NotEnoughGpus),
    ({"offer": replace(OFFER, price=PricePerGpuHour(350_001))}, Refusal.PriceOutOfBounds),
    ({"lease": replace(NO_LEASE, status=LeaseStatus.OPEN)}, Refusal.OrderLive),
    ({"lease": replace(NO_LEASE, status=LeaseStatus.CLOSED)}, Refusal.OrderClosed),
    ({"lease": replace(NO_LEASE, no_reopen=True)}, Refusal.OrderClosed),
    ({"lease": replace(NO_LEASE, opened_at=UnixTime(999))}, Refusal.TooSoon),
    ({"client_free": TokenUnits(LOCK + 4)}, Refusal.ClientBalanceTooLow),
    ({"provider_free": TokenUnits(BOND - 1)}, Refusal.ProviderBalanceTooLow),
]


@pytest.mark.parametrize(("change", "expected"), BROKEN_FACTS, ids=lambda case: getattr(case, "name", ""))
def test_a_market_that_does_not_allow_the_fill_refuses_it(change: dict[str, Any], expected: Refusal) -> None:
    """One fact too few, that very reason (P-20)."""
    assert refusal(facts=replace(FACTS, **change)) is expected


@pytest.mark.parametrize("price", [299_999, 400_001])
def test_a_price_outside_ask_and_limit_is_refused(price: int) -> None:
    """The price lies between the offer's ask and the order's maxPrice (I-4)."""
    rich = replace(FACTS, client_free=TokenUnits(10**12), provider_free=TokenUnits(10**12))

    assert refusal(facts=rich, price=price) is Refusal.PriceOutOfBounds


def test_the_tip_is_due_at_the_first_opening_only() -> None:
    """An order that was opened before needs the lock only (P-24)."""
    reopened = replace(
        FACTS, lease=replace(NO_LEASE, tip_paid=True, opened_at=UnixTime(900)), client_free=TokenUnits(LOCK)
    )

    assert refusal(facts=reopened) is None


def test_one_address_in_both_roles_needs_both_amounts() -> None:
    """A provider that rents from itself pays the bond out of what the lock left over (P-07)."""
    own = replace(FACTS, offer=replace(OFFER, provider=CLIENT), client_free=TokenUnits(LOCK + 5 + BOND - 1))

    assert refusal(facts=own) is Refusal.ProviderBalanceTooLow
    assert refusal(facts=replace(own, client_free=TokenUnits(LOCK + 5 + BOND))) is None


def test_a_term_lease_is_opened_by_its_provider_and_nobody_else() -> None:
    """It blocks GPUs for later; the client is no exception, and the order's opener is still asked (P-21)."""
    later = replace(ORDER, starts_at=UnixTime(1000))
    by_provider = replace(FACTS, opener=PROVIDER)

    assert refusal(replace(later, opener=PROVIDER), by_provider) is None
    assert refusal(replace(later, opener=PROVIDER), replace(FACTS, opener=CLIENT)) is Refusal.TermLeaseNotByProvider
    assert refusal(later, by_provider) is Refusal.OpenerNotAllowed
    assert refusal(replace(later, starts_at=UnixTime(999))) is None


def test_times_end_where_the_word_ends() -> None:
    """However long an order may last, it can be opened until 2106, and nothing can afterwards."""
    longest = replace(ORDER, max_seconds=Seconds(2**32 - 1), expires_at=UnixTime(2**40 - 1))
    rich = TokenUnits(10**15)
    offer = replace(OFFER, expires_at=UnixTime(2**40 - 1))
    facts = replace(FACTS, client_free=rich, provider_free=rich, offer=offer)

    assert refusal(longest, facts) is None
    assert refusal(longest, replace(facts, now=UnixTime(LAST_INSTANT))) is None
    assert refusal(longest, replace(facts, now=UnixTime(LAST_INSTANT + 1))) is Refusal.BadAmounts


COST = 2 * 400_000 + 5
"""T at maxPrice for an hour of two GPUs, and the tip."""


@pytest.mark.parametrize(
    ("signer", "left", "until", "expected"),
    [
        (CLIENT, 0, 0, None),
        (OPENER, COST, 1000, None),
        (OPENER, COST - 1, 1000, Refusal.OverBudget),
        (OPENER, COST, 999, Refusal.BadSignature),
        (OPENER, 0, 0, Refusal.BadSignature),
        (None, COST, 1000, Refusal.BadSignature),
    ],
)
def test_a_signature_is_the_clients_or_a_delegates_within_its_budget(
    signer: Address | None, left: int, until: int, expected: Refusal | None
) -> None:
    """What an opening can cost must be left, and a delegate whose time is over is nobody (P-20, P-25, I-7)."""
    budget = Budget(TokenUnits(left), UnixTime(until))

    assert refusal_of_signer(ORDER, signer, budget, UnixTime(999), charged=False) is expected


@pytest.mark.parametrize(
    ("signer", "left", "until", "expected"),
    [
        (OPENER, 0, 1000, None),
        (OPENER, COST, 999, Refusal.BadSignature),
        (OPENER, 0, 0, Refusal.BadSignature),
        (None, COST, 1000, Refusal.BadSignature),
    ],
)
def test_an_order_that_was_charged_needs_a_delegate_whose_time_runs_and_no_budget(
    signer: Address | None, left: int, until: int, expected: Refusal | None
) -> None:
    """A budget that is spent or lowered does not stop it; a delegate that was cleared, or is late, is nobody (P-20, I-7)."""
    budget = Budget(TokenUnits(left), UnixTime(until))

    assert refusal_of_signer(ORDER, signer, budget, UnixTime(999), charged=True) is expected


def test_the_client_may_open_its_own_order_past_a_named_opener() -> None:
    """The way around a censoring scheduler."""
    assert refusal(facts=replace(FACTS, opener=CLIENT)) is None
