"""Coverage and Queue in Solidity and in Python: the same amounts, to the unit, for random standings of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from random import Random
from typing import Any

import pytest
import solcx
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from marketplace.chain.compiler import EVM_VERSION, PROJECT_ROOT, solc_path
from marketplace.chain.devnet import ANVIL_KEYS, start_anvil
from marketplace.domain import finance
from marketplace.domain.finance import DrawStanding, Filling, LendingLimits, Ticket
from marketplace.domain.units import BPS_WHOLE, Bps, Seconds, TokenUnits
from tests.differential.node import ARGUMENTS, Node
from tests.ports import free_port

SOURCE = "tests/differential/finance.sol"
START = 1_800_000_000
CASES = 300
LIMITS = "(" + ",".join(["uint16"] * 10) + ")"
STANDING = "(bool,bool," + ",".join(["uint256"] * 16) + ")"
FILLING = "(uint128,uint128,uint128)"
TICKET = "(uint128,uint64,uint128,uint128)"
Case = tuple[str, list[str], tuple[Any, ...], list[str], tuple[Any, ...]]
"""Function, types and values of its arguments, types of its answer, and what Python says."""


@pytest.fixture(scope="module")
def arithmetic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, str]]:
    handle = start_anvil(free_port(), tmp_path_factory.mktemp("anvil"), block_time=None, arguments=ARGUMENTS)
    node = Node(handle.rpc_url)
    yield node, node.create(START + 2**31, ANVIL_KEYS[9].address, _code())
    node.close()
    handle.stop()


def _code() -> bytes:
    settings = {
        "remappings": ["@openzeppelin/=node_modules/@openzeppelin/"],
        "optimizer": {"enabled": True, "runs": 1},
        "viaIR": True,
        "evmVersion": EVM_VERSION,
        "outputSelection": {SOURCE: {"Arithmetic": ["evm.bytecode.object"]}},
    }
    sources = {SOURCE: {"content": Path(PROJECT_ROOT / SOURCE).read_text(encoding="utf-8")}}
    request = {"language": "Solidity", "sources": sources, "settings": settings}
    compiled = solcx.compile_standard(request, solc_binary=solc_path(), base_path=PROJECT_ROOT)
    return bytes.fromhex(compiled["contracts"][SOURCE]["Arithmetic"]["evm"]["bytecode"]["object"])


def test_solidity_and_python_agree_on_every_amount(arithmetic: tuple[Node, str]) -> None:
    """V-2 to V-11: verdicts, rates, the waterfall, what stands behind a loan, fillings and tickets are the same, to the unit."""
    node, contract = arithmetic
    rolls = Random(16)
    cases = [make(rolls) for make in (verdict, rate, amounts, filling, walk) for _ in range(CASES)]
    calls = [(contract, _call(function, types, values)) for function, types, values, _, _ in cases]
    answers = [answer for first in range(0, len(calls), 50) for answer in node.calls(calls[first : first + 50])]

    for (function, _, values, answer, expected), found in zip(cases, answers, strict=True):
        assert decode(answer, found) == expected, (function, values)


def _call(function: str, types: list[str], values: tuple[Any, ...]) -> bytes:
    return keccak(f"{function}({','.join(types)})".encode())[:4] + encode(types, values)


def amount(rolls: Random, bits: int = 96) -> TokenUnits:
    """Of any size: as many small ones as large ones, and 0."""
    return TokenUnits(rolls.getrandbits(rolls.randrange(bits + 1)))


def share(rolls: Random) -> Bps:
    return Bps(rolls.choice((0, 1, 500, 3_000, 9_999, BPS_WHOLE, rolls.randrange(BPS_WHOLE + 1))))


def a_case(rolls: Random) -> tuple[DrawStanding, LendingLimits, int]:
    """Every second one near what is usual, so that each rule comes to be the one that binds."""
    limits = LendingLimits(
        share(rolls), Bps(BPS_WHOLE + rolls.randrange(5_000)), Bps(rolls.randrange(3_000)), share(rolls), share(rolls),
        share(rolls), share(rolls), share(rolls), Bps(rolls.randrange(3_000)), Bps(rolls.randrange(3_000)),
    )  # fmt: skip
    bits = rolls.choice((96, 40))
    assets = max(amount(rolls, bits + 4), 1)
    values: list[Any] = [rolls.random() < 0.8, rolls.random() < 0.5, *(amount(rolls, bits) for _ in range(10))]
    values += [rolls.randrange(5_000), rolls.getrandbits(rolls.choice((22, 32))), assets, assets]
    values += [amount(rolls, bits), amount(rolls, bits)]
    standing = DrawStanding(*values)
    most, _ = finance.limit_of(standing, limits)
    return standing, limits, max(0, rolls.choice((most, most + 1, amount(rolls, bits))))


def verdict(rolls: Random) -> Case:
    standing, limits, drawn = a_case(rolls)
    expected = tuple(finance.verdict_on(standing, limits, drawn))
    types = [STANDING, LIMITS, "uint256"]
    return "verdict", types, (astuple(standing), astuple(limits), drawn), ["uint8", "uint256", "uint256"], expected


def rate(rolls: Random) -> Case:
    standing, limits, drawn = a_case(rolls)
    expected = (finance.rate_rounded_up(standing, limits, drawn),)
    return "rate", [STANDING, LIMITS, "uint256"], (astuple(standing), astuple(limits), drawn), ["uint256"], expected


def amounts(rolls: Random) -> Case:
    one, other, third, owed = (amount(rolls) for _ in range(4))
    bps, seconds = share(rolls), Seconds(rolls.getrandbits(32))
    to_vault, to_owner = finance.split(one, other, third, owed, bps)
    expected = (
        finance.interest_rounded_up(one, bps, seconds),
        finance.covered_rounded_down(one, other, third, bps, owed, one),
        finance.claim_rounded_down(owed, other, bps),
        to_vault,
        to_owner,
        finance.share_rounded_up(one, bps),
    )
    types = ["uint256"] * 4 + ["uint16", "uint32"]
    return "amounts", types, (one, other, third, owed, bps, seconds), ["uint256[6]"], (expected,)


def filling(rolls: Random) -> Case:
    values = (amount(rolls, 128), amount(rolls), amount(rolls) + 1, amount(rolls, 128) + 1, share(rolls))
    return "fill", ["uint256"] * 5, values, ["uint256", "uint256"], finance.fill(*values)


def walk(rolls: Random) -> Case:
    """A ticket that is in up to seventy fillings, of which one look goes through 64."""
    pending = amount(rolls, 100) + 1
    fillings: list[Filling] = []
    for _ in range(rolls.choice((0, 1, 3, 70))):
        waiting = pending + amount(rolls, 100)
        shares = rolls.randrange(waiting // rolls.choice((1, 50)) + 1)
        fillings.append(Filling(waiting, shares, amount(rolls)))
    ticket = Ticket(rolls.randrange(pending), rolls.randrange(3), amount(rolls), amount(rolls))
    after = finance.walked(ticket, fillings)
    values = (astuple(ticket), [astuple(each) for each in fillings])
    return "walk", [TICKET, f"{FILLING}[]"], values, [TICKET], (astuple(after),)
