"""One market as a whole: what it is, and what it has counted. Field names and order are the ABI's (docs/reference/specification.md, Shapes)."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.ids import Address
from marketplace.domain.units import GpuSeconds, Seconds, TokenUnits


@dataclass(frozen=True, slots=True)
class MarketTerms:
    """The immutables of one market: what it is, and the windows that decide deadlines."""

    chain_id: int
    market: Address
    token: Address
    token_symbol: str
    token_decimals: int
    deployed_at_block: int
    start_grace: Seconds
    claim_grace: Seconds
    challenge_window: Seconds
    ruling_window: Seconds
    bond_floor: TokenUnits


@dataclass(frozen=True, slots=True)
class Volume:
    """All that was ever paid for GPUs of one class (``volumeOf``); between two blocks, a weighted price (I-11)."""

    paid: TokenUnits
    gpu_seconds: GpuSeconds
