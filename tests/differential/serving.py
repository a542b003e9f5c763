"""An order that is being served, and what follows from its terms (P-03, P-04)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.differential.shapes import LIVE, NOBODY, Address, Constants, Lease, Offer, Order, Status, Word

SECONDS_PER_HOUR = 3600


def earned(price: int, gpus: int, seconds: int) -> int:
    """E(s), rounded down (P-03)."""
    return price * gpus * seconds // SECONDS_PER_HOUR


def total(price: int, gpus: int, seconds: int) -> int:
    """T, rounded up (P-03)."""
    return -(-price * gpus * seconds // SECONDS_PER_HOUR)


@dataclass(slots=True)
class Serving:
    """An order, the word that is kept of it, the offer that serves it, and what follows from the three."""

    id: Word
    order: Order
    lease: Lease
    offer: Offer
    constants: Constants

    def earned(self, seconds: int) -> int:
        return earned(self.lease.price, self.order.gpus, seconds)

    @property
    def total(self) -> int:
        return total(self.lease.price, self.order.gpus, self.order.max_seconds)

    @property
    def bond(self) -> int:
        """B (P-04)."""
        return max(self.total * self.offer.bond_bps // 10_000, self.constants.bond_floor)

    @property
    def start(self) -> int:
        return max(self.lease.opened_at, self.order.starts_at)

    @property
    def deadline(self) -> int:
        return self.start + self.order.max_seconds + self.constants.claim_grace

    @property
    def is_term_lease(self) -> bool:
        """Metering started after the opening (P-21)."""
        return self.order.starts_at > self.lease.opened_at

    @property
    def disputer(self) -> Address:
        return self.order.acceptor if self.lease.by_acceptor else self.order.client

    def elapsed(self, now: int) -> int:
        return min(self.order.max_seconds, max(0, now - self.start))

    def most_agreed(self, now: int) -> int:
        """The most that both sides may settle on by now."""
        return min(self.order.max_seconds, max(self.elapsed(now), self.order.min_seconds))

    @property
    def most_owed(self) -> int:
        """m of the exit table: what is in dispute or paid, or guaranteed where the dispute came before ``start + minSeconds``."""
        is_early = self.lease.changed_at < self.start + self.order.min_seconds
        return max(self.lease.claimed_seconds, self.lease.paid_seconds, self.order.min_seconds if is_early else 0)

    def is_client_side(self, who: Address) -> bool:
        return who != NOBODY and who in (self.order.client, self.order.acceptor)

    @property
    def locked(self) -> int:
        """What the market still holds of it (I-2)."""
        if self.lease.status not in LIVE:
            return 0
        stakes = 2 if self.lease.status is Status.DISPUTED else 1
        return self.total - self.earned(self.lease.paid_seconds) + stakes * self.bond
