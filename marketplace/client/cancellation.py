"""Ends orders for good, on the chain: because the client calls them off, or because another node of their group failed."""

from __future__ import annotations

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain import verbs
from marketplace.chain.market import MarketContract
from marketplace.chain.transactions import Sender
from marketplace.client.breaches import breach_of, groups_in
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptJob, KeptOrder
from marketplace.client.leases import require_client_side
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError, ChainUnavailable, TransactionReverted
from marketplace.domain.errors import GatewayError, InvalidTransition
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.pricing import can_expire

_TRIES = 4


class Ender:
    """One account's way out of its orders."""

    def __init__(self, market: MarketContract, api: GatewayApi, book: JobJournal, sender: Sender) -> None:
        self._market, self._api, self._book, self._sender = market, api, book, sender

    def end(self, order: KeptOrder) -> bool:
        """Make sure that the order is over on the chain, whatever happens to it meanwhile; False where it was over already.

        Not yet opened: withdrawn from the book and cancelled. Open: terminated, or, after its deadline, expired. Raise
        InvalidTransition when the provider has claimed: then only the challenge window helps; Forbidden for who is not of the client's side.
        """
        value = order.signed.order
        require_client_side(value, self._sender.address, "end it")
        has_sent = False
        for _ in range(_TRIES):
            block = self._market.chain.head()
            lease = self._market.lease_of(order.signed.id, block)
            if lease.status is LeaseStatus.CLOSED:
                return has_sent
            if lease.status in (LeaseStatus.CLAIMED, LeaseStatus.DISPUTED):
                raise InvalidTransition("lease", order.signed.id, lease.status.name.lower(), "cancelled")
            if lease.status is LeaseStatus.OPEN:
                is_late = can_expire(value, lease, block.timestamp, self._market.terms())
                call = (verbs.expire if is_late else verbs.terminate)(self._market.address, value)
            else:
                self._withdraw_from_book(order)
                call = verbs.cancel(self._market.address, value)
            try:
                self._sender.send(call)
            except TransactionReverted:
                continue  # somebody was faster: opened, settled or declined it. Look again.
            has_sent = True
        raise InvalidTransition("lease", order.signed.id, "moving", "cancelled")

    def hold_groups_together(self, block: BlockRef) -> None:
        """End what is left of every group of which a node cannot succeed any more. The reason is written down first."""
        for nodes in groups_in(self._book.nodes()):
            why = nodes[0].broken or breach_of(nodes, block.timestamp)
            if not why or nodes[0].group is None:
                continue
            self._book.break_group(nodes[0].group.id, why)
            for node in nodes:
                if not node.job.is_terminal:
                    self._end_node(node)

    def _end_node(self, node: KeptJob) -> None:
        """What does not succeed now is tried again with the next block."""
        order = self._book.order(node.job.order)
        try:
            self.end(order)
        except InvalidTransition:
            return  # its provider has claimed: the work is done, and what it earned is settled without us
        except ChainUnavailable:
            raise
        except ChainError as exc:
            self._book.note(order.signed.id, f"could not be ended: {exc}")

    def _withdraw_from_book(self, order: KeptOrder) -> None:
        """A courtesy to the scheduler; what counts is the chain."""
        try:
            self._api.withdraw_order(order.signed.id)
        except GatewayError:
            return
