"""What is to be created, and at which addresses: known, to the last byte, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from marketplace.chain.constants import MarketConstants
from marketplace.chain.contracts import contract_abi
from marketplace.chain.create2 import created_address
from marketplace.chain.finance import ARBITER, FACTORY, FinanceTerms
from marketplace.domain.classes import load_classes
from marketplace.domain.ids import Address, Bytes32

CATALOGUE, DOLLAR, MARKET = "GpuCatalogue", "TestDollar", "ComputeMarket"


@dataclass(frozen=True)
class PlannedContract:
    """One contract to be."""

    name: str
    arguments: tuple[Any, ...]
    salt: Bytes32
    asks: Address | None = None
    """A contract that its constructor asks, without which it cannot be made."""

    @cached_property
    def creation_code(self) -> bytes:
        """Creation code with the constructor's arguments: with the salt, all that the address depends on."""
        return contract_abi(self.name).creation(*self.arguments)

    @cached_property
    def address(self) -> Address:
        return created_address(self.salt, self.creation_code)

    @property
    def encoded_arguments(self) -> bytes:
        return contract_abi(self.name).constructor_arguments(*self.arguments)


@dataclass(frozen=True)
class Blueprint:
    """A market, its catalogue, where no token is given a test dollar, and finance around it where its terms are given."""

    salt: Bytes32
    constants: MarketConstants
    catalogue_owner: Address
    """Who may append GPU classes later. Over the market nobody has any power (P-05)."""
    given_token: Address | None = None
    finance: FinanceTerms | None = None

    @cached_property
    def catalogue(self) -> PlannedContract:
        classes = [(known.name, known.vram_mib) for known in load_classes()]
        return PlannedContract(CATALOGUE, (self.catalogue_owner, classes), self.salt)

    @cached_property
    def dollar(self) -> PlannedContract | None:
        return None if self.given_token else PlannedContract(DOLLAR, (), self.salt)

    @cached_property
    def market(self) -> PlannedContract:
        return PlannedContract(
            MARKET, (self.token, *self.constants.windows.values(), self.constants.bond_floor), self.salt
        )

    @cached_property
    def spv_factory(self) -> PlannedContract | None:
        if self.finance is None:
            return None
        return PlannedContract(FACTORY, (self.market.address, self.finance.slack), self.salt)

    @cached_property
    def backstop_arbiter(self) -> PlannedContract | None:
        if self.finance is None:
            return None
        market, terms = self.market.address, self.finance
        return PlannedContract(ARBITER, (market, terms.panel, terms.step), self.salt, asks=market)

    @property
    def token(self) -> Address:
        """The settlement token: the one that is given, else the test dollar to be."""
        if self.dollar:
            return self.dollar.address
        assert self.given_token, "without a given token there is a dollar"
        return self.given_token

    @property
    def parts(self) -> tuple[PlannedContract, ...]:
        """In the order of creation; what a part's arguments name comes before it."""
        parts = self.catalogue, self.dollar, self.market, self.spv_factory, self.backstop_arbiter
        return tuple(part for part in parts if part)
