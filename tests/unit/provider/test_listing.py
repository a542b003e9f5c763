"""Comparing the inventory with what is listed: nothing is listed twice, nothing that is gone stays on offer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, OfferId, bytes32_of
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.provider.inventory import InventoryOffer, read_inventory
from marketplace.provider.listing import Wanted, advised_balance, plan_listings
from marketplace.store.journal.wishes import AskedPrice

ARBITER = "0x" + "ab" * 20
NOW = UnixTime(1_000_000)
INVENTORY = read_inventory(
    f"""
region = "eu"
cpus = 8
memory_mib = 65536
disk_mib = 100000
[[offer]]
gpu = "RTX4090"
count = 2
price = "0.36"
bond_bps = 1000
arbiter = "{ARBITER}"
expires = 2030-01-01T00:00:00Z
""".encode(),
    decimals=6,
)
(WANTED,) = INVENTORY.offers


def listed(number: int = 1, wanted: InventoryOffer = WANTED) -> Offer:
    """The listing of this part of the inventory, as the chain has it."""
    return Offer(
        OfferId(number), Address("0x" + "22" * 20), wanted.gpu.number, wanted.count, wanted.count, wanted.bond_bps,
        wanted.term.expiry(NOW), wanted.arbiter, wanted.price, wanted.min_seconds, bytes32_of(wanted.machine.sha256),
    )  # fmt: skip


def test_missing_offer_is_listed() -> None:
    """What is in the file and not on the chain is to be listed."""
    plan = plan_listings(Wanted(INVENTORY), [], NOW)

    assert plan.missing == (WANTED,)
    assert (plan.standing, plan.to_reprice, plan.to_withdraw) == ((), (), ())


def test_listed_offer_is_left_alone() -> None:
    """A listing that says what the file says costs no gas."""
    plan = plan_listings(Wanted(INVENTORY), [listed()], NOW)

    assert plan.standing == ((WANTED, listed()),)
    assert (plan.missing, plan.to_reprice, plan.to_withdraw) == ((), (), ())


@pytest.mark.parametrize(
    "changed", [{"price": PricePerGpuHour(1)}, {"expires_at": UnixTime(NOW + 1)}, {"expires_at": UnixTime(5)}]
)
def test_changed_terms_are_repriced(changed: dict[str, int]) -> None:
    """Price and expiry may change: the listing keeps its number and its record. One that has expired is revived."""
    offer = replace(listed(), **changed)  # type: ignore[arg-type]
    plan = plan_listings(Wanted(INVENTORY), [offer], NOW)

    assert plan.to_reprice == ((WANTED, offer),)
    assert (plan.missing, plan.to_withdraw) == ((), ())


@pytest.mark.parametrize(
    "changed",
    [
        {"gpus": GpuCount(3)},
        {"bond_bps": Bps(1)},
        {"min_seconds": Seconds(1)},
        {"arbiter": ZERO_ADDRESS},
        {"spec": Bytes32("0x" + "00" * 32)},
    ],
)
def test_what_cannot_change_is_withdrawn_and_listed_anew(changed: dict[str, object]) -> None:
    """GPUs, bond, arbiter, minSeconds and machine never change: the old listing goes, a new one comes."""
    offer = replace(listed(), **changed)  # type: ignore[arg-type]
    plan = plan_listings(Wanted(INVENTORY), [offer], NOW)

    assert plan.missing == (WANTED,)
    assert plan.to_withdraw == (offer,)


def test_second_listing_of_the_same_is_withdrawn() -> None:
    """Capacity is never on offer twice, even if a crash once listed it twice."""
    plan = plan_listings(Wanted(INVENTORY), [listed(1), listed(2)], NOW)

    assert plan.standing == ((WANTED, listed(1)),)
    assert plan.to_withdraw == (listed(2),)


def test_expired_listing_is_not_withdrawn_again() -> None:
    """What is off the market already needs no transaction."""
    gone = replace(listed(2), bond_bps=Bps(1), expires_at=NOW)

    assert not plan_listings(Wanted(INVENTORY), [listed(1), gone], NOW).to_withdraw


def test_nothing_is_on_offer_while_nothing_is_wanted() -> None:
    """Paused: every live offer goes, none comes, and the agent still knows which part of the inventory each stands for."""
    plan = plan_listings(Wanted(INVENTORY, is_open=False), [listed(1), replace(listed(2), bond_bps=Bps(1))], NOW)

    assert [offer.id for offer in plan.to_withdraw] == [1, 2]
    assert (plan.missing, plan.to_reprice) == ((), ())
    assert plan.standing == ((WANTED, listed(1)),)


def test_a_withdrawn_offer_is_revived_when_wanted_again() -> None:
    """Resumed: the same listing, with its number and its record, gets its expiry back."""
    withdrawn = replace(listed(), expires_at=UnixTime(NOW - 1))

    assert plan_listings(Wanted(INVENTORY, is_open=False), [withdrawn], NOW).to_withdraw == ()
    assert plan_listings(Wanted(INVENTORY), [withdrawn], NOW).to_reprice == ((WANTED, withdrawn),)


@pytest.mark.parametrize(("instead_of", "price"), [(WANTED.price, 500_000), (PricePerGpuHour(1), WANTED.price)])
def test_a_price_asked_for_holds_until_the_file_says_another(instead_of: PricePerGpuHour, price: int) -> None:
    """A command's price replaces the file's; one that replaced another price of the file is over."""
    asked = {OfferId(1): AskedPrice(PricePerGpuHour(500_000), instead_of)}
    wanted = Wanted(INVENTORY, prices=asked)

    assert wanted.price_of(WANTED, OfferId(1)) == price
    assert wanted.price_of(WANTED, OfferId(2)) == WANTED.price
    assert bool(plan_listings(wanted, [listed()], NOW).to_reprice) == (price != WANTED.price)


def test_advised_balance_covers_the_bonds_of_every_gpu() -> None:
    """An hour-long lease on each of two GPUs at 0.36 locks a bond of the floor, 0.10, twice."""
    terms = MarketTerms(
        1,
        ZERO_ADDRESS,
        ZERO_ADDRESS,
        "USD",
        6,
        0,
        Seconds(5),
        Seconds(15),
        Seconds(15),
        Seconds(30),
        TokenUnits(100_000),
    )

    assert advised_balance(INVENTORY, terms) == 200_000
