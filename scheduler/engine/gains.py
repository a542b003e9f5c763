"""What both sides gain by a plan: how much better than its limit and its ask each of them fares."""

from __future__ import annotations

from marketplace.domain.rounds import RoundSums
from marketplace.domain.units import SECONDS_PER_HOUR, TokenUnits
from scheduler.engine.documents.plan import Plan


def sums_of(plan: Plan) -> RoundSums:
    """The plan in sums. An offer is never let below its ask, nor an order above its limit: neither gain is below 0."""
    asks = {offer.id: offer.price for offer in plan.source.view.offers}
    gpus = client_gain = provider_gain = 0
    for fill in plan.fills:
        order = fill.signed.order
        time = order.gpus * order.max_seconds
        gpus += order.gpus
        client_gain += (order.max_price - fill.price) * time
        provider_gain += (fill.price - asks[fill.offer]) * time
    units = [TokenUnits(gain // SECONDS_PER_HOUR) for gain in (client_gain, provider_gain)]
    return RoundSums(len(plan.fills), gpus, *units)
