"""Contracts that only tests have, compiled and put on a chain: awkward tokens and wallets."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import solcx

from marketplace.chain.blocks import Chain
from marketplace.chain.compiler import EVM_VERSION, solc_path
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.chain.verbs import Call
from marketplace.domain.ids import Address

ROOT = Path(__file__).parents[2]


@cache
def code_of(source: str, name: str) -> bytes:
    """The creation code of a contract in a file, given by its path below the project's root."""
    request = {
        "language": "Solidity",
        "sources": {source: {"content": (ROOT / source).read_text(encoding="utf-8")}},
        "settings": {"evmVersion": EVM_VERSION, "outputSelection": {"*": {name: ["evm.bytecode.object"]}}},
    }
    compiled = solcx.compile_standard(request, solc_binary=solc_path(), base_path=ROOT)
    return bytes.fromhex(compiled["contracts"][source][name]["evm"]["bytecode"]["object"])


def create(chain: Chain, key: Key, source: str, name: str, *arguments: Address) -> Address:
    """Put the contract on the chain; its arguments are addresses."""
    words = b"".join(bytes.fromhex(argument[2:]).rjust(32, b"\0") for argument in arguments)
    mined = Sender(chain, key).send(Call(None, code_of(source, name) + words, "create"))
    assert mined.contract is not None
    return mined.contract


def wallet_of(chain: Chain, owner: Key) -> Address:
    """An EIP-1271 wallet: what its owner's key signed, it signed."""
    return create(chain, owner, "tests/solidity/wallets/KeyWallet.sol", "KeyWallet", owner.address)
