"""Vaults and companies, read off the chain at one block each time, and once for each block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from marketplace.api.companies import MOST_OFFERS, CompanyAnswer, CompanyTold
from marketplace.api.record import BlockTold
from marketplace.api.vaults import LoanAnswer, LoanTold, VaultAnswer, VaultPage, VaultTold
from marketplace.chain.market import MarketContract
from marketplace.chain.vaults import VaultContract
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.vaults import LoanState
from marketplace.services.offers import OfferDesk

MOST_KEPT = 256
"""Answers of one block: a vault may take some hundred calls to read."""

Told = TypeVar("Told")


class ByBlock:
    """Answers of the newest block that was asked about."""

    def __init__(self) -> None:
        self._kept: tuple[str, dict[Any, Any]] = "", {}

    def answer(self, about: Any, block: BlockRef, make: Callable[[], Told]) -> Told:
        kept_at, kept = self._kept
        if kept_at != block.hash:
            self._kept = (block.hash, kept := {})
        if about not in kept:
            made = make()
            if len(kept) < MOST_KEPT:
                kept[about] = made
            return made
        return cast("Told", kept[about])


class VaultDesk:
    """Shows the vaults that the operator names. Everything raises ChainUnavailable."""

    def __init__(self, market: MarketContract, vaults: Sequence[Address]) -> None:
        self._market = market
        self._vaults = {address: VaultContract(market.chain, address) for address in vaults}
        self._known = ByBlock()

    def page(self) -> VaultPage:
        """All of them, without their loans."""
        head, terms = self._market.chain.head(), self._market.terms()

        def made() -> VaultPage:
            books = {address: vault.books(head, with_loans=False) for address, vault in self._vaults.items()}
            return VaultPage([VaultTold.of(one, found, terms) for one, found in books.items()], BlockTold.of(head))

        return self._known.answer("page", head, made)

    def vault(self, address: Address) -> VaultAnswer:
        """One of them. Raises NotFound."""
        vault, head, terms = self._contract(address), self._market.chain.head(), self._market.terms()
        return self._known.answer(
            address, head, lambda: VaultAnswer.at(address, vault.terms, vault.books(head), head, terms)
        )

    def loan(self, address: Address, number: int) -> LoanAnswer:
        """A loan, also one that is over. Raises NotFound."""
        vault, head, terms = self._contract(address), self._market.chain.head(), self._market.terms()

        def made() -> LoanAnswer:
            marks = vault.marks(number, head)
            if marks.loan.state is LoanState.NONE:
                raise NotFound("loan", str(number))
            return LoanAnswer.at(address, LoanTold.of(number, marks, terms), head)

        return self._known.answer((address, number), head, made)

    def _contract(self, address: Address) -> VaultContract:
        if address not in self._vaults:
            raise NotFound("vault", address)
        return self._vaults[address]


class CompanyDesk:
    """Shows companies, with their offers. Everything raises ChainUnavailable, StoreUnavailable."""

    def __init__(self, market: MarketContract, offers: OfferDesk) -> None:
        self._market, self._offers = market, offers
        self._known = ByBlock()

    def company(self, address: Address) -> CompanyAnswer:
        """As of the projection's block. Raises NotFound for whoever is no company of the factory."""
        page = self._offers.page(
            gpu_class=None, provider=address, listed_only=False, after=OfferId(0), limit=MOST_OFFERS
        )
        told = self._known.answer(address, page.block.ref, lambda: company_at(self._market, address, page.block.ref))
        return CompanyAnswer.at(told, page.items)


def company_at(market: MarketContract, address: Address, block: BlockRef) -> CompanyTold:
    """What the chain says of a company. Raises NotFound, ChainUnavailable."""
    companies = market.companies
    if not companies.is_company(address, block):
        raise NotFound("company", address)
    return CompanyTold.of(
        address, companies.owner_of(address, block), companies.speaker_of(address, block), market.balance_of(address, block),
        companies.allowed_by(address, block), companies.creditor_of(address, block), companies.pledged_lease(address, block),
        block, market.terms(),
    )  # fmt: skip
