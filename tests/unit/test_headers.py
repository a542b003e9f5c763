"""Headers as nodes tell them: typed, held against their own hash, and refused where they are none."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.chain.headers import Header, HeaderReader, header_of, standard_hash
from marketplace.domain.chain_errors import ChainUnavailable, NodeRefused


def told(number: int = 5, **changed: Any) -> dict[str, Any]:
    """A header with the hash of its fields, but for what is changed afterwards."""
    zero = "0x" + "00" * 32
    fields = dict.fromkeys(
        ("parentHash", "sha3Uncles", "stateRoot", "transactionsRoot", "receiptsRoot", "mixHash"), zero
    )
    fields |= {"miner": "0x" + "00" * 20, "logsBloom": "0x" + "00" * 256, "extraData": "0x", "nonce": "0x" + "00" * 8}
    fields |= {
        "difficulty": "0x0",
        "number": hex(number),
        "gasLimit": "0x1c9c380",
        "gasUsed": "0x0",
        "timestamp": "0x64",
    }
    fields |= {"baseFeePerGas": "0x7"}
    return fields | {"hash": standard_hash(fields)} | changed


def elsewhere(number: int = 5) -> dict[str, Any]:
    """Of a chain that hashes other things."""
    return told(number, hash="0x" + "e1" * 32)


def genesis(found: Any) -> HeaderReader:
    """A reader of the chain whose first block is that."""
    return HeaderReader(lambda: found)


def test_a_header_is_read() -> None:
    """What of it matters; a chain without EIP-1559 has no base fee."""
    found = header_of(told(), "5")

    assert isinstance(found, Header)
    assert (found.ref.number, found.ref.timestamp, found.base_fee_wei, found.gas_limit) == (5, 100, 7, 30_000_000)
    assert header_of(told(baseFeePerGas=None), "5").base_fee_wei is None


@pytest.mark.parametrize(
    "found",
    [
        None, "0x", [], {}, told(number=1 << 48), told(timestamp=hex(1 << 40)), told(timestamp=100), told(hash="0x12"),
        told(logsBloom="0x00"), told(gasLimit="30"), told(parentHash=None), told(baseFeePerGas="7"),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_header_may_be_known_to_another_node(found: object) -> None:
    """Nothing, other things, and numbers that no block has."""
    with pytest.raises(ChainUnavailable):
        header_of(found, "5")


def test_a_header_that_does_not_hash_to_its_name_is_refused_on_a_usual_chain() -> None:
    """As its genesis block shows, or any header that did hash to its name, for good."""
    lie = told(timestamp="0x65")
    with pytest.raises(ChainUnavailable, match="does not hash to its name"):
        genesis(told(0)).read(lie, "5")

    reader = genesis(elsewhere(0))
    reader.read(told(), "5")
    with pytest.raises(ChainUnavailable, match="does not hash to its name"):
        reader.read(lie, "5")


def refused() -> Any:
    raise NodeRefused("eth_getBlockByNumber", -32_000, "pruned")


@pytest.mark.parametrize(
    "first", [lambda: elsewhere(0), lambda: None, refused], ids=["other form", "unknown", "refused"]
)
def test_a_chain_of_another_form_cannot_be_held_to_its_hashes(first: Any) -> None:
    """Where the genesis block does not hash to its name, or nobody shows it."""
    reader = HeaderReader(first)

    assert [reader.read(elsewhere(number), "5").ref.number for number in (5, 6)] == [5, 6]


def test_the_genesis_block_itself_says_of_which_form_a_chain_is() -> None:
    """It is asked for no second time; on a thread that no answer reaches nothing is asked, and nothing unknown believed."""
    reader = HeaderReader(refused)
    assert reader.read(elsewhere(0), "0").ref.number == 0
    assert reader.read(elsewhere(), "5").ref.number == 5

    with pytest.raises(ChainUnavailable):
        genesis(elsewhere(0)).read(elsewhere(), "5", may_ask=False)


@pytest.mark.parametrize("name", ["gasUsed", "extraData", "miner"])
@pytest.mark.parametrize("value", ["no hex", 7, "0x0g"])
def test_a_field_that_is_none_has_no_hash(name: str, value: object) -> None:
    """And so the header is none of a usual chain."""
    assert standard_hash(told(**{name: value})) is None
