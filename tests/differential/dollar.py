"""The settlement token of the model: balances, allowances, EIP-2612 permits and EIP-3009 authorizations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.differential.shapes import NOBODY, TOKEN_SAYS_NO, Address, Authorization, Permit, Reverted, Signature, Word


@dataclass(slots=True)
class Dollar:
    balances: Counter[Address] = field(default_factory=Counter)
    allowances: Counter[tuple[Address, Address]] = field(default_factory=Counter)
    """By owner and spender."""
    nonces: Counter[Address] = field(default_factory=Counter)
    used: set[tuple[Address, Word]] = field(default_factory=set)
    """Authorizations that were used, by owner and nonce."""

    def mint(self, account: Address, amount: int) -> None:
        self.balances[account] += amount

    def approve(self, owner: Address, spender: Address, amount: int) -> None:
        self.allowances[owner, spender] = amount

    def transfer(self, source: Address, to: Address, amount: int) -> None:
        if to == NOBODY or self.balances[source] < amount:
            raise Reverted(frozenset([TOKEN_SAYS_NO]))
        self.balances[source] -= amount
        self.balances[to] += amount

    def transfer_from(self, spender: Address, source: Address, to: Address, amount: int) -> None:
        if self.allowances[source, spender] < amount:
            raise Reverted(frozenset([TOKEN_SAYS_NO]))
        self.transfer(source, to, amount)
        self.allowances[source, spender] -= amount

    def permit_holds(
        self, now: int, owner: Address, spender: Address, value: int, deadline: int, signature: Signature
    ) -> bool:
        """EIP-2612: signed by the owner, for its next nonce, and not after the deadline."""
        message = Permit(owner, spender, value, self.nonces[owner], deadline)
        return now <= deadline and owner != NOBODY and signature.names(message) == owner

    def permit(
        self, now: int, owner: Address, spender: Address, value: int, deadline: int, signature: Signature
    ) -> None:
        if not self.permit_holds(now, owner, spender, value, deadline, signature):
            raise Reverted(frozenset([TOKEN_SAYS_NO]))
        self.nonces[owner] += 1
        self.approve(owner, spender, value)

    def receive_with_authorization(
        self, now: int, caller: Address, authorization: Authorization, signature: Signature
    ) -> None:
        """EIP-3009: only by the receiver, strictly between the two times, once, signed by the owner."""
        of = authorization
        holds = of.valid_after < now < of.valid_before and of.to == caller and signature.names(of) == of.owner
        if not holds or (of.owner, of.nonce) in self.used:
            raise Reverted(frozenset([TOKEN_SAYS_NO]))
        self.transfer(of.owner, of.to, of.value)
        self.used.add((of.owner, of.nonce))
