"""What is to be created, and at which addresses: known, to the last byte, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from marketplace.chain.constants import MarketConstants
from marketplace.chain.contracts import contract_abi
from marketplace.chain.create2 import created_address
from marketplace.chain.finance import ARBITER, FACTORY, FinanceTerms
from marketplace.chain.vaults import VAULT, usual_tenor, usual_terms
from marketplace.domain.classes import load_classes
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.vaults import VaultTerms

CATALOGUE, DOLLAR, MARKET = "GpuCatalogue", "TestDollar", "ComputeMarket"


@dataclass(frozen=True)
class PlannedContract:
    """One contract to be."""

    name: str
    arguments: tuple[Any, ...]
    salt: Bytes32
    asks: Address | None = None
    """A contract that its constructor asks, without which it cannot be made."""
    number: int = 1
    """Of several of one name, vaults with other terms each: which."""

    @property
    def title(self) -> str:
        """As the address book and the commands call it."""
        return self.name if self.number == 1 else f"{self.name} {self.number}"

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
    """A market, its catalogue, where no token is given a test dollar, and finance and vaults around it where their terms are given."""

    salt: Bytes32
    constants: MarketConstants
    catalogue_owner: Address
    """Who may append GPU classes later. Over the market nobody has any power (P-05)."""
    given_token: Address | None = None
    finance: FinanceTerms | None = None
    vault_terms: tuple[VaultTerms, ...] = ()
    """Of each vault that is made with it. Anyone may make others (``bourse vault create``)."""

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

    @cached_property
    def vaults(self) -> tuple[PlannedContract, ...]:
        # The factory comes after the market, of which a vault asks more.
        asks = self.spv_factory.address if self.spv_factory else None
        return tuple(
            PlannedContract(VAULT, (terms,), self.salt, asks=asks, number=number)
            for number, terms in enumerate(self.vault_terms, 1)
        )

    def usual_vault_terms(self) -> VaultTerms:
        """Of a vault around this market that trusts nobody. Only with finance."""
        assert self.spv_factory, "with finance"
        assert self.backstop_arbiter, "with finance"
        return usual_terms(
            self.market.address, self.spv_factory.address, self.backstop_arbiter.address, usual_tenor(self.constants)
        )

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
        parts = self.catalogue, self.dollar, self.market, self.spv_factory, self.backstop_arbiter, *self.vaults
        return tuple(part for part in parts if part)
