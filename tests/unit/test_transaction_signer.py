"""A transaction that a node shows is believed to be of a key only where the key has signed it."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account

from marketplace.chain.signing import Key
from marketplace.chain.transaction_signer import signer_of

KEY = Key(bytes([9]) * 32)
FIELDS: dict[str, Any] = {"chainId": 5, "nonce": 3, "to": "0x" + "11" * 20, "value": 7, "data": "0xabcd", "gas": 21_000}
PRICES: dict[str, dict[str, Any]] = {
    "0x0": {"gasPrice": 9},
    "0x1": {"gasPrice": 9, "type": 1, "accessList": [{"address": "0x" + "22" * 20, "storageKeys": ["0x" + "01" * 32]}]},
    "0x2": {"maxFeePerGas": 9, "maxPriorityFeePerGas": 1, "type": 2},
}


def shown(kind: str, to: str | None = FIELDS["to"]) -> dict[str, Any]:
    """The transaction as JSON-RPC shows it."""
    fields = FIELDS | PRICES[kind] | {"to": to or ""}
    signed = Account.from_key(bytes([9]) * 32).sign_transaction(
        fields if to else {k: v for k, v in fields.items() if k != "to"}
    )
    numbers = {name: hex(value) for name, value in fields.items() if isinstance(value, int)}
    lists = {"accessList": fields["accessList"]} if kind == "0x1" else {}
    return numbers | lists | {
        "type": kind, "to": to, "input": fields["data"], "hash": "0x" + signed.hash.hex(), "from": KEY.address,
        "v": hex(signed.v), "r": hex(signed.r), "s": hex(signed.s),
    }  # fmt: skip


@pytest.mark.parametrize("kind", list(PRICES))
def test_a_signed_transaction_is_its_signers(kind: str) -> None:
    """Of every kind that wallets make, also one that creates a contract."""
    assert signer_of(shown(kind)) == KEY.address
    assert signer_of(shown(kind, to=None)) == KEY.address


@pytest.mark.parametrize("kind", list(PRICES))
@pytest.mark.parametrize(
    "lie", [{"nonce": "0x4"}, {"hash": "0x" + "ab" * 32}, {"r": "0x1"}, {"s": None}, {"input": "0xzz"}]
)
def test_whatever_is_made_up_is_nobodys(kind: str, lie: dict[str, Any]) -> None:
    """Another nonce, another hash, another signature, or none."""
    assert signer_of(shown(kind) | lie) is None


def test_a_kind_that_is_not_known_is_nobodys() -> None:
    """No guess is evidence."""
    assert signer_of(shown("0x2") | {"type": "0x7f"}) is None
