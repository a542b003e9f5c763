"""A fill: this order on that offer. Whether one holds (P-20), decided as the contract decides it, but without a chain.

The gateway asks before it takes an order, the engine before it places one. The contract asks again, and only its answer moves money.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter, lt
from typing import NamedTuple

from marketplace.domain.budgets import Budget
from marketplace.domain.errors import InvalidField, Refused
from marketplace.domain.ids import ZERO_ADDRESS, Address, OfferId
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.pricing import bond_of, lock_of, worst_cost_of
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import BPS_WHOLE, PricePerGpuHour, TokenUnits, UnixTime

_WIDTHS = {
    "classes": 256, "offer": 40, "gpus": 16, "max_seconds": 32, "min_seconds": 32, "max_price": 80, "min_bond_bps": 16,
    "starts_at": 40, "expires_at": 40, "tip": 96, "salt": 256,
}  # fmt: skip
_INTEGERS, _LIMITS = attrgetter(*_WIDTHS), tuple(1 << bits for bits in _WIDTHS.values())
LAST_INSTANT = 2**32 - 1
"""The lease's word holds no later time: from then on nothing is opened."""


class Fill(NamedTuple):
    """A proposal to the contract: this order, on this offer, at this price. A round makes ten thousand of them at once."""

    signed: SignedOrder
    offer: OfferId
    price: PricePerGpuHour


@dataclass(frozen=True, slots=True)
class FillFacts:
    """What the contract knows at the moment of opening."""

    now: UnixTime
    opener: Address
    lease: Lease
    offer: Offer | None
    client_free: TokenUnits
    provider_free: TokenUnits


def check_widths(order: Order) -> None:
    """Raise InvalidField for the first integer that does not fit its field of the ABI."""
    for name, bits in _WIDTHS.items():
        value = getattr(order, name)
        if not 0 <= value < 1 << bits:
            raise InvalidField(name, f"must be an integer from 0 to 2^{bits} - 1")


def fits_widths(order: Order) -> bool:
    """Whether every integer, none below 0, fits its field of the ABI."""
    return all(map(lt, _INTEGERS(order), _LIMITS))


def refusal_of_order(order: Order, lease: Lease, now: UnixTime, opener: Address) -> Refusal | None:
    """The reason, if any, for which no offer at all could serve this order now."""
    checks = (
        (order.gpus < 1 or order.max_seconds < 1 or order.min_seconds > order.max_seconds, Refusal.BadAmounts),
        (now > LAST_INSTANT, Refusal.BadAmounts),
        (lease.status.is_live, Refusal.OrderLive),
        (lease.status is LeaseStatus.CLOSED or lease.no_reopen, Refusal.OrderClosed),
        (now >= order.expires_at, Refusal.OrderExpired),
        (order.opener not in (ZERO_ADDRESS, opener) and opener != order.client, Refusal.OpenerNotAllowed),
        (order.tip > 0 and order.opener == ZERO_ADDRESS, Refusal.TipWithoutOpener),
        (order.arbiter == ZERO_ADDRESS, Refusal.WrongArbiter),
        (order.min_bond_bps > BPS_WHOLE, Refusal.BondTooSmall),
        (lease.opened_at != 0 and now <= lease.opened_at, Refusal.TooSoon),
    )
    return next((refusal for broken, refusal in checks if broken), None)


OFFER_RULES: dict[Refusal, Callable[[Order, Offer, UnixTime, Address], bool]] = {
    Refusal.OfferNotAlive: lambda order, offer, now, opener: not offer.is_alive(now),
    Refusal.WrongOffer: lambda order, offer, now, opener: order.offer not in (0, offer.id),
    Refusal.ClassNotAccepted: lambda order, offer, now, opener: not order.accepts(offer.gpu_class),
    Refusal.WrongArbiter: lambda order, offer, now, opener: (
        order.arbiter in (ZERO_ADDRESS, offer.provider) or order.arbiter != offer.arbiter
    ),
    Refusal.BondTooSmall: lambda order, offer, now, opener: offer.bond_bps < order.min_bond_bps,
    Refusal.MinSecondsTooSmall: lambda order, offer, now, opener: order.min_seconds < offer.min_seconds,
    Refusal.PriceOutOfBounds: lambda order, offer, now, opener: offer.price > order.max_price,
    Refusal.NotEnoughGpus: lambda order, offer, now, opener: offer.free < order.gpus,
    # A term lease blocks GPUs for later: only who has them may do that (P-21).
    Refusal.TermLeaseNotByProvider: lambda order, offer, now, opener: (
        order.is_for_later(now) and opener != offer.provider
    ),
}
"""When this offer cannot serve this order now, whatever the price and the balances: in the order in which the contract asks."""


def refusal_of_offer(order: Order, offer: Offer | None, now: UnixTime, opener: Address) -> Refusal | None:
    """The first of these reasons, if any."""
    if offer is None:
        return Refusal.OfferNotAlive
    return next((refusal for refusal, is_broken in OFFER_RULES.items() if is_broken(order, offer, now, opener)), None)


def refusal_of_fill(fill: Fill, facts: FillFacts, terms: MarketTerms) -> Refusal | None:
    """The contract's answer to this fill, its signature aside (that needs keccak: ``chain.signing``)."""
    order, offer = fill.signed.order, facts.offer
    refusal = refusal_of_order(order, facts.lease, facts.now, facts.opener)
    refusal = refusal or refusal_of_offer(order, offer, facts.now, facts.opener)
    if refusal or offer is None:
        return refusal
    if not offer.price <= fill.price <= order.max_price:
        return Refusal.PriceOutOfBounds
    locked = lock_of(order, fill.price)
    tip = 0 if facts.lease.tip_paid else order.tip
    if facts.client_free < locked + tip:
        return Refusal.ClientBalanceTooLow
    same = order.client == offer.provider
    available = facts.client_free - locked - tip if same else facts.provider_free
    return Refusal.ProviderBalanceTooLow if available < bond_of(locked, offer.bond_bps, terms.bond_floor) else None


def refusal_of_signer(
    order: Order, signer: Address | None, budget: Budget, at: UnixTime, *, charged: bool
) -> Refusal | None:
    """What the contract says to a signature of this key (P-25). ``budget`` is the signer's, if it is a delegate.

    An order that was ``charged`` before (the flag of its word) needs no budget again, only a delegate whose time runs (P-20).
    A client that is a contract may have its own opinion (EIP-1271): that can only be asked, and only where the answer here is BadSignature.
    """
    if signer is not None and signer == order.client:
        return None
    if signer is None or not budget.is_alive(at):
        return Refusal.BadSignature
    return Refusal.OverBudget if not charged and budget.left < worst_cost_of(order) else None


_FIELDS = {
    Refusal.BadSignature: "signature", Refusal.OverBudget: "signature", Refusal.OrderExpired: "expiresAt", Refusal.OpenerNotAllowed: "opener",
    Refusal.TipWithoutOpener: "opener", Refusal.BadAmounts: "gpus, maxSeconds, minSeconds", Refusal.ClassNotAccepted: "classes",
    Refusal.WrongOffer: "offer", Refusal.OfferNotAlive: "offer", Refusal.WrongArbiter: "arbiter", Refusal.NotEnoughGpus: "gpus",
    Refusal.PriceOutOfBounds: "maxPrice", Refusal.BondTooSmall: "minBondBps", Refusal.MinSecondsTooSmall: "minSeconds",
    Refusal.TermLeaseNotByProvider: "startsAt", Refusal.ClientBalanceTooLow: "client",
    Refusal.OrderLive: "salt", Refusal.OrderClosed: "salt", Refusal.TooSoon: "salt",
}  # fmt: skip


def refused(refusal: Refusal, detail: str = "") -> Refused:
    """The typed error for a refusal, naming the field of the order that it is about."""
    return Refused(refusal, _FIELDS.get(refusal, ""), detail)
