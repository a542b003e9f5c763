"""A block of the chain, as what is decided refers to it."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block that a whole decision refers to: one block, one truth."""

    number: int
    hash: Bytes32
    timestamp: UnixTime
