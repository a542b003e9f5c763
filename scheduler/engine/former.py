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
    """The first eight bytes of each order's id (``columns``: "tie"), ascending."""
    offers: NDArray[np.int64]
    """The numbers of their offers."""


@dataclass(frozen=True, eq=False)
class Former:
    """Where orders sat in the plan that a round goes on from."""

    plan: Sha256
    """Of the plan's document."""
    orders: NDArray[np.uint64]
    """As in ``Seats``, none twice."""
    offers: NDArray[np.int64]

    @classmethod
    def of(cls, plan: Sha256, orders: Sequence[Bytes32], offers: Sequence[OfferId]) -> Former:
        """The seats of these orders."""
        ties = np.frombuffer(bytes.fromhex("".join([order[2:18] for order in orders])), ">u8").astype(np.uint64)
        by_id = np.argsort(ties, kind="stable")
        return cls.seated(plan, Seats(ties[by_id], np.array(offers, np.int64)[by_id]))

    @classmethod
    def seated(cls, plan: Sha256, seats: Seats) -> Former:
        """The same. Orders whose ids begin alike are left out: nobody could tell which of them sat where."""
        is_next = seats.orders[1:] == seats.orders[:-1]
        alone = (
            ~(np.append(is_next, False) | np.append(False, is_next))
            if len(is_next)
            else np.ones(len(seats.orders), np.bool_)
        )
        return cls(plan, seats.orders[alone], seats.offers[alone])

    @classmethod
    def unseen(cls, plan: Sha256) -> Former:
        """A plan of which only the name is known. A round that goes on from it cannot be replayed."""
        return cls.of(plan, (), ())
