"""The offers, the book and the prices, as the projection has them: everything in one answer is as of one block."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from marketplace.api.offers import BidTold, BookAnswer, OfferAnswer, OfferPage, OfferTold, PriceAnswer
from marketplace.api.record import BlockTold
from marketplace.api.reservations import ReservationPage, ReservationTold
from marketplace.chain.blocks import Chain
from marketplace.chain.market import MarketContract
from marketplace.domain.book import BookOrder, BookView
from marketplace.domain.classes import GpuClass, load_classes
from marketplace.domain.errors import NotFound, StoreUnavailable
from marketplace.domain.fitting import OfferRow, offer_row
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.ledger import NO_VOLUME
from marketplace.domain.offers import Offer
from marketplace.domain.policy import is_silent
from marketplace.domain.units import UnixTime
from marketplace.store.board import Board


class OfferDesk:
    """Shows what is offered, at which price, and who waits for it."""

    def __init__(self, chain: Chain, market: MarketContract, board: Board) -> None:
        self._chain, self._market, self._board = chain, market, board
        self._sorted: tuple[BookView | None, dict[int, list[BookOrder]]] = (None, {})

    def view(self) -> BookView:
        """The projection at one block. Raises StoreUnavailable while it is being rebuilt."""
        return _whole(self._board.view())

    def offered(self) -> BookView:
        """The offers alone, and what is known about their machines and providers; the same object as long as that is so."""
        return _whole(self._board.offered())

    def page(
        self, *, gpu_class: ClassNumber | None, provider: Address | None, listed_only: bool, after: OfferId, limit: int
    ) -> OfferPage:
        """Offers in the order of their ids."""
        view = self.offered()
        found = sorted(
            (
                offer for offer in view.offers
                if offer.id > after
                and gpu_class in (None, offer.gpu_class)
                and provider in (None, offer.provider)
                and (not listed_only or offer.is_alive(view.block.timestamp))
            ),
            key=lambda offer: offer.id,
        )  # fmt: skip
        page = found[:limit]
        told = [self.told(self.row(offer, view), view) for offer in page]
        return OfferPage(told, BlockTold.of(view.block), str(page[-1].id) if len(found) > limit else None)

    def offer(self, identifier: OfferId) -> OfferAnswer:
        """One offer. Raises NotFound."""
        view = self.offered()
        for offer in view.offers:
            if offer.id == identifier:
                return OfferAnswer.at(self.told(self.row(offer, view), view), view.block)
        raise NotFound("offer", str(identifier))

    def row(self, offer: Offer, view: BookView) -> OfferRow:
        return offer_row(offer, class_of(offer.gpu_class), view)

    def told(self, row: OfferRow, view: BookView) -> OfferTold:
        """The row as anybody is told it, as of the view's block."""
        return OfferTold.of(
            row.offer, row.gpu_class, row.machine, row.last_heartbeat, row.reliability_bps, view.block.timestamp, self._market.terms()
        )  # fmt: skip

    def book(self, gpu_class: GpuClass, depth: int, after: tuple[int, Bytes32] | None = None) -> BookAnswer:
        """The listed asks for a class, cheapest first, and the waiting orders that accept it, highest limit first: so many of both,
        the orders behind the limit and the id of the last one seen."""
        view, terms = self.view(), self._market.terms()
        asks, bids = _asks(gpu_class, view), self._bids(gpu_class, view)
        start = bisect_right(bids, (-after[0], after[1]), key=_by_limit) if after else 0
        page = bids[start : start + depth]
        has_more = start + depth < len(bids)
        return BookAnswer(
            gpu_class=gpu_class.number, class_name=gpu_class.name, block=BlockTold.of(view.block),
            asks=[self.told(self.row(offer, view), view) for offer in asks[:depth]], bids=[BidTold.of(bid, terms) for bid in page],
            asks_in_all=len(asks), bids_in_all=len(bids), gpus_wanted=sum(bid.signed.order.gpus for bid in bids),
            next=f"{page[-1].signed.order.max_price}-{page[-1].id}" if has_more else None,
        )  # fmt: skip

    def _bids(self, gpu_class: GpuClass, view: BookView) -> list[BookOrder]:
        """Sorted once for each view: a deep book is read by pages."""
        sorted_view, bids = self._sorted
        if sorted_view is not view:
            sorted_view, bids = self._sorted = view, {}
        if gpu_class.number not in bids:
            now = view.block.timestamp
            found = [
                row for row in _waiting(view)
                if row.signed.order.accepts(gpu_class.number) and not row.signed.order.is_for_later(now)
            ]  # fmt: skip
            bids[gpu_class.number] = sorted(found, key=_by_limit)
        return bids[gpu_class.number]

    def reservations(
        self, gpu_class: GpuClass | None, after: tuple[UnixTime, Bytes32] | None, limit: int
    ) -> ReservationPage:
        """The waiting orders for term leases, the oldest first; ``after``: when the last one seen was taken, and its id."""
        view, terms = self.view(), self._market.terms()
        found = sorted(
            (
                row for row in _waiting(view)
                if row.signed.order.is_for_later(view.block.timestamp)
                and (gpu_class is None or row.signed.order.accepts(gpu_class.number))
                and (after is None or _by_age(row) > after)
            ),
            key=_by_age,
        )  # fmt: skip
        page = found[:limit]
        onward = f"{page[-1].accepted_at:012}-{page[-1].id}" if len(found) > limit else None
        return ReservationPage([ReservationTold.of(row, terms) for row in page], BlockTold.of(view.block), onward)

    def price(self, gpu_class: GpuClass) -> PriceAnswer:
        """What was paid for a class, from the contract; and the cheapest ask that is to be had."""
        view = self.offered()
        asks = [offer for offer in _asks(gpu_class, view) if _is_to_be_had(offer, view)]
        volume = self._board.past.volume(gpu_class.number) or NO_VOLUME
        lowest, free = (asks[0].price if asks else None), sum(offer.free for offer in asks)
        return PriceAnswer.of(
            gpu_class, volume.paid, volume.gpu_seconds, lowest, free, view.block, self._market.terms()
        )


def class_of(number: int) -> GpuClass | None:
    """The catalogue's row; None for a class that a provider made up: the contract does not ask the catalogue."""
    return next((row for row in load_classes() if row.number == number), None)


def _whole(view: BookView | None) -> BookView:
    if view is None:
        raise StoreUnavailable("projection")
    return view


def _asks(gpu_class: GpuClass, view: BookView) -> list[Offer]:
    """The living offers of a class, cheapest first."""
    now = view.block.timestamp
    asks = [offer for offer in view.offers if offer.gpu_class == gpu_class.number and offer.is_alive(now)]
    return sorted(asks, key=lambda offer: (offer.price, offer.id))


def _waiting(view: BookView) -> Iterator[BookOrder]:
    """The orders that may still be opened, now or later."""
    now = view.block.timestamp
    return (row for row in view.orders if now < row.signed.order.expires_at and not _is_taken(row.id, view))


def _by_age(entry: BookOrder) -> tuple[UnixTime, Bytes32]:
    return entry.accepted_at, entry.id


def _by_limit(entry: BookOrder) -> tuple[int, Bytes32]:
    return -entry.signed.order.max_price, entry.id


def _is_to_be_had(offer: Offer, view: BookView) -> bool:
    """Whether it has a GPU free, and a provider that answers."""
    return offer.free > 0 and not is_silent(view.heartbeats.get(offer.provider), view.block.timestamp)


def _is_taken(identifier: Bytes32, view: BookView) -> bool:
    record = view.leases.get(identifier)
    return record is not None and record.lease.status.is_live
