"""At which offers a job's image is unpacked already, so that the job starts there at once: their providers' word, and a hint only."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from marketplace.api.quotes import QuoteTold
from marketplace.client.asked_price import fits
from marketplace.client.request import JobRequest
from marketplace.domain.ids import Address, OfferId


@dataclass(frozen=True, slots=True)
class WarmOffers:
    """The offers that can serve a request now, by whether they have its image."""

    warm: tuple[OfferId, ...]
    cold: tuple[OfferId, ...]
    """Those pull it first."""


def warm_offers(request: JobRequest, quotes: tuple[QuoteTold, ...], providers: Set[Address]) -> WarmOffers:
    """``providers`` are those that say that they have the image."""
    able = [quote.offer for quote in quotes if quote.can_serve and fits(request, quote.offer)]
    return WarmOffers(
        tuple(offer.id for offer in able if offer.provider in providers),
        tuple(offer.id for offer in able if offer.provider not in providers),
    )
