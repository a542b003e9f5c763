"""A limit for who has none in mind: what the cheapest offer asks that can serve the job now, by the chain's word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from marketplace.api.offers import OfferTold
from marketplace.api.quotes import QuoteTold
from marketplace.chain.market import MarketContract
from marketplace.client.request import JobRequest
from marketplace.domain.errors import InvalidField
from marketplace.domain.units import PricePerGpuHour


@dataclass(frozen=True, slots=True)
class CheapestOffer:
    """A price per GPU-hour, and the offer that asks it."""

    price: PricePerGpuHour
    offer: OfferTold


def asked_price(request: JobRequest, quotes: tuple[QuoteTold, ...], market: MarketContract) -> CheapestOffer:
    """The cheapest of these quotes that fits the request's machine, regions and providers. Raise InvalidField where there is none.

    A gateway may hide an offer; it cannot make one dearer: the price is the chain's.
    """
    block = market.chain.head()
    for quote in sorted(quotes, key=lambda quote: quote.offer.price):
        if not quote.can_serve or not fits(request, quote.offer):
            continue
        offer = market.offer_of(quote.offer.id, block)
        if offer is not None and offer.is_alive(block.timestamp) and offer.price <= quote.offer.price:
            return CheapestOffer(offer.price, quote.offer)
    reasons = Counter(quote.reason or "another machine, region or provider is asked for" for quote in quotes)
    told = ", ".join(f"{count} × {reason}" for reason, count in reasons.items()) or "there is none"
    raise InvalidField(
        "max-price", f"is missing, and no offer can serve the job now ({told}): say the most that you would pay"
    )


def fits(request: JobRequest, offer: OfferTold) -> bool:
    """Whether the offer's machine, as its provider describes it, is what the request needs."""
    machine = offer.machine
    if offer.provider in request.exclude_providers:
        return False
    if machine is None:
        return not request.regions and not request.vram_mib
    needs = (
        (request.vram_mib, machine.vram_mib),
        (request.cpus, machine.cpus),
        (request.memory_mib, machine.memory_mib),
    )
    is_there = not request.regions or machine.region in request.regions
    return is_there and all(needed <= there for needed, there in (*needs, (request.disk_mib, machine.disk_mib)))
