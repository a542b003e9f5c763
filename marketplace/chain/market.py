"""The market's views, typed: domain objects in and out, each as of one block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from functools import cached_property
from typing import Any

from marketplace.chain.blocks import Chain
from marketplace.chain.companies import Companies
from marketplace.chain.contracts import contract_abi
from marketplace.chain.signing import SigningDomain
from marketplace.chain.token import TokenContract
from marketplace.chain.view_cache import ViewCache
from marketplace.domain.blocks import BlockRef
from marketplace.domain.budgets import Budget
from marketplace.domain.chain_errors import ChainError
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.market import MarketTerms, Volume
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.receipts import Receipt
from marketplace.domain.units import GpuSeconds, Seconds, TokenUnits, UnixTime

_ABI = contract_abi("ComputeMarket")


class MarketContract:
    """One ``ComputeMarket``. Reads take ``at``, the block to read at, or None for the newest.

    What was read before and cannot have changed since, going by the headers in between, is not asked for again (``view_cache``).

    ``deployed_at_block`` is where its events begin (the address book knows; 0 is safe and slow); ``spv_factory`` made those of its
    providers that are companies, and ``backstop_arbiter`` is the one whose silence pays what was guaranteed.
    """

    def __init__(
        self,
        chain: Chain,
        address: Address,
        *,
        deployed_at_block: int = 0,
        spv_factory: Address | None = None,
        backstop_arbiter: Address | None = None,
    ) -> None:
        self.chain = chain
        self.address = address
        self.companies = Companies(chain, spv_factory)
        self.backstop_arbiter = backstop_arbiter
        self._deployed_at_block = deployed_at_block
        self._standing = ViewCache(chain.headers_between)

    @cached_property
    def domain(self) -> SigningDomain:
        """What signatures for this market are bound to."""
        return SigningDomain(self.chain.chain_id, self.address)

    def terms(self) -> MarketTerms:
        """The immutables; read once."""
        return self._terms

    @cached_property
    def _terms(self) -> MarketTerms:
        token = TokenContract(self.chain, Address(self._read("token")))
        return MarketTerms(
            chain_id=self.chain.chain_id,
            market=self.address,
            token=token.address,
            token_symbol=token.symbol,
            token_decimals=token.decimals,
            deployed_at_block=self._deployed_at_block,
            start_grace=Seconds(self._read("START_GRACE")),
            claim_grace=Seconds(self._read("CLAIM_GRACE")),
            challenge_window=Seconds(self._read("CHALLENGE_WINDOW")),
            ruling_window=Seconds(self._read("RULING_WINDOW")),
            bond_floor=TokenUnits(self._read("BOND_FLOOR")),
        )

    def order_id(self, order: Order) -> Bytes32:
        """The id that the contract itself gives the order."""
        return Bytes32(self._read("orderId", order))

    def receipt_id(self, receipt: Receipt) -> Bytes32:
        """The digest that the contract itself gives the receipt."""
        return Bytes32(self._read("receiptId", receipt))

    def lease_of(self, identifier: Bytes32, at: BlockRef | None = None) -> Lease:
        """The lease's word; ``NO_LEASE`` where the order was never opened."""
        ((status, *rest),) = self._read_all("leaseOf", identifier, at=at, about=(identifier,))
        return Lease(LeaseStatus(status), *rest)

    def lease_again(self, identifier: Bytes32, at: BlockRef) -> Lease:
        """The same, asked anew whatever was answered before, which is forgotten."""
        self._standing.forget(("leaseOf", identifier))
        return self.lease_of(identifier, at)

    def leases_of(self, identifiers: Sequence[Bytes32], at: BlockRef) -> dict[Bytes32, Lease]:
        """Several leases' words in one request, each of them counted as one."""
        words = self._read_each("leaseOf", identifiers, at)
        return {one: Lease(LeaseStatus(word[0]), *word[1:]) for one, (word,) in zip(identifiers, words, strict=True)}

    def offers_of(self, identifiers: Sequence[OfferId], at: BlockRef) -> dict[OfferId, Offer | None]:
        """Several offers in one request; None where there is none of that number."""
        words = self._read_each("offerOf", identifiers, at)
        found = {one: Offer(one, *word) for one, (word,) in zip(identifiers, words, strict=True)}
        return {one: None if offer.provider == ZERO_ADDRESS else offer for one, offer in found.items()}

    def balances_of(self, accounts: Sequence[Address], at: BlockRef) -> dict[Address, TokenUnits]:
        """Several accounts' free balances in one request."""
        words = self._read_each("balanceOf", accounts, at)
        return {one: TokenUnits(word) for one, (word,) in zip(accounts, words, strict=True)}

    def status_of(self, order: Order, at: BlockRef | None = None) -> LeaseStatus:
        return LeaseStatus(self._read("statusOf", order, at=at))

    def offer_of(self, identifier: OfferId, at: BlockRef | None = None) -> Offer | None:
        """The offer, or None where none has that number."""
        offer = Offer(identifier, *self._read("offerOf", identifier, at=at))
        return None if offer.provider == ZERO_ADDRESS else offer

    def listing_of(self, identifier: OfferId, at: BlockRef) -> Offer | None:
        """The offer for what never changes of it: provider, class, number of GPUs, bond, arbiter, spec; None where none has that number.

        Its price, its expiry and what is free are as of some block before."""
        known = self._standing.find(("listing", identifier), at, ())
        if known is not None:
            return Offer(identifier, *known)
        offer = self.offer_of(identifier, at)
        if offer is not None:
            self._standing.keep(("listing", identifier), at, astuple(offer)[1:])
        return offer

    def balance_of(self, account: Address, at: BlockRef | None = None) -> TokenUnits:
        """The account's free balance: locks are not in it."""
        return TokenUnits(self._read("balanceOf", account, at=at))

    def budget_of(self, account: Address, delegate: Address, at: BlockRef | None = None) -> Budget:
        """What the delegate may still spend of the account's money; nothing, until never, where it is none."""
        left, until = self._read_all("budgetOf", account, delegate, at=at)
        return Budget(TokenUnits(left), UnixTime(until))

    def payee_of(self, identifier: Bytes32, at: BlockRef | None = None) -> Address | None:
        """Who receives the lease's income; None unless it is live."""
        payee = Address(self._read("payeeOf", identifier, at=at))
        return None if payee == ZERO_ADDRESS else payee

    def volume_of(self, gpu_class: ClassNumber, at: BlockRef | None = None) -> Volume:
        """All that was ever paid for GPUs of the class."""
        paid, gpu_seconds = self._read_all("volumeOf", gpu_class, at=at)
        return Volume(TokenUnits(paid), GpuSeconds(gpu_seconds))

    def _read(self, view: str, *arguments: Any, at: BlockRef | None = None) -> Any:
        (answer,) = self._read_all(view, *arguments, at=at)
        return answer

    def _read_all(
        self, view: str, *arguments: Any, at: BlockRef | None = None, about: Sequence[str] = ()
    ) -> tuple[Any, ...]:
        """``about``: topics of every log that tells of a change."""
        question = (view, *arguments)
        known = self._standing.find(question, at, (self.address, *about)) if at else None
        if known is not None:
            return known
        found = _ABI.answer(view, self.chain.call(self.address, _ABI.call(view, *arguments), at))
        if at:
            self._standing.keep(question, at, found)
        return found

    def _read_each(self, view: str, arguments: Sequence[Any], at: BlockRef) -> list[tuple[Any, ...]]:
        """What a view of one argument answers for each of these, all as of one block. Always asked: who reconciles believes nothing that it knows."""
        block = {"blockHash": at.hash}
        calls = [
            ("eth_call", [{"to": self.address, "data": "0x" + _ABI.call(view, one).hex()}, block]) for one in arguments
        ]
        answers = self.chain.batch(calls) if calls else []
        for answer in answers:
            if isinstance(answer, ChainError):
                raise answer
        return [_ABI.answer(view, bytes.fromhex(answer[2:])) for answer in answers]
