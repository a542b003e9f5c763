"""What a provider lists. Field names and order are the ABI's (docs/reference/specification.md, Shapes)."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, UnixTime


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider's standing listing, as ``offerOf`` returns it. ``id`` is its number in the contract."""

    id: OfferId
    provider: Address
    gpu_class: ClassNumber
    gpus: GpuCount
    free: GpuCount
    bond_bps: Bps
    expires_at: UnixTime
    arbiter: Address
    price: PricePerGpuHour
    min_seconds: Seconds
    spec: Bytes32

    def is_alive(self, at: UnixTime) -> bool:
        return at < self.expires_at
