"""What the indexer tells readers as it goes: each block, what changed on the book and among the offers, and what was taken back.

Hints: who misses some asks for the whole. The contract's own events are told by the projection's step itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from marketplace.api.fields import Uint80
from marketplace.api.live import (
    BidInBrief,
    BookChanges,
    BookChangeTold,
    HeadTold,
    OfferChanges,
    OfferInBrief,
    ReorganisationTold,
)
from marketplace.api.record import BlockTold, Record, to_json
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder
from marketplace.domain.classes import load_classes
from marketplace.domain.events import Event, LeaseOpened, OrderCancelled
from marketplace.domain.ids import Bytes32, ClassNumber
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.store.board import Board
from marketplace.store.board_projection import Step

CHANGES_AT_ONCE = 500
"""In one message. What comes after it in the same step is left out: who reads that much asks for the book anew with each block."""


class MarketFeed:
    """Raises StoreUnavailable."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def stepped(self, step: Step, withdrawn: Mapping[Bytes32, Order], lag: int) -> None:
        """Tell of a step that was written. ``withdrawn``: orders that the journal took off the book."""
        left = {**withdrawn, **dict(_opened_or_cancelled(step.events, step))}
        # Of the spot book: who follows it counts what a scheduler may open.
        booked = [one for one in step.booked.values() if not one.signed.order.is_for_later(one.accepted_at)]
        changes = [*map(_came, booked), *(_left(id_, order) for id_, order in left.items())]
        if changes:
            self._tell("book", BookChanges(changes[:CHANGES_AT_ONCE]))
        offers = list(islice(step.rows.offers.values(), CHANGES_AT_ONCE))
        if offers:
            self._tell("offer", OfferChanges(list(map(_offer, offers))))
        at = step.cursor
        self._tell("head", HeadTold(at.number, at.hash, at.timestamp, max(0, lag)))

    def taken_back(self, since: BlockRef, to: BlockRef) -> None:
        """Tell of blocks that left the chain."""
        self._tell("reorg", ReorganisationTold(BlockTold.of(since), BlockTold.of(to)))

    def _tell(self, name: str, told: Record) -> None:
        self._board.publish(name, to_json(told))


def _opened_or_cancelled(events: tuple[Event, ...], step: Step) -> Iterator[tuple[Bytes32, Order]]:
    for event in events:
        if isinstance(event, LeaseOpened):
            yield event.lease, event.order
        elif isinstance(event, OrderCancelled):
            record = step.rows.leases.get(event.lease)
            if record is not None and record.order is not None:
                yield event.lease, record.order


def _came(entry: BookOrder) -> BookChangeTold:
    order = entry.signed.order
    bid = BidInBrief(order.gpus, order.max_seconds, Uint80(order.max_price), order.expires_at, entry.accepted_at)
    return BookChangeTold(entry.id, order.client, _classes(order), bid)


def _left(id_: Bytes32, order: Order) -> BookChangeTold:
    return BookChangeTold(id_, order.client, _classes(order), None)


def _classes(order: Order) -> list[ClassNumber]:
    return [row.number for row in load_classes() if order.accepts(row.number)]


def _offer(offer: Offer) -> OfferInBrief:
    return OfferInBrief(
        offer.id, offer.provider, offer.gpu_class, offer.gpus, offer.free, Uint80(offer.price), offer.expires_at
    )
