"""What a fill pays. One place, so that a better rule changes one place."""

from __future__ import annotations

from marketplace.domain.models import Offer
from marketplace.domain.units import PricePerGpuHour


def fill_price(offer: Offer) -> PricePerGpuHour:
    """The offer's ask, per GPU-hour: within both sides' limits (I-4), whatever the client was willing to pay.

    Naming a limit below the true one gains a client nothing but a later place in the queue.
    """
    return offer.price
