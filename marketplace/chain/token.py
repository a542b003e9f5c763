"""The settlement token, any ERC-20."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from marketplace.chain.blocks import Chain
from marketplace.chain.contracts import contract_abi
from marketplace.domain.ids import Address
from marketplace.domain.models import BlockRef
from marketplace.domain.units import TokenUnits

# TestDollar is an ERC-20 like any other, as far as reading goes.
_ABI = contract_abi("TestDollar")


class Token:
    """One ERC-20. Reads take ``at``, the block to read at, or None for the newest."""

    def __init__(self, chain: Chain, address: Address) -> None:
        self.chain = chain
        self.address = address

    @cached_property
    def decimals(self) -> int:
        return int(self._read("decimals"))

    @cached_property
    def symbol(self) -> str:
        return str(self._read("symbol"))

    def balance_of(self, account: Address, at: BlockRef | None = None) -> TokenUnits:
        return TokenUnits(self._read("balanceOf", account, at=at))

    def allowance(self, owner: Address, spender: Address, at: BlockRef | None = None) -> TokenUnits:
        """What ``spender`` may still take from ``owner``."""
        return TokenUnits(self._read("allowance", owner, spender, at=at))

    def _read(self, view: str, *arguments: Any, at: BlockRef | None = None) -> Any:
        (answer,) = _ABI.answer(view, self.chain.call(self.address, _ABI.call(view, *arguments), at))
        return answer
