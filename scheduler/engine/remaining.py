"""What is still free as a plan grows: GPUs per offer, and each account's balance over all its orders and bonds."""

from __future__ import annotations

from collections.abc import Iterable

from marketplace.domain.book import RejectionReason
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.models import Fill, Offer, Order, SignedOrder
from marketplace.domain.pricing import bond_of, lock_of
from marketplace.domain.units import GpuCount, PricePerGpuHour, TokenUnits
from scheduler.engine.snapshot import Snapshot


class Remaining:
    """Starts at the view less our own fills that it does not show yet; ``take`` only ever lowers it.

    The tip that a fill credits to the opener is not counted: a round does not spend what the round itself brings in.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._offers = {offer.id: offer for offer in snapshot.view.offers}
        self._free = {offer.id: int(offer.free) for offer in snapshot.view.offers}
        self._balances: dict[Address, int] = dict(snapshot.view.accounts)
        self.take_all(snapshot.posted)

    def free_of(self, offer: OfferId) -> GpuCount:
        """GPUs still free; never negative, even where the view has moved on without us."""
        return GpuCount(max(0, self._free[offer]))

    def balance_of(self, account: Address) -> TokenUnits:
        return TokenUnits(self._balances.get(account, 0))

    def reason_against(self, signed: SignedOrder, offer: Offer, price: PricePerGpuHour) -> RejectionReason | None:
        """What is lacking for this fill now, in the contract's order: GPUs, the client's money, then the provider's."""
        order = signed.order
        if self.free_of(offer.id) < order.gpus:
            return RejectionReason.NOT_ENOUGH_GPUS
        cost, bond = self.cost_of(signed, price), self.bond_of(order, offer, price)
        left = self.balance_of(order.client) - cost
        if left < 0:
            return RejectionReason.CLIENT_BALANCE_TOO_LOW
        available = left if order.client == offer.provider else self.balance_of(offer.provider)
        return RejectionReason.PROVIDER_BALANCE_TOO_LOW if available < bond else None

    def cost_of(self, signed: SignedOrder, price: PricePerGpuHour) -> TokenUnits:
        """T at this price, and the tip unless an earlier opening paid it (P-24)."""
        tip = 0 if self._snapshot.lease_of(signed.id).tip_paid else signed.order.tip
        return TokenUnits(lock_of(signed.order, price) + tip)

    def bond_of(self, order: Order, offer: Offer, price: PricePerGpuHour) -> TokenUnits:
        return bond_of(lock_of(order, price), offer.bond_bps, self._snapshot.terms.bond_floor)

    def take(self, fill: Fill) -> None:
        """Count this fill as opened. Two roles may be one address (P-07): debits are made one after the other."""
        order, offer = fill.signed.order, self._offers.get(fill.offer)
        self._balances[order.client] = self.balance_of(order.client) - self.cost_of(fill.signed, fill.price)
        if offer is None:
            return
        self._free[offer.id] -= order.gpus
        self._balances[offer.provider] = self.balance_of(offer.provider) - self.bond_of(order, offer, fill.price)

    def take_all(self, fills: Iterable[Fill]) -> None:
        for fill in fills:
            self.take(fill)
