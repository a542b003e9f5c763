"""What a contract's "no" is turned into."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from marketplace.chain.contracts import contract_abi
from marketplace.chain.reverts import NO_REASON, UNKNOWN_ERROR, refusal_of, reverted
from marketplace.domain.chain_errors import WrongChain
from marketplace.domain.refusals import SENTENCES, Refusal

ROOT = Path(__file__).resolve().parents[2]
WHO = "0x" + "ab" * 20


def content(signature: str, *values: object) -> str:
    types = re.findall(r"\w+", signature.partition("(")[2])
    return "0x" + (keccak(signature.encode())[:4] + encode(types, values)).hex()


def test_a_custom_error_keeps_its_name_and_its_arguments() -> None:
    """The numbers that explain it are there by name."""
    error = reverted(content("BalanceTooLow(address,uint256,uint256)", WHO, 7, 3))

    assert (error.error_name, error.reason) == ("BalanceTooLow", "BalanceTooLow")
    assert error.arguments == {"account": WHO, "attempted": 7, "available": 3}


def test_an_error_of_the_token_is_known_too() -> None:
    """A deposit without approval fails in the token, not in the market."""
    error = reverted(content("ERC20InsufficientAllowance(address,uint256,uint256)", WHO, 1, 5))

    assert error.arguments == {"spender": WHO, "allowance": 1, "needed": 5}


@pytest.mark.parametrize("name", ["ComputeMarket", "GpuCatalogue", "TestDollar"])
def test_every_error_of_the_contracts_is_known(name: str) -> None:
    """No error in an ABI comes back as unknown."""
    listed = json.loads((ROOT / "marketplace/chain/abi" / f"{name}.json").read_text())["abi"]
    names = [item["name"] for item in listed if item["type"] == "error"]
    samples = {"address": WHO, "bytes32": b"\1" * 32, "string": "text"}

    assert names
    for error in (contract_abi(name).errors[known] for known in names):
        types = [part.type for part in error.inputs]
        raw = error.selector + encode(types, [samples.get(kind, 1) for kind in types])

        assert reverted("0x" + raw.hex()).error_name == error.name
        assert list(reverted("0x" + raw.hex()).arguments) == [part.name for part in error.inputs]


def test_plain_reverts_and_panics_are_told() -> None:
    """Solidity's own errors have names as well."""
    assert reverted(content("Error(string)", "no")).arguments == {"message": "no"}
    assert reverted(content("Panic(uint256)", 0x11)).arguments == {"code": 0x11}


def test_an_error_that_nobody_knows_keeps_its_bytes() -> None:
    """Another contract's error, or one cut short, is not guessed at."""
    strange = content("Unheard(uint256)", 1)
    short = content("BalanceTooLow(address,uint256,uint256)", WHO, 7, 3)[:-10]

    assert [reverted(each).error_name for each in (strange, short)] == [UNKNOWN_ERROR] * 2
    assert reverted(strange).arguments == {"content": strange}


def test_a_revert_without_a_word_says_so() -> None:
    """Out of gas, or no contract there."""
    assert reverted("0x").error_name == NO_REASON


def test_refusal_codes_are_those_of_the_contract() -> None:
    """Numbers and names in Python and in Solidity are the same, and each has its sentence."""
    source = (ROOT / "contracts/interfaces/IComputeMarket.sol").read_text()
    listed = re.sub(r"//.*", "", source.partition("enum Refusal {")[2].partition("}")[0])
    in_solidity = {
        name: number
        for number, name in enumerate(re.findall(r"\w+", listed))
        if name != "None" and not name.startswith("Reserved")
    }

    assert {refusal.name: refusal.value for refusal in Refusal} == in_solidity
    assert set(SENTENCES) == set(Refusal)
    assert refusal_of(in_solidity["BadSignature"]) is Refusal.BadSignature


def test_a_refusal_of_another_protocol_is_an_error() -> None:
    """A number that this version does not know is not taken for anything."""
    with pytest.raises(WrongChain):
        refusal_of(99)


def test_the_specification_lists_every_error() -> None:
    """Those of the interface, in its order: with their arguments, their selectors, and its own sentences."""
    listed = re.findall(
        r"^\| `(\w+)\(([^)]*)\)` \| `(0x[0-9a-f]{8})` \| (.*) \|$",
        (ROOT / "docs/reference/specification.md").read_text(),
        re.M,
    )
    source = (ROOT / "contracts/interfaces/IComputeMarket.sol").read_text()
    declared = re.findall(r"/// @notice ([^\n]*)\n(?:    /// @param [^\n]*\n)*    error (\w+)\(([^)]*)\)", source)
    enums_as_numbers = [(said, name, arguments.replace("Status", "uint8")) for said, name, arguments in declared]
    selectors = {name: "0x" + error.selector.hex() for name, error in contract_abi("ComputeMarket").errors.items()}

    assert listed == [(name, arguments, selectors[name], said) for said, name, arguments in enums_as_numbers]
    assert len(listed) == 23
