"""Leases that live and end, as the events of a market: what reputations are made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from marketplace.domain import events as e
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.ledger import Rows, apply
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.reputation import Evidence, evidence_of
from marketplace.domain.units import TokenUnits, UnixTime
from tests.unit.engine.markets import ARBITER, DOLLAR, OPENER, PEOPLE, an_offer, an_order

FLOOR = TokenUnits(DOLLAR // 2)
PROVIDER, CLIENT = PEOPLE[0], PEOPLE[-1]
START = UnixTime(1_000_000)
NOTHING = TokenUnits(0)


@dataclass
class Life:
    """A market's history that grows. One GPU, one dollar an hour, for at most ten hours, unless said otherwise."""

    told: list[e.Event] = field(default_factory=list)
    state: Rows = field(default_factory=Rows)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def tell(self, event: e.Event) -> Evidence | None:
        """The next event of the market; what it says about a provider."""
        said = evidence_of(self.state, event, FLOOR)
        self.state = apply(self.state, event, FLOOR).over(self.state)
        self.told.append(event)
        return said

    def ref(self, at: int) -> e.LogRef:
        number = next(self.numbers)
        return e.LogRef(BlockRef(number, Bytes32(f"0x{number:064x}"), UnixTime(at)), Bytes32("0x" + "77" * 32), 0)

    def open(self, *, at: int = START, provider: Address = PROVIDER, price: int = DOLLAR, **order: Any) -> Bytes32:
        """A lease that begins; its id."""
        number = next(self.numbers)
        offer: Offer = an_offer(number, provider=provider, gpus=8, free=8, bond_bps=1_000, price=price)
        asked: Order = replace(an_order().signed.order, max_seconds=36_000, salt=number, **order)
        lease = Bytes32(f"0x{number:064x}")
        self.tell(e.OfferListed(self.ref(at), offer))
        self.tell(e.LeaseOpened(self.ref(at), lease, offer.id, asked.client, OPENER, offer.price, asked))
        return lease

    def settle(self, lease: Bytes32, used: int, at: int, *, last: bool = True) -> Evidence | None:
        money = (NOTHING, NOTHING, NOTHING, NOTHING)
        return self.tell(e.LeaseSettled(self.ref(at), lease, used, lease, last, *money))

    def claim(self, lease: Bytes32, used: int, at: int) -> Evidence | None:
        return self.tell(e.LeaseClaimed(self.ref(at), lease, used, lease))

    def finalize(self, lease: Bytes32, paid_seconds: int, at: int) -> Evidence | None:
        return self.tell(e.LeaseFinalized(self.ref(at), lease, paid_seconds, NOTHING, NOTHING, NOTHING))

    def terminate(self, lease: Bytes32, paid_seconds: int, at: int) -> Evidence | None:
        return self.tell(e.LeaseTerminated(self.ref(at), lease, CLIENT, paid_seconds, NOTHING, NOTHING, NOTHING))

    def decline(self, lease: Bytes32, at: int) -> Evidence | None:
        return self.tell(e.LeaseDeclined(self.ref(at), lease, 0, NOTHING, NOTHING))

    def expire(self, lease: Bytes32, at: int) -> Evidence | None:
        return self.tell(e.LeaseExpired(self.ref(at), lease, NOTHING, NOTHING, NOTHING))

    def dispute(self, lease: Bytes32, claimed: int, at: int) -> Evidence | None:
        return self.tell(e.LeaseDisputed(self.ref(at), lease, CLIENT, claimed, NOTHING))

    def rule(self, lease: Bytes32, paid_seconds: int, at: int, *, is_at_fault: bool) -> Evidence | None:
        money = (NOTHING,) * 5
        return self.tell(e.LeaseRuled(self.ref(at), lease, is_at_fault, paid_seconds, *money))

    def lapse(self, lease: Bytes32, paid_seconds: int, at: int) -> Evidence | None:
        return self.tell(e.LeaseLapsed(self.ref(at), lease, paid_seconds, *(NOTHING,) * 4))

    def assign(self, lease: Bytes32, payee: Address, at: int) -> Evidence | None:
        return self.tell(e.LeaseAssigned(self.ref(at), lease, PROVIDER, payee))


__all__ = ["ARBITER", "CLIENT", "DOLLAR", "FLOOR", "PEOPLE", "PROVIDER", "START", "Life"]
