"""Reservations: the orders for term leases that wait for a provider to open them."""

from __future__ import annotations

from msgspec import field

from marketplace.api.fields import Cursor, Moment, SignatureText, Uint, Word, WordText
from marketplace.api.orders import OrderDocument
from marketplace.api.record import BlockTold, Record, iso, money, price_text
from marketplace.domain.book import BookOrder
from marketplace.domain.market import MarketTerms
from marketplace.domain.orders import SignedOrder
from marketplace.domain.pricing import worst_cost_of


class ReservationTold(Record, frozen=True):
    """A waiting order for a term lease, with its signature: only providers can open it (P-21), and any of them may be the one."""

    id: WordText
    document: OrderDocument = field(name="order")
    signature: SignatureText
    accepted_at: Moment
    """Block time at which the gateway took it."""
    worst_cost: Uint
    accepted_time: Word | None = None
    starts_time: Word | None = None
    expires_time: Word | None = None
    worst_cost_human: Word = ""
    max_price_human: Word = ""

    @classmethod
    def of(cls, entry: BookOrder, terms: MarketTerms) -> ReservationTold:
        order = entry.signed.order
        worst = worst_cost_of(order)
        return cls(
            id=entry.id, document=OrderDocument.of(order), signature=entry.signed.signature, accepted_at=entry.accepted_at,
            worst_cost=Uint(worst), accepted_time=iso(entry.accepted_at), starts_time=iso(order.starts_at),
            expires_time=iso(order.expires_at), worst_cost_human=money(worst, terms), max_price_human=price_text(order.max_price, terms),
        )  # fmt: skip

    @property
    def signed(self) -> SignedOrder:
        """As it was told: that the id is the order's, and the signature its client's side's, is for the reader to check."""
        return SignedOrder(self.id, self.document.order, self.signature)


class ReservationPage(Record, frozen=True):
    """Oldest first."""

    items: list[ReservationTold]
    block: BlockTold
    next: Cursor = None
