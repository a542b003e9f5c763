"""Providers that are code (``ProviderSpv``): whether an account is one, whose key speaks for it, and how it signs receipts.

A company signs nothing but receipts, and its signature carries the receipt that it is of (S-2). What is said off the chain, heartbeats, requests,
host keys, is said by its operator's key, as the chain has it at that block (S-5b).
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Final

from eth_abi.abi import encode

from marketplace.chain.blocks import Chain
from marketplace.chain.contracts import contract_abi
from marketplace.chain.eip1271 import is_approved_by
from marketplace.chain.signing import Key, SigningDomain, receipt_id, recover
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32
from marketplace.domain.receipts import Receipt

_SPV, _FACTORY = contract_abi("ProviderSpv"), contract_abi("SpvFactory")
_RECEIPT_TYPE: Final = "(bytes32,uint40,uint40,uint32,bytes32,bool)"
_SIGNATURE_AT: Final = 8 * 32
_SIGNATURE_BYTES: Final = 65
MOST_REMEMBERED: Final = 4_096
"""Accounts: more have to be asked about again."""


class Companies:
    """The companies of one factory; of none where a market was deployed without. Everything raises ChainUnavailable."""

    def __init__(self, chain: Chain, factory: Address | None) -> None:
        self._chain, self.factory = chain, factory
        self._known: dict[Address, str | None] = {}
        """True for good of a company: its address is of its code. Of anybody else as of a block's hash."""
        self._operators: dict[Address, tuple[str, Address]] = {}

    def is_company(self, account: Address, at: BlockRef | None = None) -> bool:
        """Whether the factory made it."""
        if self.factory is None:
            return False
        at = at or self._chain.head()
        if account in self._known and self._known[account] in (None, at.hash):
            return self._known[account] is None
        (found,) = _FACTORY.answer("isSpv", self._chain.call(self.factory, _FACTORY.call("isSpv", account), at))
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[account] = None if found else at.hash
        return bool(found)

    def speaker_of(self, provider: Address, at: BlockRef | None = None) -> Address:
        """Whose word about a provider's machine counts: of a company its operator's at this block, of anybody else its own. The one place that says so."""
        if self.factory is None:
            return provider
        at = at or self._chain.head()
        if not self.is_company(provider, at):
            return provider
        kept = self._operators.get(provider)
        if kept is None or kept[0] != at.hash:
            if len(self._operators) >= MOST_REMEMBERED:
                self._operators.clear()
            kept = self._operators[provider] = (at.hash, Address(self._read(provider, "operator", at)))
        return kept[1]

    def owner_of(self, company: Address, at: BlockRef | None = None) -> Address:
        return Address(self._read(company, "owner", at))

    def creditor_of(self, company: Address, at: BlockRef | None = None) -> Address | None:
        """To whom its income is pledged; None: to nobody."""
        creditor = Address(self._read(company, "creditor", at))
        return None if creditor == ZERO_ADDRESS else creditor

    def allowed_by(self, company: Address, at: BlockRef | None = None) -> Address | None:
        """Which vault its owner lets take its income in pledge."""
        vault = Address(self._read(company, "allowed", at))
        return None if vault == ZERO_ADDRESS else vault

    def pledged_lease(self, company: Address, at: BlockRef | None = None) -> Bytes32 | None:
        """Which lease is pledged."""
        lease, _ = _SPV.answer("pledged", self._chain.call(company, _SPV.call("pledged"), at))
        return Bytes32(lease) if int(lease, 16) else None

    def address_of(self, owner: Address, salt: Bytes32, at: BlockRef | None = None) -> Address:
        """Where the company of this owner and salt is, or would be."""
        assert self.factory, "asked of a market with finance"
        (found,) = _FACTORY.answer("spvOf", self._chain.call(self.factory, _FACTORY.call("spvOf", owner, salt), at))
        return Address(found)

    def approves(self, account: Address, digest: Bytes32, signature: str, at: BlockRef) -> bool:
        """Whether an account that is a contract takes a signature of something said off the chain for its own."""
        speaker = self.speaker_of(account, at)
        if speaker != account:
            return recover(digest, signature) == speaker
        return is_approved_by(self._chain, account, digest, signature, at)

    def _read(self, company: Address, view: str, at: BlockRef | None) -> str:
        (found,) = _SPV.answer(view, self._chain.call(company, _SPV.call(view), at))
        return str(found)


def sign_for_company(key: Key, receipt: Receipt, domain: SigningDomain) -> str:
    """A company's signature of a receipt: the receipt itself, and its operator's signature, in the ABI's form."""
    signature = bytes.fromhex(key.sign_receipt(receipt, domain)[2:])
    values = [bytes.fromhex(value[2:]) if isinstance(value, str) else value for value in astuple(receipt)]
    return "0x" + encode([_RECEIPT_TYPE, "bytes"], [tuple(values), signature]).hex()


def provider_signs(
    signature: str, receipt: Receipt, provider: Address, speaker: Address, domain: SigningDomain
) -> bool:
    """Whether the provider, or the operator of one that is a company, signed this receipt; the market itself also holds it against the floor (S-3)."""
    digest = receipt_id(receipt, domain)
    if provider == speaker:
        return recover(digest, signature) == provider
    content = bytes.fromhex(signature.removeprefix("0x"))
    inner = "0x" + content[_SIGNATURE_AT : _SIGNATURE_AT + _SIGNATURE_BYTES].hex()
    return len(content) > _SIGNATURE_AT and speaker != ZERO_ADDRESS and recover(digest, inner) == speaker
