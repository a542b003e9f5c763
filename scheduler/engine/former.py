"""What a round may go on from: where orders sat in an earlier plan.

The snapshot names that plan by its hash, so that the round stays a function of documents: whoever replays it brings the plan's, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marketplace.domain.ids import Bytes32, OfferId, Sha256


@dataclass(frozen=True, eq=False)
class Former:
    """Where orders sat in the plan that a round goes on from."""

    plan: Sha256
    """Of the plan's document."""
    orders: NDArray[np.uint64]
    """The first eight bytes of each placed order's id (``columns``: "tie"), ascending, none twice."""
    offers: NDArray[np.int64]
    """The number of the offer that each was given."""

    @classmethod
    def of(cls, plan: Sha256, orders: Sequence[Bytes32], offers: Sequence[OfferId]) -> Former:
        """The seats of these orders. Those whose ids begin alike are left out: nobody could tell which of them sat where."""
        ties = np.frombuffer(bytes.fromhex("".join([order[2:18] for order in orders])), ">u8")
        different, first, times = np.unique(ties, return_index=True, return_counts=True)
        alone = times == 1
        return cls(plan, different[alone].astype(np.uint64), np.array(offers, np.int64)[first[alone]])

    @classmethod
    def unseen(cls, plan: Sha256) -> Former:
        """A plan of which only the name is known. A round that goes on from it cannot be replayed."""
        return cls.of(plan, (), ())
