"""The on-chain catalogue of GPU classes."""

from __future__ import annotations

from typing import Any

from marketplace.chain.blocks import Chain
from marketplace.chain.contracts import contract_abi
from marketplace.domain.blocks import BlockRef
from marketplace.domain.classes import GpuClass
from marketplace.domain.ids import Address, ClassNumber

_ABI = contract_abi("GpuCatalogue")


class Catalogue:
    """One ``GpuCatalogue``: names for people; the market never reads it."""

    def __init__(self, chain: Chain, address: Address) -> None:
        self.chain = chain
        self.address = address

    def classes(self) -> tuple[GpuClass, ...]:
        """All classes, in the order of their numbers, as of one block."""
        at = self.chain.head()
        (count,) = self._read("count", at=at)
        rows = (self._read("classOf", number, at=at) for number in range(count))
        return tuple(GpuClass(ClassNumber(number), name, vram) for number, (name, vram) in enumerate(rows))

    def class_of(self, number: ClassNumber) -> GpuClass:
        """The class of that number. Raises TransactionReverted (ClassUnknown)."""
        name, vram_mib = self._read("classOf", number)
        return GpuClass(number, name, vram_mib)

    def _read(self, view: str, *arguments: Any, at: BlockRef | None = None) -> tuple[Any, ...]:
        return _ABI.answer(view, self.chain.call(self.address, _ABI.call(view, *arguments), at))
