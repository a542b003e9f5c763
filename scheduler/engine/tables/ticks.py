"""Ticks: the prices of a round as numbers small enough to multiply.

A tick is the token's base unit where the median ask is below 2^26 of them, else 2^k of them, rounded down, so that the median, of asks that
orders could pay, is some millions of ticks; at most ``CAP`` ticks, which is 256 times as much or more. So products with GPUs fit 64 bits
whatever a single order or offer says; prices that are paid stay exact, in base units (``funds``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NewType

import numpy as np

from marketplace.domain.book import BookOrder, BookView
from marketplace.domain.units import SECONDS_PER_HOUR, PricePerGpuHour

Ticks = NewType("Ticks", int)
"""One price of a GPU for an hour, or one amount of money."""
TickColumn = NewType("TickColumn", "np.ndarray[Any, np.dtype[np.int64]]")
"""A column of them. What is worked out from one is Ints, until it is said to be ticks again."""

CAP = Ticks(1 << 30)
FINEST, TICKS_OF_MEDIAN = 26, 22
MOST_MONEY = Ticks(1 << 61)
"""Balances are told up to here: more than any round costs."""


def tick_bits_of(view: BookView) -> int:
    """How many bits a tick drops. By the median ask, so that no single offer makes the others' prices coarse; where that is high, each ask is
    weighed by how many orders could pay it, so that no number of offers does that nobody could take."""
    bits = np.sort(np.fromiter((offer.price.bit_length() for offer in view.offers), np.int64, len(view.offers)))
    typical = int(bits[(len(bits) - 1) // 2]) if len(bits) else 0
    if typical > FINEST:
        payable = np.sort(np.fromiter((_payable_bits(view, order) for order in view.orders), np.int64))
        weight = np.cumsum(len(payable) - np.searchsorted(payable, bits))
        typical = int(bits[np.searchsorted(2 * weight, weight[-1])]) if weight[-1] else typical
    return 0 if typical <= FINEST else typical - TICKS_OF_MEDIAN


def _payable_bits(view: BookView, order: BookOrder) -> int:
    """Of the highest price that the order allows and its client could pay for it."""
    terms = order.signed.order
    work, money = max(1, terms.gpus * terms.max_seconds), view.accounts.get(terms.client, 0)
    return min(terms.max_price, money * SECONDS_PER_HOUR // work).bit_length()


def ticks(units: Callable[[], Iterable[int]], tick_bits: int, most: Ticks = CAP) -> TickColumn:
    """Base units in ticks, rounded down, from 0 to ``most``."""
    try:
        found = np.fromiter(units(), np.int64)
    except OverflowError:
        return TickColumn(np.array([max(0, min(amount >> tick_bits, most)) for amount in units()], np.int64))
    return TickColumn(np.clip(found >> tick_bits, 0, most))


def price_of(level: Ticks, tick_bits: int) -> PricePerGpuHour:
    """So many ticks in base units."""
    return PricePerGpuHour(level << tick_bits)
