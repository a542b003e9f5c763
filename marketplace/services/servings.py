"""Which serving of a lease the chain knows now, and who its two sides are."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.chain.blocks import Chain
from marketplace.chain.market import MarketContract
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.orders import Order
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal


@dataclass(frozen=True, slots=True)
class ServedLease:
    """One serving of one lease as of ``block``: the chain's word, the order, and the offer's provider."""

    id: Bytes32
    block: BlockRef
    lease: Lease
    order: Order
    provider: Address


class Servings:
    """Reads servings from the chain; the order itself, which the chain keeps in its log only, from the journal or the projection."""

    def __init__(self, chain: Chain, market: MarketContract, journal: OperatorJournal, board: Board) -> None:
        self._chain, self._market, self._journal, self._board = chain, market, journal, board

    def now(self, identifier: Bytes32) -> ServedLease:
        """The serving that the chain's head knows, live or closed. Raises NotFound where there is none."""
        block = self._chain.head()
        lease = self._market.lease_of(identifier, at=block)
        offer = self._market.listing_of(lease.offer, block) if lease.offer else None
        if lease.status is LeaseStatus.NONE or offer is None:
            raise NotFound("lease", identifier)
        return ServedLease(identifier, block, lease, self.order_of(identifier), offer.provider)

    def order_of(self, identifier: Bytes32) -> Order:
        """The order of a lease: ours, or, when its client opened it past this gateway, the one in the chain's log. Raises NotFound."""
        row = self._journal.order(identifier)
        if row is not None:
            return row.signed.order
        record = self._board.lease(identifier)
        if record is None or record.order is None:
            raise NotFound("lease", identifier)
        return record.order
