"""What parties do about single leases by hand: claim, dispute, rule, lapse, assign.

The order comes from this account's own book, or else from the gateway, and is checked by its hash: the gateway cannot make anybody sign or
stake for something else.
"""

from __future__ import annotations

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain import arbiter_verbs, verbs
from marketplace.chain.checksums import address_from_text, checksum
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import order_id, receipt_id, recover
from marketplace.chain.transactions import Mined, Sender
from marketplace.client.journal import JobJournal
from marketplace.domain.errors import Forbidden, HashMismatch, InsufficientBalance, InvalidField, NotFound
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.orders import Order
from marketplace.domain.pricing import bond_of, elapsed_of, lock_of
from marketplace.domain.units import Seconds, TokenUnits


class LeaseVerbs:
    """One account's verbs on leases. What the contract does not allow is TransactionReverted, before anything is sent."""

    def __init__(self, market: MarketContract, api: GatewayApi, book: JobJournal, sender: Sender) -> None:
        self._market, self._api, self._book, self._sender = market, api, book, sender

    def claim(self, lease: Bytes32, used_seconds: Seconds | None = None) -> Mined:
        """As the lease's provider: claim pay for the result in our last receipt, by hand, when the agent cannot.

        ``used_seconds`` defaults to all that is on the meter.
        """
        order, block = self.order_of(lease), self._market.chain.head()
        word = self._market.lease_of(lease, block)
        used = elapsed_of(order, word, block.timestamp) if used_seconds is None else used_seconds
        result = self._own_result(lease)
        return self._sender.send(verbs.claim(self._market.address, order, used, result))

    def dispute(self, lease: Bytes32) -> Mined:
        """As the client's side: object, staking as much as the provider's bond of the key's own balance.

        Raises InsufficientBalance, Forbidden.
        """
        order = self.order_of(lease)
        require_client_side(order, self._sender.address, "dispute it")
        stake, free = self._stake_of(lease, order), self._market.balance_of(self._sender.address)
        if free < stake:
            raise InsufficientBalance(self._sender.address, stake, free)
        return self._sender.send(verbs.dispute(self._market.address, order))

    def rule(self, lease: Bytes32, used_seconds: Seconds, *, provider_at_fault: bool) -> Mined:
        """As the arbiter, or as the panel of the one with a backstop: say how many seconds are to be paid, and who loses its stake."""
        order = self.order_of(lease)
        judge = order.arbiter if order.arbiter == self._market.backstop_arbiter else self._market.address
        return self._sender.send(verbs.rule(judge, order, used_seconds, provider_at_fault=provider_at_fault))

    def lapse(self, lease: Bytes32) -> Mined:
        """As anyone: end a dispute on which nobody ruled in time."""
        return self._sender.send(verbs.lapse(self._market.address, self.order_of(lease)))

    def backstop(self, lease: Bytes32) -> Mined:
        """As anyone: end a dispute on which the panel of an arbiter with a backstop did not rule; what was guaranteed or claimed is paid (A-1).

        Raises InvalidField where its arbiter is another than the one with a backstop that the address book names."""
        order = self.order_of(lease)
        if order.arbiter != self._market.backstop_arbiter:
            raise InvalidField("lease", "its arbiter is not the one with a backstop that the address book names")
        return self._sender.send(arbiter_verbs.backstop(order.arbiter, order))

    def assign(self, lease: Bytes32, payee: Address) -> Mined:
        """As the one whom the lease pays: pass the right to its future income on."""
        receiver = address_from_text(payee, field="payee")
        return self._sender.send(verbs.assign(self._market.address, self.order_of(lease), receiver))

    def order_of(self, lease: Bytes32) -> Order:
        """The order that the lease serves. Raises NotFound, HashMismatch."""
        try:
            return self._book.order(lease).signed.order
        except NotFound:
            order = self._api.lease(lease).record.order
        if order is None or order_id(order, self._market.domain) != lease:
            raise HashMismatch("the gateway's order", lease, "another lease")
        return order

    def _own_result(self, lease: Bytes32) -> Bytes32:
        """What our own last receipt at the gateway names: a result that we signed, not one that a gateway makes up. Raises NotFound."""
        mine = [
            signed.receipt.result
            for signed in self._api.receipts(lease)
            if signed.receipt.lease == lease
            and recover(receipt_id(signed.receipt, self._market.domain), signed.signature) == self._sender.address
        ]
        if not mine:
            raise NotFound("receipt of ours for lease", lease)
        return mine[-1]

    def _stake_of(self, lease: Bytes32, order: Order) -> TokenUnits:
        """B of the lease; nothing where it was never opened, which the contract will say."""
        word = self._market.lease_of(lease)
        offer = self._market.offer_of(word.offer)
        floor = self._market.terms().bond_floor
        return bond_of(lock_of(order, word.price), offer.bond_bps, floor) if offer else TokenUnits(0)


def require_client_side(order: Order, who: Address, what: str) -> None:
    """Raise Forbidden, with nothing sent, for what the contract lets the client and the acceptor do only."""
    if not order.is_client_side(who):
        raise Forbidden(
            f"{checksum(who)} cannot {what}: only the order's client or acceptor can, {checksum(order.client)} or {checksum(order.acceptor)}"
        )
