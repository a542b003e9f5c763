"""What the factory, owners and keepers of companies send. Operators' verbs are the market's own (``verbs``), sent to the company."""

from __future__ import annotations

from typing import Any

from marketplace.chain.contracts import contract_abi
from marketplace.chain.verbs import Call
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.orders import Order
from marketplace.domain.units import TokenUnits


def create_company(factory: Address, owner: Address, operator: Address, salt: Bytes32) -> Call:
    """Make a company. Anyone's; it is the owner's in the eyes of others once the owner itself has named an operator, as who makes its own does."""
    return Call(factory, contract_abi("SpvFactory").call("create", owner, operator, salt), "create")


def set_operator(company: Address, key: Address) -> Call:
    """Have another key act for it. The owner's, at any time."""
    return _company(company, "setOperator", key)


def allow(company: Address, vault: Address) -> Call:
    """Let this vault, and no other, take its income in pledge. The owner's."""
    return _company(company, "allow", vault)


def withdraw(company: Address, amount: TokenUnits) -> Call:
    """Pay out of its free market balance to its owner. The owner's, while nothing is pledged."""
    return _company(company, "withdraw", amount)


def claim_due(company: Address, order: Order) -> Call:
    """Claim all of its pledged lease, once metering is over. Anyone's, before the market's deadline (S-4)."""
    return _company(company, "claimDue", order)


def _company(company: Address, verb: str, *arguments: Any) -> Call:
    return Call(company, contract_abi("ProviderSpv").call(verb, *arguments), verb)
