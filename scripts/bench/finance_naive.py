"""A vault as somebody would write it first, beside the real ones in the same run, and a thief with two keys who robs it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import solcx

from marketplace.chain import verbs
from marketplace.chain.compiler import EVM_VERSION, PROJECT_ROOT, solc_path
from marketplace.chain.contracts import ContractAbi
from marketplace.chain.token import TokenContract
from marketplace.domain.ids import Address
from marketplace.domain.units import TokenUnits
from scripts.bench.finance_stage import DOLLAR, Rent, Stage

SOURCE, NAME = "tests/solidity/finance/NaiveVault.sol", "NaiveVault"
DEPOSITED = 20_000 * DOLLAR


@lru_cache(maxsize=1)
def naive_abi() -> ContractAbi:
    """The tests' naive vault, compiled plainly."""
    compiled = solcx.compile_standard(
        {
            "language": "Solidity",
            "sources": {SOURCE: {"content": (PROJECT_ROOT / SOURCE).read_text(encoding="utf-8")}},
            "settings": {
                "remappings": ["@openzeppelin/=node_modules/@openzeppelin/"],
                "evmVersion": EVM_VERSION,
                "outputSelection": {SOURCE: {NAME: ["abi", "evm.bytecode.object"]}},
            },
        },
        solc_binary=solc_path(),
        base_path=PROJECT_ROOT,
    )["contracts"][SOURCE][NAME]
    return ContractAbi(
        {
            "contractName": NAME, "compiler": "", "abi": compiled["abi"], "immutables": {}, "deployedBytecode": "",
            "bytecode": compiled["evm"]["bytecode"]["object"],
        }
    )  # fmt: skip


class NaiveLender:
    """It lends four fifths of what is guaranteed to whoever assigns it a lease; whoever refreshes an account has approved it."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.lent = stage, 0
        creation = verbs.Call(None, naive_abi().creation(stage.book.market, stage.book.token), "naive")
        receipt = stage.send(stage.key("deployer"), creation)
        self.address = Address(receipt["contractAddress"].lower())
        stage.explainer.names[self.address] = "naive vault"
        lender = stage.give("naive lender", DEPOSITED)
        stage.send(lender, verbs.approve(stage.book.token, self.address, TokenUnits(DEPOSITED)))
        stage.send(lender, self._call("deposit", DEPOSITED))
        self._note(lender.address, "deposit", DEPOSITED)

    def rob(self, rent: Rent) -> None:
        """Both keys are one person's: assign, refresh, draw, and sign a last receipt over nothing."""
        stage = self.stage
        stage.send(rent.owner, verbs.assign(stage.book.market, rent.order, self.address))
        stage.send(rent.owner, self._call("request", rent.order, rent.owner.address))
        self.lent += 1
        for verb in ("refresh", "draw"):
            held = self.holds()
            stage.send(rent.owner, self._call(verb, self.lent))
            self._note(rent.owner.address, verb, self.holds() - held)
        stage.receipt(rent, 0, last=True)

    def loss(self) -> int:
        """What its lender no longer has, by the ledger."""
        return DEPOSITED - self.stage.explainer.ledger.balances["wallet/naive vault"]

    def holds(self) -> int:
        return TokenContract(self.stage.chain, self.stage.book.token).balance_of(self.address)

    def _call(self, verb: str, *values: Any) -> verbs.Call:
        return verbs.Call(self.address, naive_abi().call(verb, *values), f"naive {verb}")

    def _note(self, whose: Address, verb: str, amount: int) -> None:
        """Its events tell nothing: what its verbs moved is read off its balance."""
        names = self.stage.explainer.names
        ends = f"wallet/{names[whose]}", f"wallet/{names[self.address]}"
        giver, taker = ends if amount > 0 else ends[::-1]
        time = self.stage.chain.head().timestamp
        self.stage.explainer.ledger.move(time, giver, taker, abs(amount), f"naive vault: {verb}")
