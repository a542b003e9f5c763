"""A round's fills as columns. A fill is made when somebody asks for it: a round places ten thousand orders, and posts a tenth of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from marketplace.domain.book import BookOrder
from marketplace.domain.fills import Fill
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.arrays import Ints
from scheduler.engine.tables.table import RowValues


class Fills(Sequence[Fill]):
    """In the order in which they are to be opened."""

    def __init__(self, book: RowValues[BookOrder], rows: Ints, offers: Ints, prices: Sequence[PricePerGpuHour]) -> None:
        """``rows`` of the book, the numbers of the ``offers`` that they are placed on, and exact ``prices``."""
        self._book, self._rows, self._offers, self._prices = book, rows, offers, prices

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Fill: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Fill, ...]: ...

    def __getitem__(self, place: int | slice) -> Fill | tuple[Fill, ...]:
        if isinstance(place, slice):
            return tuple(Fills(self._book, self._rows[place], self._offers[place], self._prices[place]))
        return Fill(self._book[self._rows[place]].signed, self._offers[place].item(), self._prices[place])

    def __iter__(self) -> Iterator[Fill]:
        for order, offer, price in zip(self._book.at(self._rows), self._offers.tolist(), self._prices, strict=True):
            yield Fill(order.signed, offer, price)

    def __eq__(self, other: object) -> bool:
        return tuple(self) == tuple(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]
