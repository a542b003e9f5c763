"""What gateways would refuse an order for, as far as the chain and the market's offers tell: asked before anything is signed.

A refusal after that leaves a signed order behind, which whoever has seen it may open until it expires.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.offers import OfferTold
from marketplace.client.request import JobRequest
from marketplace.domain.blocks import BlockRef
from marketplace.domain.classes import classes_in
from marketplace.domain.errors import GatewayError, InvalidField
from marketplace.domain.fills import check_widths, refusal_of_order, refused
from marketplace.domain.ids import ZERO_ADDRESS
from marketplace.domain.leases import NO_LEASE
from marketplace.domain.orders import Order
from marketplace.domain.pricing import worst_cost_of
from marketplace.domain.refusals import Refusal
from marketplace.domain.runnable import require_room
from marketplace.domain.spec import JobSpec
from marketplace.domain.units import TokenUnits, UnixTime


def require_acceptable(order: Order, free: TokenUnits, block: BlockRef) -> None:
    """Raise InvalidField, Refused for what no state of the market makes right, and for a worst cost beyond what the account has ``free``."""
    check_widths(order)
    opener = order.client if order.opener == ZERO_ADDRESS else order.opener
    refusal = refusal_of_order(order, NO_LEASE, block.timestamp, opener)
    if refusal is not None:
        raise refused(refusal)
    if order.max_price == 0:
        raise refused(Refusal.PriceOutOfBounds, "it must be at least 1")
    if free < (cost := worst_cost_of(order)):
        raise refused(Refusal.ClientBalanceTooLow, f"the worst cost is {cost} token units, {free} are free")


def require_term(request: JobRequest, now: UnixTime, nodes: int | None = None) -> None:
    """Raise InvalidField for a reservation that no provider could open, or whose first payment the contract would not take.

    The contract lets a client sign ahead of the meter up to what it guarantees, and no further.
    """
    if not request.starts_at:
        if request.upfront:
            raise InvalidField("upfront", "is for reservations: name when it begins")
        return
    if nodes is not None:
        raise InvalidField("nodes", "must be reserved one by one: providers open reservations each by itself")
    if request.starts_at <= now:
        raise InvalidField("from", "must lie ahead: order it as it is, or rent it")
    if request.min_time > request.max_time:
        raise InvalidField("min", "must not be longer than the term")
    if request.upfront > request.min_time:
        raise InvalidField("upfront", f"must be within the guaranteed time, which is {request.min_time} s")
    if request.retries:
        raise InvalidField("retries", "must be 0: a reservation is not ordered again by itself")


def require_machine(api: GatewayApi, order: Order, spec: JobSpec, block: BlockRef, *, sealed: bool) -> None:
    """Raise InvalidField where no machine on offer is large enough, or can be handed a key or secrets where it has to.

    Nothing is refused for a gateway that does not tell: it will say so itself, or take the order.
    """
    try:
        offers = [row for number in classes_in(order.classes) for row in api.offers(number)]
    except GatewayError:
        return
    fitting = [row for row in offers if row.offer.is_alive(block.timestamp) and order.offer in (0, row.offer.id)]
    require_room(spec.resources, (row.machine for row in fitting))
    if sealed:
        _require_recipient(fitting)


def _require_recipient(offers: Sequence[OfferTold]) -> None:
    machines: Iterable[bool] = [row.machine is None or row.machine.recipient is not None for row in offers]
    if offers and not any(machines):
        raise InvalidField("sealed", "no provider on offer takes sealed jobs, or secrets")
