"""In whose name a key acts: its own account's, that of a contract which takes its signature (EIP-1271), or as a delegate with a budget.

Whoever signs for another account is the acceptor of its orders. So the key that ordered can also countersign, terminate, cancel and dispute, whatever
the account is; its money it cannot touch: the contract pays out, and gives budgets, to whoever sends the transaction.
"""

from __future__ import annotations

from functools import cached_property

from marketplace.chain.checksums import address_from_text, checksum
from marketplace.chain.eip1271 import is_approved_by
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key, text_id
from marketplace.domain.blocks import BlockRef
from marketplace.domain.budgets import Budget
from marketplace.domain.errors import Forbidden, InvalidField, Refused
from marketplace.domain.fills import refusal_of_signer
from marketplace.domain.ids import ZERO_ADDRESS, Address
from marketplace.domain.orders import SignedOrder
from marketplace.domain.refusals import Refusal

_PROBE = "Compute Bourse: does this account take this key's signature for its own?"


class Mandate:
    """One key, and the account in whose name it acts."""

    def __init__(self, key: Key, account: Address, market: MarketContract) -> None:
        self.account, self.signer = account, key.address
        self._key, self._market = key, market

    @property
    def is_own(self) -> bool:
        """Whether the key is the account's own."""
        return self.account == self.signer

    @property
    def acceptor(self) -> Address:
        """Whom orders name as acceptor: the key, where the account is not its own."""
        return ZERO_ADDRESS if self.is_own else self.signer

    @cached_property
    def is_wallets(self) -> bool:
        """Whether the account is a contract that takes the key's signature for its own; asked once. Raises ChainUnavailable."""
        if self.is_own:
            return False
        head, signature = self._market.chain.head(), self._key.sign_text(_PROBE)
        return is_approved_by(self._market.chain, self.account, text_id(_PROBE), signature, head)

    @property
    def speaker(self) -> Address:
        """In whose name requests go to a gateway: the account's, where the key's signature counts as its own."""
        return self.account if self.is_own or self.is_wallets else self.signer

    @property
    def represented(self) -> Address | None:
        """The account, where requests go in its delegate's name."""
        return None if self.speaker == self.account else self.account

    def budget(self, at: BlockRef | None = None) -> Budget:
        """What the key may still spend of the account's money as its delegate."""
        return self._market.budget_of(self.account, self.signer, at)

    def require_order(self, signed: SignedOrder, block: BlockRef) -> None:
        """Raise Forbidden where the contract would not take the key's signature for the account, Refused(OverBudget) beyond a budget."""
        if self.is_own:
            return
        charged = self._market.lease_of(signed.id, block).charged
        refusal = refusal_of_signer(signed.order, self.signer, self.budget(block), block.timestamp, charged=charged)
        if refusal is Refusal.OverBudget:
            raise Refused(refusal, "account", f"of {checksum(self.signer)}, a delegate of {checksum(self.account)}")
        chain = self._market.chain
        if refusal is not None and not is_approved_by(chain, self.account, signed.id, signed.signature, block):
            raise Forbidden(
                f"{checksum(self.signer)} may not sign orders for {checksum(self.account)}: it is no delegate with a budget"
                " (bourse wallet authorize), and the account is no contract that takes its signature (EIP-1271)"
            )

    def receiver(self, to: str | None) -> Address:
        """Whom a withdrawal pays: the account, or ``to``. Raises InvalidField (``to``) for who could not move the money on."""
        if to is None:
            return self.account
        found, terms = address_from_text(to, field="to"), self._market.terms()
        lost = {ZERO_ADDRESS: "the zero address", terms.market: "the market", terms.token: "the token"}
        if found in lost:
            raise InvalidField("to", f"is {lost[found]}: nobody could move the money on from there")
        return found

    def require_own(self, what: str) -> None:
        """Raise Forbidden for what an account can only do itself."""
        if not self.is_own:
            raise Forbidden(
                f"only {checksum(self.account)} itself can {what}: {checksum(self.signer)} may sign orders for it, and countersign,"
                " cancel, terminate and dispute those"
            )
