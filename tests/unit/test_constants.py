"""The rules for what a market keeps for ever, and the two sets of the documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.chain.address_book import AddressBook, ContractRecord, DeploymentRecord
from marketplace.chain.constants import LOCAL_CONSTANTS, PRESETS, MarketConstants, Preset, check_constants
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.units import Seconds, TokenUnits

LOCAL, PUBLIC = 31337, 8453
L2 = PRESETS[Preset.L2].in_units(6)


def test_the_sets_are_those_of_the_protocol() -> None:
    """Local chain: 5 s, 15 s, 15 s, 30 s, 0.10 dollar; an L2: 15 min, 24 h, 24 h, 7 days, 0.50 dollar."""
    local = MarketConstants(Seconds(5), Seconds(15), Seconds(15), Seconds(30), TokenUnits(100_000))

    assert PRESETS[Preset.LOCAL].in_units(6) == LOCAL_CONSTANTS == local
    assert MarketConstants(Seconds(900), Seconds(86_400), Seconds(86_400), Seconds(604_800), TokenUnits(500_000)) == L2
    assert PRESETS[Preset.L2].in_units(18).bond_floor == 5 * 10**17
    check_constants(LOCAL_CONSTANTS, LOCAL)
    check_constants(L2, PUBLIC)


def test_a_token_without_cents_has_no_preset_floor() -> None:
    """Half a token of a token without decimals is nothing that could be bonded."""
    with pytest.raises(InvalidField) as raised:
        PRESETS[Preset.L2].in_units(0)

    assert raised.value.field == "bond_floor"


BROKEN: list[tuple[dict[str, Any], int, str]] = [
    ({"start_grace": 0}, LOCAL, "from 1 s"),
    ({"claim_grace": 0}, LOCAL, "from 1 s"),
    ({"challenge_window": 0}, LOCAL, "from 1 s"),
    ({"ruling_window": 0}, LOCAL, "from 1 s"),
    ({"challenge_window": 59}, PUBLIC, "from 60 s"),
    ({"ruling_window": 365 * 86_400 + 1}, LOCAL, "a year"),
    ({"start_grace": 86_401}, PUBLIC, "claim_grace"),
    ({"bond_floor": 0}, PUBLIC, "silence"),
    ({"bond_floor": 2**96}, PUBLIC, "2^96"),
]


@pytest.mark.parametrize(("change", "chain_id", "rule"), BROKEN, ids=lambda case: str(case))
def test_a_constant_that_breaks_a_rule_is_named(change: dict[str, Any], chain_id: int, rule: str) -> None:
    """The error says which one, and what would be right."""
    with pytest.raises(InvalidField) as raised:
        check_constants(replace(L2, **change), chain_id)

    assert raised.value.field == next(iter(change))
    assert rule in raised.value.rule


def test_a_book_keeps_all_that_its_addresses_follow_from(tmp_path: Path) -> None:
    """Constants, salt, owner, compiler, arguments and code hashes come back; an old book without them can be read too."""
    who, word = Address("0x" + "ab" * 20), Bytes32("0x" + "cd" * 32)
    contracts = (ContractRecord("ComputeMarket", who, "0x01", word), ContractRecord("GpuCatalogue", who, "0x", word))
    book = AddressBook(8453, who, who, who, 7, DeploymentRecord(word, L2, who, "solc 0.8.37", contracts))
    old = replace(book, record=None)

    for written in (book, old):
        written.write(tmp_path / "book.json")
        assert AddressBook.read(tmp_path / "book.json") == written
