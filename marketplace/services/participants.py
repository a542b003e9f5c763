"""Who takes part in the market: the accounts that may use more of the gateway than a stranger."""

from __future__ import annotations

from marketplace.chain.market import MarketContract
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import Forbidden, StoreUnavailable
from marketplace.domain.ids import Address
from marketplace.store.board import Board


class Participants:
    """Tells participants from strangers. An account takes part when it has money in the market, or an offer on it."""

    def __init__(self, market: MarketContract, board: Board) -> None:
        self._market, self._board = market, board

    def has(self, account: Address, at: BlockRef | None = None) -> bool:
        """Whether ``account`` takes part. The balance is asked first: it needs no Redis. Without ``at`` who has just begun to is known, too."""
        chain = self._market.chain
        # Of a block: what is known to stand is not asked for again, and who sends a job's files sends several.
        if self._market.balance_of(account, at=at or chain.paced_head()) > 0 or self._has_offer(account):
            return True
        return at is None and self._market.balance_of(account, at=chain.head()) > 0

    def require(self, account: Address, at: BlockRef | None = None) -> None:
        """Raise Forbidden for a stranger."""
        if not self.has(account, at):
            raise Forbidden("the account has neither money nor an offer in the market")

    def has_delegate(self, account: Address, delegate: Address) -> bool:
        """Whether ``account`` takes part, and ``delegate`` may sign orders for it now."""
        block = self._market.chain.head()
        return self._market.budget_of(account, delegate, at=block).is_alive(block.timestamp) and self.has(
            account, block
        )

    def _has_offer(self, account: Address) -> bool:
        try:
            return any(offer.provider == account for offer in self._board.offers())
        except StoreUnavailable:
            return False
