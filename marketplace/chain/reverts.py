"""What a contract's "no" means: custom errors by selector, refusal codes by number. Never by matching text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from eth_abi.exceptions import DecodingError

from marketplace.chain.contracts import SELECTOR_BYTES, Parameter, Signature, contract_abi, decoded
from marketplace.chain.rpc_shapes import printable
from marketplace.domain.chain_errors import TransactionReverted, WrongChain
from marketplace.domain.refusals import Refusal

UNKNOWN_ERROR = "UnknownError"
NO_REASON = "NoReason"
"""The contract reverted without a word: out of gas, or a call to something that is not the contract."""
OUT_OF_GAS = "OutOfGas"

_CONTRACTS = (
    "ComputeMarket",
    "TestDollar",
    "GpuCatalogue",
    "ProviderSpv",
    "SpvFactory",
    "BackstopArbiter",
    "AdvanceVault",
)
_BUILT_IN = (
    Signature("Error", (Parameter("message", "string", (), False),), ()),
    Signature("Panic", (Parameter("code", "uint256", (), False),), ()),
)


def reverted(content: str) -> TransactionReverted:
    """The typed error for what a call returned (0x-hex) when it reverted, with the arguments by name."""
    raw = bytes.fromhex(content.removeprefix("0x"))
    if not raw:
        return TransactionReverted(NO_REASON)
    error = _errors().get(raw[:SELECTOR_BYTES])
    if error is None:
        return TransactionReverted(UNKNOWN_ERROR, {"content": printable(content)})
    try:
        values = decoded(error.inputs, raw[SELECTOR_BYTES:])
    except (DecodingError, OverflowError, ValueError):
        return TransactionReverted(UNKNOWN_ERROR, {"content": printable(content)})
    shown = [printable(value) if isinstance(value, str) else value for value in values]
    return TransactionReverted(error.name, dict(zip((part.name for part in error.inputs), shown, strict=True)))


def refusal_of(reason: int) -> Refusal:
    """The refusal of that number. Raises WrongChain for a number that this version does not know."""
    try:
        return Refusal(reason)
    except ValueError:
        raise WrongChain("a refusal code of this protocol", str(reason)) from None


@lru_cache(maxsize=1)
def _errors() -> Mapping[bytes, Signature]:
    contracts = [contract_abi(name) for name in _CONTRACTS]
    listed = [error for contract in contracts for error in contract.errors.values()]
    return {error.selector: error for error in (*listed, *_BUILT_IN)}
