"""Many orders at once, by the projection: what hundreds of connections send in the same moment is read, judged and committed together.

It takes what is plainly good, and nothing else. Whatever would be refused, is known already, needs the chain's word (a delegate's or a
wallet's signature) or comes while the projection is away is left to ``OrderDesk``, which asks the chain: the projection never refuses.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import structlog

from marketplace.chain.market import MarketContract
from marketplace.chain.signing import order_id, recover
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookView
from marketplace.domain.errors import Conflict, MarketplaceError, StoreUnavailable
from marketplace.domain.ids import Address, Bytes32, Sha256, sha256_in
from marketplace.domain.leases import NO_LEASE
from marketplace.domain.ledger import Rows
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.spec import JobSpec
from marketplace.domain.units import Seconds, TokenUnits
from marketplace.services.answers import OrderStanding, Stored
from marketplace.services.blob_access import bringers_of
from marketplace.services.input_checks import InputCheck
from marketplace.services.order_checks import OrderDocuments, OrderFacts, check_order, check_room, read_order_spec
from marketplace.services.orders import nudge_orders
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.journal.rows import NewOrder, RememberedAnswer

MOST_BEHIND_SECONDS = Seconds(60)
"""A projection that is further behind the head, in block time, is not asked."""
MOST_BLOBS = 50
"""An order that stands on more is looked at by itself."""
SPECS_KEPT = 512
"""At most 64 KiB each, as read and as they were written."""


@dataclass(frozen=True, slots=True)
class Submission:
    """An order as it was sent, and how its request is known again."""

    order: Order
    signature: str
    key: str | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A new order that was taken, and what its request is answered."""

    id: Bytes32
    answer: Stored


@dataclass(frozen=True, slots=True)
class _Moment:
    """What is known while one batch is judged."""

    block: BlockRef
    rows: Rows
    offered: BookView


Tell = Callable[[OrderStanding], bytes]
"""Writes down where an order stands, as it is sent and remembered."""
_Room = tuple[int, int, Sha256]


class OrderBatches:
    """Threads may share it. ``opener`` is the scheduler's address, as for ``OrderDesk``."""

    def __init__(
        self,
        market: MarketContract,
        journal: OperatorJournal,
        blobs: FolderBlobs,
        inputs: InputCheck,
        board: Board,
        opener: Address,
    ) -> None:
        self._market, self._journal, self._blobs, self._board = market, journal, blobs, board
        self._inputs, self._opener, self._log = inputs, opener, structlog.get_logger()
        self._specs = OrderedDict[Sha256, OrderDocuments]()
        self._roomy: tuple[BookView | None, set[_Room]] = None, set()
        """For which orders there is a machine that is large enough, of this view of the offers."""
        self._judging = Lock()
        """One batch is judged while the disk writes another, which takes as long."""

    def take(self, submissions: Sequence[Submission], tell: Tell) -> list[Taken | None]:
        """The new orders that were taken, on the disk when this returns; None for each that is to be looked at by itself.

        Raises ChainUnavailable, and StoreUnavailable where the journal takes nothing."""
        with self._judging:
            entries = self._judged(submissions, tell)
        taken = iter(self._keep([entry for entry in entries if entry is not None]))
        return [_told(entry) if entry is not None and next(taken) else None for entry in entries]

    def _judged(self, submissions: Sequence[Submission], tell: Tell) -> list[NewOrder | None]:
        """Those that are plainly good, as they would be kept; None for each other."""
        signed = [self._signed(one) for one in submissions]
        moment = self._moment([one for one in signed if one is not None])
        if moment is None:
            return [None] * len(submissions)
        present = dict[Sha256, bool]()
        return [
            self._entry(one, submission, moment, present, tell) if one else None
            for one, submission in zip(signed, submissions, strict=True)
        ]

    def _signed(self, submission: Submission) -> SignedOrder | None:
        """The order with its id, where its client's own key signed it."""
        identifier = order_id(submission.order, self._market.domain)
        is_own = recover(identifier, submission.signature) == submission.order.client
        return SignedOrder(identifier, submission.order, submission.signature) if is_own else None

    def _moment(self, signed: Sequence[SignedOrder]) -> _Moment | None:
        block = self._market.chain.head()
        try:
            found = self._board.rows(
                [one.id for one in signed],
                list({one.order.client for one in signed}),
                list({one.order.offer for one in signed if one.order.offer}),
            )
            offered = self._board.offered()
        except StoreUnavailable:
            return None
        if found is None or offered is None or block.timestamp - found[0].timestamp > MOST_BEHIND_SECONDS:
            return None
        return _Moment(block, found[1], offered)

    def _entry(
        self,
        signed: SignedOrder,
        submission: Submission,
        moment: _Moment,
        present: dict[Sha256, bool],
        tell: Tell,
    ) -> NewOrder | None:
        """The order as it would be kept; None where something is not plainly good."""
        order, rows = signed.order, moment.rows
        lease = rows.leases[signed.id].lease if signed.id in rows.leases else NO_LEASE
        free = rows.accounts.get(order.client, TokenUnits(0))
        try:
            check_order(order, OrderFacts(moment.block, lease, rows.offers.get(order.offer), free, self._opener))
            named = self._documents(order)
            if not self._inputs.is_quick(named):
                return None
            self._inputs.require_bundles(named)
            self._require_room(order, named.spec, moment.offered)
            is_meant = named.spec.resources.gpus == order.gpus and len(named.names) <= MOST_BLOBS
            is_here = is_meant and all(self._has(name, present) for name in named.names)
        except (MarketplaceError, OSError):  # a file that the disk does not give is its own order's trouble
            return None
        if not is_here:
            return None
        standing = OrderStanding(signed, moment.block.timestamp, None, moment.block, lease)
        answer = RememberedAnswer(submission.fingerprint, 201, tell(standing))
        return NewOrder(
            signed, named.content, standing.accepted_at, named.names, bringers_of(order, None), submission.key, answer
        )

    def _documents(self, order: Order) -> OrderDocuments:
        """What the order names, read once: what is named by its hash never says anything else. Raises MissingBlob, InvalidField."""
        name = sha256_in(order.spec)
        found = self._specs.pop(name, None) or read_order_spec(order, self._blobs)
        self._specs[name] = found
        if len(self._specs) > SPECS_KEPT:
            self._specs.popitem(last=False)
        return found

    def _require_room(self, order: Order, spec: JobSpec, offered: BookView) -> None:
        if self._roomy[0] is not offered:
            self._roomy = offered, set()
        asked = order.classes, order.offer, sha256_in(order.spec)
        if asked not in self._roomy[1]:
            check_room(order, spec, offered)
            self._roomy[1].add(asked)

    def _has(self, name: Sha256, present: dict[Sha256, bool]) -> bool:
        if name not in present:
            present[name] = self._blobs.has(name)
        return present[name]

    def _keep(self, entries: Sequence[NewOrder]) -> list[bool]:
        """Whether each was taken. An order that is twice in a batch is taken once, and the other one finds it."""
        if not entries:
            return []
        try:
            taken = self._journal.intake.take(entries)
        except Conflict:
            return [False] * len(entries)
        fresh = [entry.signed.id for entry, is_taken in zip(entries, taken, strict=True) if is_taken]
        if fresh:
            self._log.info("orders.accepted", count=len(fresh), orders=fresh)
            nudge_orders(self._board)
        return taken


def _told(entry: NewOrder) -> Taken:
    return Taken(entry.signed.id, Stored(entry.answer.status, entry.answer.body))
