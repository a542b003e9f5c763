"""Markets that change from round to round and say so, in editions, as the store's reader makes them. Drawn by a seed, as in ``wild``."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from marketplace.domain import editions
from marketplace.domain.ids import Address
from marketplace.domain.offers import Offer
from marketplace.domain.reputation import Outcome, Reputation, Tally
from marketplace.domain.units import GpuCount, PricePerGpuHour, TokenUnits, UnixTime
from tests.unit.engine.markets import NOW, OPENER, PEOPLE
from tests.unit.engine.wild import FLAKY, RELIABLE, UNHEARD_OF, wild_market

WHO = (*PEOPLE, OPENER, UNHEARD_OF)
BROKEN = 0.04
"""So often a table is no edition, but a plain tuple or dict."""
DEARER = 10**12


class Changing:
    """A wild market whose rows come, go, return as they were or in other words; whose accounts and reputations appear, change and vanish."""

    def __init__(self, draw: random.Random) -> None:
        self._draw, self.snapshot = draw, wild_market(draw)
        view, others = self.snapshot.view, [wild_market(draw).view for _ in range(3)]
        self._orders = [
            version
            for order in (*view.orders, *(order for other in others for order in other.orders))
            for version in (order, replace(order), replace(order, accepted_at=UnixTime(order.accepted_at - 4_000)))
        ]
        self._offers = [version for one in (view, *others) for offer in one.offers for version in self._versions(offer)]
        self._are_dear = False

    def step(self) -> None:
        """One block later."""
        draw, view = self._draw, self.snapshot.view
        view = replace(
            view,
            orders=self._rows_after(view.orders, self._orders),
            offers=self._rows_after(view.offers, self._offers),
            accounts=self._table_after(view.accounts, lambda: TokenUnits(draw.choice([0, 1, 10**6, 10**19, 2**100]))),
            reputations=self._table_after(view.reputations, self._reputation),
        )
        if draw.random() < 0.05:
            view = replace(view, offers=self._repriced(view.offers))
        self.snapshot = replace(self.snapshot, view=view)

    def _versions(self, offer: Offer) -> list[Offer]:
        return [offer, replace(offer), replace(offer, free=GpuCount(self._draw.randint(0, offer.gpus)))]

    def _rows_after(self, former: Sequence[Any], pool: Sequence[Any]) -> Any:
        """Most rows of before, and some others of the pool in any order; never two of one id."""
        draw = self._draw
        gone = draw.sample(former, min(len(former), draw.choice([0, 0, 1, 2])))
        left = {row.id: row for row in former if not any(row is other for other in gone)}
        come: dict[Any, Any] = {}
        for row in draw.sample(pool, draw.choice([0, 1, 3]) if len(left) < 16 else 0):
            if row.id not in left:
                come.setdefault(row.id, row)
        rows = [*left.values(), *come.values()]
        draw.shuffle(rows)
        broken = draw.random() < BROKEN
        return tuple(rows) if broken else editions.RowSet.after(former, rows, gone, tuple(come.values()))

    def _table_after(self, former: Mapping[Address, Any], row: Callable[[], Any]) -> Any:
        draw = self._draw
        news = {who: draw.choice([None, row(), row()]) for who in draw.sample(WHO, draw.choice([0, 0, 1, 2]))}
        table = editions.Table.after(former, news)
        return dict(table) if draw.random() < BROKEN else table

    def _reputation(self) -> Reputation:
        draw = self._draw
        weight, failed = draw.randrange(10**12), draw.choice([0, draw.randrange(10**11)])
        tallies = {Outcome.CLAIMED: Tally(9, weight), Outcome.AT_FAULT: Tally(1, failed)}
        return draw.choice([RELIABLE, FLAKY, Reputation(UnixTime(NOW - draw.randrange(10**6)), tallies, weight)])

    def _repriced(self, former: Sequence[Offer]) -> editions.RowSet[Offer]:
        """The offers in another unit: ticks are others. Those of the pool are, too."""
        self._are_dear = not self._are_dear
        self._offers = [self._priced_anew(offer) for offer in self._offers]
        offers = [self._priced_anew(offer) for offer in former]
        return editions.RowSet.after(former, offers, former, offers)

    def _priced_anew(self, offer: Offer) -> Offer:
        price = offer.price * DEARER if self._are_dear else offer.price // DEARER
        return replace(offer, price=PricePerGpuHour(min(price, 2**80 - 1)))
