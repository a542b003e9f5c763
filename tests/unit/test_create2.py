"""Addresses that are known before anything is there."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from marketplace.chain.blueprint import Blueprint
from marketplace.chain.constants import LOCAL_CONSTANTS
from marketplace.chain.create2 import (
    PROXY,
    PROXY_DEPLOYER,
    PROXY_TRANSACTION,
    PROXY_TRANSACTION_WEI,
    create,
    created_address,
    default_salt,
    salt_of,
)
from marketplace.domain.ids import ZERO_ADDRESS, ZERO_BYTES32, Address, Bytes32

OWNER, OTHER = (Address("0x" + digit * 40) for digit in "12")
SALT = salt_of("a test")
FEED = "0x000000000000000000000000feed000000000000000000000000000000000000"
CAFE = "0x" + "cafebabe".rjust(64, "0")

VECTORS = [
    (ZERO_ADDRESS, ZERO_BYTES32, "00", "0x4D1A2e2bB4F88F0250f26Ffff098B0b30B26BF38"),
    ("0xdeadbeef" + "0" * 32, ZERO_BYTES32, "00", "0xB928f69Bb1D91Cd65274e3c79d8986362984fDA3"),
    ("0xdeadbeef" + "0" * 32, FEED, "00", "0xD04116cDd17beBE565EB2422F2497E06cC1C9833"),
    (ZERO_ADDRESS, ZERO_BYTES32, "deadbeef", "0x70f2b2914A2a4b783FaEFb75f459A580616Fcb5e"),
    ("0x" + "0" * 32 + "deadbeef", CAFE, "deadbeef", "0x60f3f640a8508fC6a86d45DF051962668E1e8AC7"),
    ("0x" + "0" * 32 + "deadbeef", CAFE, "deadbeef" * 11, "0x1d8bfDC5D46DC4f61D6b6115972536eBE6A8854C"),
    (ZERO_ADDRESS, ZERO_BYTES32, "", "0xE33C0C7F7df4809055C3ebA6c09CFe4BaF1BD9e0"),
]


@pytest.mark.parametrize(("creator", "salt", "code", "expected"), VECTORS, ids=range(len(VECTORS)))
def test_addresses_are_those_of_the_eip(creator: str, salt: str, code: str, expected: str) -> None:
    """The examples of EIP-1014, all seven."""
    assert created_address(Bytes32(salt), bytes.fromhex(code), Address(creator)) == expected.lower()


def test_the_keyless_transaction_makes_the_proxy() -> None:
    """Its signature names the account to fund, and that account's first contract is at the proxy's address (Nick's method)."""
    signer = str(Account.recover_transaction(PROXY_TRANSACTION)).lower()
    first_contract = keccak(b"\xd6\x94" + bytes.fromhex(signer[2:]) + b"\x80")[12:]

    assert signer == PROXY_DEPLOYER
    assert "0x" + first_contract.hex() == PROXY
    assert PROXY_TRANSACTION_WEI == 100_000 * 100 * 10**9


def test_the_remedy_for_a_missing_proxy_is_in_the_documents() -> None:
    """Account and transaction, to be copied."""
    told = (Path(__file__).parents[2] / "docs/how-to/deployment.md").read_text()

    assert all(word in told for word in (PROXY, PROXY_DEPLOYER, PROXY_TRANSACTION))


def test_the_default_salt_is_the_projects_name_and_version() -> None:
    """Anybody can compute it, and so the addresses."""
    assert default_salt() == "0x" + keccak(f"compute-bourse {version('compute-bourse')}".encode()).hex()


def test_a_creation_is_sent_to_the_proxy_as_salt_and_code() -> None:
    """That is all that the proxy reads."""
    call = create(SALT, b"\x01\x02", "create it")

    assert (call.to, call.input.hex()) == (PROXY, SALT[2:] + "0102")


def test_every_part_of_a_blueprint_moves_the_market() -> None:
    """Salt, each constant and the token are in the market's address; the catalogue's owner is not."""
    blueprint = Blueprint(SALT, LOCAL_CONSTANTS, OWNER)
    others = [
        Blueprint(salt_of("another"), LOCAL_CONSTANTS, OWNER),
        Blueprint(SALT, LOCAL_CONSTANTS, OWNER, given_token=OTHER),
        *(
            Blueprint(SALT, replace(LOCAL_CONSTANTS, **{name: getattr(LOCAL_CONSTANTS, name) + 1}), OWNER)
            for name in ("start_grace", "claim_grace", "challenge_window", "ruling_window", "bond_floor")
        ),
    ]

    assert len({blueprint.market.address, *(other.market.address for other in others)}) == len(others) + 1
    assert Blueprint(SALT, LOCAL_CONSTANTS, OTHER).market.address == blueprint.market.address
    assert Blueprint(SALT, LOCAL_CONSTANTS, OTHER).catalogue.address != blueprint.catalogue.address


def test_a_given_token_is_not_made() -> None:
    """A test dollar is part of a blueprint only where nothing else is there to settle in."""
    assert [part.name for part in Blueprint(SALT, LOCAL_CONSTANTS, OWNER, OTHER).parts] == [
        "GpuCatalogue",
        "ComputeMarket",
    ]
    assert [part.name for part in Blueprint(SALT, LOCAL_CONSTANTS, OWNER).parts] == [
        "GpuCatalogue",
        "TestDollar",
        "ComputeMarket",
    ]
