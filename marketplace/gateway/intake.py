"""What requests do together in one application: new orders are committed, and the offers are looked at, once for all that wait."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fastapi import Request

from marketplace.api.record import to_json
from marketplace.domain.book import BookView
from marketplace.domain.ids import Bytes32
from marketplace.domain.market import MarketTerms
from marketplace.gateway.batching import Batcher
from marketplace.gateway.desks import Desks
from marketplace.services.answers import OrderStanding
from marketplace.services.order_batches import Submission, Taken
from marketplace.store.board import BoardState, OrderNews

ORDERS_AT_ONCE = 64
LOOKS_AT_ONCE = 1_024


class Intake:
    """One application's."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks
        self.orders: Batcher[Submission, Taken | None] = Batcher("orders", self._take, most=ORDERS_AT_ONCE, at_once=2)
        self.standing: Batcher[None, BoardState] = Batcher(
            "standing", self._stand, most=LOOKS_AT_ONCE, patience_seconds=None
        )
        self.news: Batcher[Bytes32, OrderNews] = Batcher(
            "news", self._read_news, most=LOOKS_AT_ONCE, patience_seconds=None
        )
        self.offered: Batcher[None, BookView] = Batcher("offers", self._look, most=LOOKS_AT_ONCE, patience_seconds=None)

    def _take(self, submissions: Sequence[Submission]) -> Sequence[Taken | None]:
        return self._desks.batches.take(submissions, partial(_tell, self._desks.market.terms()))

    def _stand(self, asked: Sequence[None]) -> Sequence[BoardState]:
        """Raises StoreUnavailable."""
        return [self._desks.board.standing()] * len(asked)

    def _read_news(self, asked: Sequence[Bytes32]) -> Sequence[OrderNews]:
        """Raises StoreUnavailable."""
        return self._desks.board.news_of(asked)

    def _look(self, asked: Sequence[None]) -> Sequence[BookView]:
        """Raises StoreUnavailable."""
        return [self._desks.offers.offered()] * len(asked)


def _tell(terms: MarketTerms, standing: OrderStanding) -> bytes:
    return to_json(standing.told(terms))


def intake_of(request: Request) -> Intake:
    """That of the application that serves this request."""
    intake: Intake = request.app.state.intake
    return intake
