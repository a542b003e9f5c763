"""Which reservations a provider accepts, and on which offer, at which price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import ZERO_ADDRESS, ZERO_BYTES32, Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.leases import NO_LEASE
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.spec import JobSpec, Resources
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.provider.checking import CheckLevel, findings_of_inventory
from marketplace.provider.gpus.rig import GpuRig
from marketplace.provider.inventory import read_inventory
from marketplace.provider.reservations import LeftToOthers, ReservationCandidate, ReservationFacts, fill_for
from marketplace.provider.reserving import ReserveRefusal, refusal_by
from tests.works import WORK

CLIENT, PROVIDER, ARBITER = (Address("0x" + digit * 40) for digit in "123")
NOW = UnixTime(1_800_000_000)
DAY = 86_400
DOLLAR = 1_000_000
INVENTORY = """
region = "eu"
cpus = 4
memory_mib = 4096
disk_mib = 2048
[[offer]]
gpu = "RTX4090"
count = 2
price = "1"
bond_bps = 1000
arbiter = "0xabababababababababababababababababababab"
days = 1
"""
RESERVE = """
[[reserve]]
classes = ["RTX4090"]
longest = "30d"
lead = "60d"
price = "2"
guaranteed_bps = 5000
"""
SHORT = """
[[reserve]]
classes = ["RTX4090", "H100-SXM-80GB"]
longest = "1d"
lead = "1d"
price = "1"
guaranteed_bps = 0
"""
READ = read_inventory((INVENTORY + RESERVE).encode(), decimals=6)
(RULE,), (PART,) = READ.reserve, READ.offers
ORDER = Order(
    client=CLIENT, classes=1 << 1, offer=OfferId(0), gpus=GpuCount(1), max_seconds=Seconds(30 * DAY), min_seconds=Seconds(15 * DAY),
    max_price=PricePerGpuHour(2 * DOLLAR), min_bond_bps=Bps(0), starts_at=UnixTime(NOW + 60 * DAY), expires_at=UnixTime(NOW + DAY),
    tip=TokenUnits(0), opener=ZERO_ADDRESS, acceptor=ZERO_ADDRESS, arbiter=ARBITER, spec=ZERO_BYTES32, salt=1,
)  # fmt: skip
OFFER = Offer(
    OfferId(3), PROVIDER, ClassNumber(1), GpuCount(2), GpuCount(2), Bps(1_000), UnixTime(NOW + DAY), ARBITER,
    PricePerGpuHour(DOLLAR), Seconds(0), ZERO_BYTES32,
)  # fmt: skip
TERMS = MarketTerms(
    chain_id=1, market=ARBITER, token=ARBITER, token_symbol="D", token_decimals=6, deployed_at_block=0, start_grace=Seconds(5),
    claim_grace=Seconds(5), challenge_window=Seconds(5), ruling_window=Seconds(5), bond_floor=TokenUnits(1),
)  # fmt: skip
LOCKED = lock_of(ORDER, PricePerGpuHour(2 * DOLLAR))
BOND = bond_of(LOCKED, OFFER.bond_bps, TERMS.bond_floor)
SIGNED = SignedOrder(Bytes32("0x" + "5" * 64), ORDER, "0x")
CANDIDATE = ReservationCandidate(SIGNED, JobSpec(WORK, resources=Resources(memory_mib=256, disk_mib=64)))
FACTS = ReservationFacts(NOW, NO_LEASE, ((OFFER, PART),), {CLIENT: LOCKED, PROVIDER: BOND}, PROVIDER)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"classes": 1 << 2}, ReserveRefusal.CLASS_NOT_RESERVED),
        ({"starts_at": NOW, "expires_at": NOW}, ReserveRefusal.BEGINS_TOO_SOON),
        ({"expires_at": NOW}, ReserveRefusal.BEGINS_TOO_SOON),
        ({"starts_at": NOW + 60 * DAY + 1}, ReserveRefusal.LEAD_TOO_LONG),
        ({"max_seconds": 30 * DAY + 1, "min_seconds": 30 * DAY}, ReserveRefusal.TERM_TOO_LONG),
        ({"max_price": 2 * DOLLAR - 1}, ReserveRefusal.PRICE_TOO_LOW),
        ({"min_seconds": 15 * DAY - 1}, ReserveRefusal.GUARANTEE_TOO_SMALL),
    ],
    ids=str,
)
def test_each_rule_has_its_word_on_either_side(changed: dict[str, int], expected: ReserveRefusal | None) -> None:
    """What keeps all of a table's rules to the last second and unit passes; one step beyond each has that rule's reason."""
    assert RULE.refusal_of(replace(ORDER, **changed), NOW) is expected  # type: ignore[arg-type]


def test_several_tables_are_alternatives_and_none_is_a_refusal() -> None:
    """One table that lets it pass is enough, the nearest miss is told where none does, and without any table nothing is reserved."""
    rules = read_inventory((INVENTORY + RESERVE + SHORT).encode(), decimals=6).reserve
    tomorrow = replace(
        ORDER,
        starts_at=UnixTime(NOW + DAY),
        max_seconds=Seconds(DAY),
        min_seconds=Seconds(0),
        max_price=PricePerGpuHour(DOLLAR),
    )

    assert refusal_by(rules, ORDER, NOW) is None
    assert refusal_by(rules, tomorrow, NOW) is None
    assert refusal_by(rules, replace(tomorrow, max_seconds=Seconds(DAY + 1)), NOW) is ReserveRefusal.PRICE_TOO_LOW
    assert refusal_by((), ORDER, NOW) is ReserveRefusal.CLASS_NOT_RESERVED


def test_it_is_opened_on_the_cheapest_offer_at_no_less_than_the_tables_price() -> None:
    """The price is what the offer asks, or the least for reservations where that is more; never beyond the order's limit."""
    dear = replace(OFFER, id=OfferId(2), price=PricePerGpuHour(3 * DOLLAR))
    found = fill_for(CANDIDATE, READ.reserve, replace(FACTS, places=((dear, PART), (OFFER, PART))), TERMS)

    assert not isinstance(found, LeftToOthers)
    assert (found.offer, found.price) == (OFFER.id, 2 * DOLLAR)
    assert fill_for(CANDIDATE, READ.reserve, replace(FACTS, places=((dear, PART),)), TERMS) == LeftToOthers(
        ReserveRefusal.CONTRACT_REFUSES, "PriceOutOfBounds"
    )


def test_what_cannot_be_given_back_is_asked_before() -> None:
    """The machine, both balances to the unit, and the GPUs: a term lease cannot be declined, so nothing is opened that would have to be."""
    spec = replace(CANDIDATE.spec, resources=Resources(memory_mib=256, disk_mib=1_025))
    large = fill_for(replace(CANDIDATE, spec=spec), READ.reserve, FACTS, TERMS)
    assert isinstance(large, LeftToOthers)
    assert large.reason is ReserveRefusal.SPEC_NOT_RUN
    for facts, word in (
        (replace(FACTS, balances={CLIENT: TokenUnits(LOCKED - 1), PROVIDER: BOND}), "ClientBalanceTooLow"),
        (replace(FACTS, balances={CLIENT: LOCKED, PROVIDER: TokenUnits(BOND - 1)}), "ProviderBalanceTooLow"),
        (replace(FACTS, places=((replace(OFFER, free=GpuCount(0)), PART),)), "NotEnoughGpus"),
    ):
        assert fill_for(CANDIDATE, READ.reserve, facts, TERMS) == LeftToOthers(ReserveRefusal.CONTRACT_REFUSES, word)  # type: ignore[arg-type]
    assert fill_for(CANDIDATE, READ.reserve, replace(FACTS, places=()), TERMS) == LeftToOthers(
        ReserveRefusal.CLASS_NOT_RESERVED
    )


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ('"RTX4090"', '"RTX9999"', "reserve[0].classes"),
        ('["RTX4090"]', "[]", "reserve[0].classes"),
        ('"30d"', '"0d"', "reserve[0].longest"),
        ('"60d"', '"99999d"', "reserve[0].lead"),
        ('"2"', '"0"', "reserve[0].price"),
        ("5000", "10001", "reserve[0].guaranteed_bps"),
        ("guaranteed_bps = 5000", "", "reserve[0].guaranteed_bps"),
        ("longest", "shortest", "reserve[0].longest"),
    ],
    ids=str,
)
def test_a_wrong_table_names_its_field(before: str, after: str, field: str) -> None:
    """A policy that cannot be read is refused with the field, and never means something else."""
    with pytest.raises(InvalidField) as told:
        read_inventory((INVENTORY + RESERVE.replace(before, after)).encode(), decimals=6)

    assert told.value.field == field


def test_a_check_names_classes_that_nobody_offers_and_a_guarantee_of_nothing() -> None:
    """`bourse provider check` holds each table against the file's offers."""
    whole, loose = SHORT, SHORT.replace(', "H100-SXM-80GB"', "")
    found = {
        text: [one for one in findings_of_inventory(read_inventory((INVENTORY + text).encode(), decimals=6), GpuRig()) if "reserve" in one.about]
        for text in (RESERVE, whole, loose)
    }  # fmt: skip

    assert [one.level for one in found[RESERVE]] == [CheckLevel.GOOD]
    assert [(one.level, "H100-SXM-80GB" in one.said) for one in found[whole]] == [(CheckLevel.PROBLEM, True)]
    assert [one.level for one in found[loose]] == [CheckLevel.ADVICE]


def test_what_may_pass_by_itself_is_looked_at_again() -> None:
    """Nobody is turned away for good for what a gateway did not deliver, what is busy, or what lies too far ahead as yet."""
    assert {reason for reason in ReserveRefusal if reason.may_pass} == {
        ReserveRefusal.LEAD_TOO_LONG, ReserveRefusal.NOT_WORTH_ITS_GAS, ReserveRefusal.SPEC_NOT_DELIVERED, ReserveRefusal.CONTRACT_REFUSES,
    }  # fmt: skip
