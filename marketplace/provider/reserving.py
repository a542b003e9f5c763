"""Which reservations a provider accepts: ``[[reserve]]`` of its inventory, and what follows from it. Pure.

    [[reserve]]
    classes = ["H100-SXM-80GB"]   # of the offers that may be reserved
    longest = "30d"               # the longest term
    lead = "60d"                  # how long before it begins, at most: the GPUs are taken from the opening on
    price = "2.00"                # the least per GPU-hour; never below what the offer asks
    guaranteed_bps = 5000         # the least share of the term that the order guarantees

Nothing is reserved without such a table. The contract has no calendar: an opened term lease holds its GPUs from then on, and its
provider cannot give it back (P-21), so everything is asked before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from marketplace.domain.classes import GpuClass, class_named
from marketplace.domain.errors import InvalidField
from marketplace.domain.json_reader import Reader
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.units import (
    BPS_WHOLE,
    MAX_LEASE_SECONDS,
    Bps,
    PricePerGpuHour,
    Seconds,
    UnixTime,
    seconds_from_text,
    units_from_text,
)

MOST_RULES = 16
_MAX_PRICE = 2**80 - 1


class ReserveRefusal(StrEnum):
    """Why a provider leaves a reservation to others."""

    CLASS_NOT_RESERVED = "class_not_reserved"
    """No ``[[reserve]]`` is about a class that it accepts, or no offer of such a class stands."""
    BEGINS_TOO_SOON = "begins_too_soon"
    """There is no time left to open it before it begins, or it has expired."""
    LEAD_TOO_LONG = "lead_too_long"
    TERM_TOO_LONG = "term_too_long"
    PRICE_TOO_LOW = "price_too_low"
    GUARANTEE_TOO_SMALL = "guarantee_too_small"
    NOT_WORTH_ITS_GAS = "not_worth_its_gas"
    """What it guarantees is less than a multiple of what opening it costs."""
    SPEC_NOT_DELIVERED = "spec_not_delivered"
    SPEC_NOT_RUN = "spec_not_run"
    """The machine could not run its spec."""
    NOT_SIGNED = "not_signed"
    """Not by its client, nor by anybody who may sign for it."""
    CONTRACT_REFUSES = "contract_refuses"

    @property
    def may_pass(self) -> bool:
        """Whether it may be another answer after a while: GPUs come free, balances change, gateways come back."""
        return self in _PASSING


_PASSING = frozenset(
    {
        ReserveRefusal.LEAD_TOO_LONG,
        ReserveRefusal.NOT_WORTH_ITS_GAS,
        ReserveRefusal.SPEC_NOT_DELIVERED,
        ReserveRefusal.CONTRACT_REFUSES,
    }
)


@dataclass(frozen=True, slots=True)
class ReserveRule:
    """One ``[[reserve]]``."""

    classes: tuple[GpuClass, ...]
    longest: Seconds
    lead: Seconds
    price: PricePerGpuHour
    guaranteed_bps: Bps

    def is_about(self, order: Order) -> bool:
        return any(order.accepts(row.number) for row in self.classes)

    def refusal_of(self, order: Order, now: UnixTime) -> ReserveRefusal | None:
        """The first rule that the order breaks, whichever offer it would be opened on; prices in token units."""
        checks = (
            (not self.is_about(order), ReserveRefusal.CLASS_NOT_RESERVED),
            (not order.is_for_later(now) or now >= order.expires_at, ReserveRefusal.BEGINS_TOO_SOON),
            (order.starts_at - now > self.lead, ReserveRefusal.LEAD_TOO_LONG),
            (order.max_seconds > self.longest, ReserveRefusal.TERM_TOO_LONG),
            (order.max_price < self.price, ReserveRefusal.PRICE_TOO_LOW),
            (
                order.min_seconds * BPS_WHOLE < order.max_seconds * self.guaranteed_bps,
                ReserveRefusal.GUARANTEE_TOO_SMALL,
            ),
        )
        return next((refusal for is_broken, refusal in checks if is_broken), None)

    def price_on(self, offer: Offer) -> PricePerGpuHour:
        """What a lease on this offer is opened at: what the offer asks, or the least that is wanted for reservations."""
        return max(offer.price, self.price)


def refusal_by(rules: Sequence[ReserveRule], order: Order, now: UnixTime) -> ReserveRefusal | None:
    """None where one of the rules lets the order pass, else the word of the one that is about its class, and came nearest."""
    words = [rule.refusal_of(order, now) for rule in rules]
    if not words or None in words:
        return None if words else ReserveRefusal.CLASS_NOT_RESERVED
    nearness = list(ReserveRefusal)
    return max((word for word in words if word), key=nearness.index)


def read_rules(reader: Reader, decimals: int) -> tuple[ReserveRule, ...]:
    """The inventory's ``[[reserve]]`` tables; none where there are none. Raises InvalidField."""
    tables = reader.take("reserve", list, [])
    if len(tables) > MOST_RULES:
        raise InvalidField("reserve", f"must be at most {MOST_RULES} [[reserve]] tables")
    return tuple(_rule(Reader(table, f"reserve[{number}]"), decimals) for number, table in enumerate(tables))


def _rule(reader: Reader, decimals: int) -> ReserveRule:
    where = reader.where("classes")
    names = reader.texts("classes")
    if not names:
        raise InvalidField(where, "must name at least one class")
    price = units_from_text(reader.take("price", str), decimals, field=reader.where("price"))
    if not 1 <= price <= _MAX_PRICE:
        raise InvalidField(reader.where("price"), "must be above 0 and below 2^80 base units")
    rule = ReserveRule(
        tuple(class_named(name, field=where) for name in names), _seconds(reader, "longest"), _seconds(reader, "lead"),
        PricePerGpuHour(price), Bps(reader.number("guaranteed_bps", 0, BPS_WHOLE)),
    )  # fmt: skip
    reader.end()
    return rule


def _seconds(reader: Reader, name: str) -> Seconds:
    where = reader.where(name)
    seconds = seconds_from_text(reader.take(name, str), field=where)
    if seconds > MAX_LEASE_SECONDS:
        raise InvalidField(where, "must be below 2^32 seconds")
    return seconds
