"""What a round may go on from: where orders sat in an earlier plan.

The snapshot names that plan by its hash, so that the round stays a function of documents: whoever replays it brings the plan's, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from marketplace.domain.ids import Bytes32, OfferId, Sha256


class Seats(NamedTuple):
    """Where orders sit."""

    orders: NDArray[np.uint64]
    """The first eight bytes of each order's id (``columns``: "tie")."""
    offers: NDArray[np.int64]
    """The numbers of their offers."""


@dataclass(frozen=True, eq=False)
class Former:
    """Where orders sat in the plan that a round goes on from."""

    plan: Sha256
    """Of the plan's document."""
    orders: NDArray[np.uint64]
    """As in ``Seats``, ascending, none twice."""
    offers: NDArray[np.int64]

    @classmethod
    def of(cls, plan: Sha256, orders: Sequence[Bytes32], offers: Sequence[OfferId]) -> Former:
        """The seats of these orders."""
        ties = np.frombuffer(bytes.fromhex("".join([order[2:18] for order in orders])), ">u8")
        return cls.seated(plan, Seats(ties.astype(np.uint64), np.array(offers, np.int64)))

    @classmethod
    def seated(cls, plan: Sha256, seats: Seats) -> Former:
        """The same. Orders whose ids begin alike are left out: nobody could tell which of them sat where."""
        different, first, times = np.unique(seats.orders, return_index=True, return_counts=True)
        alone = times == 1
        return cls(plan, different[alone], seats.offers[first[alone]])

    @classmethod
    def unseen(cls, plan: Sha256) -> Former:
        """A plan of which only the name is known. A round that goes on from it cannot be replayed."""
        return cls.of(plan, (), ())
