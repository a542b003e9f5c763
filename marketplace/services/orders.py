"""The order desk: takes signed orders as the contract would take them, keeps them, and says where they stand.

Redis may be gone: an order is journalled first, and only then is the scheduler told; telling it may fail.
"""

from __future__ import annotations

import structlog

from marketplace.chain.blocks import Chain
from marketplace.chain.eip1271 import is_approved_by
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import order_id, recover
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookView, Explanation
from marketplace.domain.budgets import NO_BUDGET
from marketplace.domain.errors import Forbidden, NotFound, StoreUnavailable
from marketplace.domain.fills import refusal_of_signer
from marketplace.domain.ids import Address, Bytes32, sha256_in
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.refusals import Refusal
from marketplace.services.answers import Accepted, OrderStanding
from marketplace.services.blob_access import BlobAccess, bringers_of
from marketplace.services.input_checks import InputCheck
from marketplace.services.order_checks import OrderFacts, check_order, check_room, of_order, read_order_spec
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.journal.rows import JournalOrder

ORDERS_HINT = "orders"


class OrderDesk:
    """Takes, shows and withdraws orders. ``opener`` is the scheduler's address: it would be the one to open them."""

    def __init__(
        self,
        chain: Chain,
        market: MarketContract,
        journal: OperatorJournal,
        library: BlobAccess,
        inputs: InputCheck,
        board: Board,
        opener: Address,
    ) -> None:
        self._chain, self._market, self._journal = chain, market, journal
        self._library, self._inputs, self._board, self._opener = library, inputs, board, opener
        self._log = structlog.get_logger()

    def signed(self, order: Order, signature: str) -> SignedOrder:
        """The order with its id, once the signature is its client's, a delegate's within its budget, or one that its client, a contract,
        takes for its own (P-25). Raises Refused (BadSignature, OverBudget)."""
        identifier = order_id(order, self._market.domain)
        signer = recover(identifier, signature)
        if signer != order.client:
            self._require_authority(SignedOrder(identifier, order, signature), signer)
        return SignedOrder(identifier, order, signature)

    def accept(self, signed: SignedOrder) -> Accepted:
        """Put a signed order on the book, or find it there. Raises what ``order_checks`` and ``input_checks`` raise; then nothing has changed."""
        if self._journal.order(signed.id) is not None:
            return Accepted(self._standing_now(signed.id), False)
        facts = self._facts(signed.order, signed.id)
        check_order(signed.order, facts)
        named = read_order_spec(
            signed.order, self._library.of(bringers_of(signed.order, recover(signed.id, signed.signature)))
        )
        view = self._view_or_none()
        if view is not None:
            check_room(signed.order, named.spec, view)
        self._inputs.require_bundles(named)
        at = facts.block.timestamp
        self._library.use(named.names, signed.id)
        self._library.publish(sha256_in(signed.order.spec), signed.order.client, at)
        if not self._journal.add_order(signed, named.content, at):
            return Accepted(self._standing_now(signed.id), False)
        self._log.info("order.accepted", order=signed.id, client=signed.order.client)
        nudge_orders(self._board)
        return Accepted(OrderStanding(signed, at, None, facts.block, facts.lease), True)

    def standing(self, identifier: Bytes32) -> OrderStanding:
        """Where an order stands as of the chain's head, and what the last round said about it. Raises NotFound."""
        return self._standing_now(identifier, self._explanation(identifier))

    def explanation(self, identifier: Bytes32) -> Explanation | None:
        """What the last round said about an order; None before the first. Raises NotFound, and StoreUnavailable: it is in Redis only."""
        return self._board.explanation(self._row(identifier).signed.id)

    def page_of(self, client: Address, after: int | None, limit: int) -> tuple[list[OrderStanding], int | None]:
        """A client's orders, newest first, all as of one block; and where to go on."""
        block = self._chain.head()
        found = self._journal.orders_of(client, after=after, limit=limit)
        page = [self._standing(row, block) for row in found]
        return page, found[-1].sequence if len(found) == limit else None

    def withdraw(self, identifier: Bytes32, sender: Address) -> OrderStanding:
        """Take an order off the book, for its client or acceptor: either may cancel it on the chain. Raises NotFound, Forbidden, and Refused(OrderLive) while it is served."""
        row = self._row(identifier)
        if not row.signed.order.is_client_side(sender):
            raise Forbidden("only the order's client or acceptor may withdraw it")
        block = self._chain.head()
        if self._market.lease_of(identifier, at=block).status.is_live:
            raise of_order(Refusal.OrderLive, "terminate it on the chain")
        if self._journal.withdraw_order(identifier, block.timestamp):
            self._log.info("order.withdrawn", order=identifier)
            nudge_orders(self._board)
        return self._standing_now(identifier)

    def _require_authority(self, signed: SignedOrder, signer: Address | None) -> None:
        """Ask the chain about a signature that is not the client's key's."""
        order, block = signed.order, self._chain.head()
        budget = self._market.budget_of(order.client, signer, at=block) if signer else NO_BUDGET
        charged = self._market.lease_of(signed.id, at=block).charged
        refusal = refusal_of_signer(order, signer, budget, block.timestamp, charged=charged)
        if refusal is Refusal.BadSignature and is_approved_by(
            self._chain, order.client, signed.id, signed.signature, block
        ):
            return
        if refusal is not None:
            raise of_order(refusal)

    def _facts(self, order: Order, identifier: Bytes32) -> OrderFacts:
        """Everything the contract would look at, read at one block."""
        block = self._chain.head()
        return OrderFacts(
            block=block,
            lease=self._market.lease_of(identifier, at=block),
            offer=self._market.offer_of(order.offer, at=block) if order.offer else None,
            client_free=self._market.balance_of(order.client, at=block),
            opener=self._opener,
        )

    def _row(self, identifier: Bytes32) -> JournalOrder:
        row = self._journal.order(identifier)
        if row is None:
            raise NotFound("order", identifier)
        return row

    def _standing_now(self, identifier: Bytes32, explanation: Explanation | None = None) -> OrderStanding:
        return self._standing(self._row(identifier), self._chain.head(), explanation)

    def _standing(self, row: JournalOrder, block: BlockRef, explanation: Explanation | None = None) -> OrderStanding:
        lease = self._market.lease_of(row.signed.id, at=block)
        return OrderStanding(row.signed, row.accepted_at, row.withdrawn_at, block, lease, explanation)

    def _explanation(self, identifier: Bytes32) -> Explanation | None:
        """None when Redis is gone, too: an explanation is a comfort, the order's standing is not in Redis."""
        try:
            return self._board.explanation(identifier)
        except StoreUnavailable:
            return None

    def _view_or_none(self) -> BookView | None:
        """What is on offer; None while Redis is gone, or is being filled: orders are taken all the same."""
        try:
            return self._board.offered()
        except StoreUnavailable:
            return None


def nudge_orders(board: Board) -> None:
    """Wake the indexer and the scheduler. They look into the journal without it, a little later."""
    try:
        board.nudge(ORDERS_HINT)
    except StoreUnavailable:
        structlog.get_logger().warning("order.nudge_lost", hint=ORDERS_HINT)
