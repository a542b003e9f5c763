"""What gateways would refuse an order for, as far as the chain and the market's offers tell: asked before anything is signed.

A refusal after that leaves a signed order behind, which whoever has seen it may open until it expires.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.offers import OfferTold
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
from marketplace.domain.units import TokenUnits


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
