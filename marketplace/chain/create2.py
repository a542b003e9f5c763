"""Addresses that are known before anything is there (CREATE2, EIP-1014), through the proxy that most chains have.

Who sends does not matter: the address follows from the salt and the creation code alone, constructor arguments included.
Whoever is first to create a contract there creates exactly that contract.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from eth_utils.crypto import keccak

from marketplace.chain.verbs import Call
from marketplace.domain.ids import Address, Bytes32

PROXY: Final = Address("0x4e59b44847b379578588920ca78fbf26c0b4956c")
"""Arachnid's deterministic deployment proxy: takes a salt and creation code, and creates."""

PROXY_CODE: Final = (
    "0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b"
    "8082525050506014600cf3"
)

PROXY_DEPLOYER: Final = Address("0x3fab184622dc19b6109349b94811493bf2a45362")
"""Nobody has its key. One signed transaction of it exists, good on every chain that takes transactions without a chain id."""

PROXY_TRANSACTION: Final = (
    "0xf8a58085174876e800830186a08080b853604580600e600039806000f350fe"
    + PROXY_CODE[2:]
    + "1ba0"
    + "22" * 32
    + "a0"
    + "22" * 32
)
PROXY_TRANSACTION_WEI: Final = 10**16
"""What it costs: 100,000 gas at 100 gwei, fixed by its signature."""

_PROJECT = "compute-bourse"


def default_salt() -> Bytes32:
    """The salt of this version of the project: the same contracts are at the same addresses on every chain."""
    return salt_of(f"{_PROJECT} {version(_PROJECT)}")


def salt_of(text: str) -> Bytes32:
    """A salt by name."""
    return Bytes32("0x" + keccak(text.encode()).hex())


def created_address(salt: Bytes32, creation_code: bytes, creator: Address = PROXY) -> Address:
    """keccak(0xff ‖ creator ‖ salt ‖ keccak(code))[12:]."""
    parts = b"\xff" + bytes.fromhex(creator[2:]) + bytes.fromhex(salt[2:]) + keccak(creation_code)
    return Address("0x" + keccak(parts)[12:].hex())


def first_child(creator: Address) -> Address:
    """Where a contract creates its first contract with plain CREATE: keccak(rlp([creator, 1]))[12:]."""
    return Address("0x" + keccak(b"\xd6\x94" + bytes.fromhex(creator[2:]) + b"\x01")[12:].hex())


def create(salt: Bytes32, creation_code: bytes, verb: str) -> Call:
    """The message that has the proxy create it. Reverts, without a word, where the contract is already."""
    return Call(PROXY, bytes.fromhex(salt[2:]) + creation_code, verb)
