"""Transactions as a node shows them, believed only where they carry a signature: nobody can sign for another's key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import rlp
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from marketplace.domain.ids import Address

_PRICED_BY_KIND: Final[Mapping[str, tuple[str, ...]]] = {
    "0x1": ("chainId", "nonce", "gasPrice", "gas", "value"),
    "0x2": ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "value"),
}


def signer_of(shown: Mapping[str, Any]) -> Address | None:
    """Who signed the transaction; None where what is shown does not hash to its hash, or is of a kind that is not known here."""
    try:
        raw = _raw(shown)
        if "0x" + keccak(raw).hex() != shown["hash"]:
            return None
        return Address(str(Account.recover_transaction(raw)).lower())
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RLPException,
        BadSignature,
        ValidationError,
    ):
        return None


def _raw(shown: Mapping[str, Any]) -> bytes:
    """The signed envelope, from its fields."""
    kind = shown.get("type") or "0x0"
    to, content = bytes.fromhex((shown.get("to") or "0x")[2:]), bytes.fromhex(shown["input"][2:])
    r, s = int(shown["r"], 16), int(shown["s"], 16)
    if kind == "0x0":
        numbers = [int(shown[name], 16) for name in ("nonce", "gasPrice", "gas")]
        return bytes(rlp.encode([*numbers, to, int(shown["value"], 16), content, int(shown["v"], 16), r, s]))
    fields: dict[str, Any] = {name: int(shown[name], 16) for name in _PRICED_BY_KIND[kind]}
    fields |= {"type": int(kind, 16), "to": to, "data": content, "accessList": _access_list(shown)}
    parity = int(shown.get("yParity") or shown["v"], 16)
    return bytes(TypedTransaction.from_dict(fields | {"v": parity, "r": r, "s": s}).encode())


def _access_list(shown: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(
        {"address": one["address"], "storageKeys": tuple(one["storageKeys"])} for one in shown.get("accessList") or ()
    )
