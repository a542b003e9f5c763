"""Events of the market as tests write them: what is not said is 0."""

from __future__ import annotations

from typing import Any

from marketplace.client.lease_events import LeaseEvent
from marketplace.domain import events as e
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import ZERO_BYTES32, Bytes32
from marketplace.domain.units import UnixTime


def happened(name: str, lease: Bytes32, number: int, at: int, block_hash: Bytes32, **facts: Any) -> LeaseEvent:
    """The event of this name, the only one of its block."""
    kind = getattr(e, name)
    ref = e.LogRef(BlockRef(number, block_hash, UnixTime(at)), ZERO_BYTES32, 0)
    told = dict.fromkeys(kind.__dataclass_fields__, 0) | {"ref": ref, "lease": lease} | facts
    found: LeaseEvent = kind(**told)
    return found
