"""One deployment on anvil beside one model, and where the two disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import solcx
from coincurve import PrivateKey

from marketplace.chain.compiler import solc_path
from marketplace.chain.contracts import contract_abi
from marketplace.chain.devnet import ANVIL_KEYS, ANVIL_PRIVATE_KEYS
from tests.differential.choices import PLENTY
from tests.differential.dollar import Dollar
from tests.differential.model import MarketModel
from tests.differential.node import Node, Outcome, event_of
from tests.differential.shapes import NOBODY, TOKEN_SAYS_NO, Constants, Event, Objection, Wallet
from tests.differential.walk import Played
from tests.differential.wire import Wire

START = 1_800_000_000
"""The second at which every stage is set up: with the seed, it makes a run what it is."""
CONSTANTS = Constants(start_grace=5, claim_grace=15, challenge_window=15, ruling_window=30, bond_floor=997)
"""The windows of a local chain; a floor that some bonds are above and some below, and whose half is rounded."""
KEYS: dict[str, PrivateKey] = {
    str(key.address): PrivateKey(secret) for key, secret in zip(ANVIL_KEYS[:6], ANVIL_PRIVATE_KEYS[:6], strict=True)
}
CLASSES = (0, 1, 2, 255)
_SAFE_ERC20 = "SafeERC20FailedOperation"
_DEPLOYER = ANVIL_KEYS[9].address


@dataclass
class Stage:
    """A market with its token and wallets, as just set up; ``again`` brings it back to that."""

    node: Node
    wire: Wire
    wallets: dict[str, Wallet]
    snapshot: str = ""
    logs: list[Any] = field(default_factory=list)
    """All of the market's logs since then."""
    times: dict[int, int] = field(default_factory=dict)
    """The second of each block since then, which no log says by a standard."""

    @classmethod
    def set_up(cls, node: Node) -> Stage:
        seconds = iter(range(START - 100, START))
        token = node.create(next(seconds), _DEPLOYER, contract_abi("TestDollar").creation())
        creation = contract_abi("ComputeMarket").creation(token, *astuple(CONSTANTS))
        market = node.create(next(seconds), _DEPLOYER, creation)
        owners = list(KEYS)[:2]
        wallets = {node.create(next(seconds), _DEPLOYER, wallet_creation(owner)): Wallet(owner) for owner in owners}
        node.rpc("anvil_autoImpersonateAccount", True)
        (separator,) = node.calls([(token, contract_abi("TestDollar").call("DOMAIN_SEPARATOR"))])
        wire = Wire(market, token, separator, int(node.rpc("eth_chainId"), 16), KEYS)
        funding = [
            (_DEPLOYER, token, contract_abi("TestDollar").call("mint", who, PLENTY)) for who in (*KEYS, *wallets)
        ]
        approving = [
            (who, token, contract_abi("TestDollar").call("approve", market, PLENTY)) for who in (*KEYS, *wallets)
        ]
        node.block(START, [*funding, *approving])
        return cls(node, wire, wallets, str(node.rpc("evm_snapshot")))

    def again(self) -> None:
        self.node.rpc("evm_revert", self.snapshot)
        self.snapshot, self.logs, self.times = str(self.node.rpc("evm_snapshot")), [], {}

    def new_model(self) -> MarketModel:
        """The model of a market that was just set up."""
        token = Dollar()
        for who in (*KEYS, *self.wallets):
            token.mint(who, PLENTY)
            token.approve(who, self.wire.market, PLENTY)
        return MarketModel(self.wire.market, token, CONSTANTS, self.wallets, cache(self.wire.order_id))

    def perform(self, now: int, played: list[Played]) -> Iterator[tuple[Played, Outcome]]:
        """Mine one block with these calls."""
        outcomes = self.node.block(now, [self.wire.sent(each.call) for each in played])
        for outcome in outcomes:
            logs = [log for log in outcome.logs if log["address"].lower() == self.wire.market]
            self.times |= {int(log["blockNumber"], 16): now for log in logs}
            self.logs += logs
        yield from zip(played, outcomes, strict=True)

    # where the two disagree ------------------------------------------------------------------------------------------

    def disagreement(self, played: Played, outcome: Outcome) -> str | None:
        """How what the contract did differs from what the model says; None if it does not."""
        if outcome.error is not None:
            return (
                None
                if any(_is(each, outcome.error) for each in played.objections)
                else f"reverted with {outcome.error}"
            )
        if played.objections:
            return "did not revert"
        logs = [log for log in outcome.logs if log["address"].lower() == self.wire.market]
        happened = [event_of(log) for log in logs]
        same = len(happened) == len(played.events) and all(map(_matches, played.events, happened))
        return None if same else f"said {happened}"

    def differences(self, model: MarketModel) -> list[str]:
        """All balances, budgets, words, free GPUs, payees, volumes and tokens that are not the model's, to the unit."""
        wanted = [*self._accounts(model), *self._offers(model), *self._leases(model)]
        answers = self.node.calls(
            [(to, contract_abi(name).call(view, *values)) for name, to, view, values, _ in wanted]
        )
        found = []
        for (name, _, view, values, expected), answer in zip(wanted, answers, strict=True):
            actual = contract_abi(name).answer(view, answer)
            if actual != expected:
                found.append(f"{view}{values}: the contract says {actual}, the model {expected}")
        held, owed = model.token.balances[model.address], sum(model.accounts.values()) + model.locked
        return found if held >= owed else [*found, f"I-1: the market holds {held} and owes {owed}"]

    def _accounts(self, model: MarketModel) -> Iterator[_View]:
        known = sorted({*model.accounts, *KEYS, *self.wallets, NOBODY, model.address})
        for who in known:
            yield self._of_market("balanceOf", who, gives=(model.accounts[who],))
            yield "TestDollar", self.wire.token, "balanceOf", (who,), (model.token.balances[who],)
        for account, delegate in model.budgets:
            budget = model.budget_of(account, delegate)
            yield self._of_market("budgetOf", account, delegate, gives=(budget.left, budget.until))

    def _offers(self, model: MarketModel) -> Iterator[_View]:
        for number in range(len(model.offers) + 2):
            yield self._of_market("offerOf", number, gives=(astuple(model.offer_of(number)),))
        for gpu_class in CLASSES:
            yield self._of_market("volumeOf", gpu_class, gives=astuple(model.volume_of(gpu_class)))

    def _leases(self, model: MarketModel) -> Iterator[_View]:
        for number, order in model.orders.items():
            lease = model.lease_of(number)
            yield self._of_market("leaseOf", number, gives=(astuple(lease),))
            yield self._of_market("payeeOf", number, gives=(model.payee_of(number),))
            yield self._of_market("statusOf", order, gives=(lease.status,))

    def _of_market(self, view: str, *values: Any, gives: tuple[Any, ...]) -> _View:
        return "ComputeMarket", self.wire.market, view, values, gives


_View = tuple[str, str, str, tuple[Any, ...], tuple[Any, ...]]
"""Contract, address, view, arguments, and what the model answers."""


def _is(objection: Objection, error: tuple[str, tuple[Any, ...]]) -> bool:
    name, values = error
    if objection == TOKEN_SAYS_NO:
        return name in contract_abi("TestDollar").errors or name == _SAFE_ERC20
    return (objection.name, objection.values) == (name, values)


def _matches(event: Event, happened: tuple[str, tuple[Any, ...]]) -> bool:
    """Equal, except that a refusal may name any of the reasons that hold."""
    name, values = happened
    if event.name in ("FillRefused", "SettlementRefused"):
        return event.name == name and event.values[:-1] == values[:-1] and values[-1] in event.values[-1]
    return (event.name, event.values) == (name, values)


@cache
def _wallet_code() -> bytes:
    source = Path(__file__).with_name("wallet.sol").read_text(encoding="utf-8")
    settings = {"evmVersion": "cancun", "outputSelection": {"*": {"Wallet": ["evm.bytecode.object"]}}}
    request = {"language": "Solidity", "sources": {"wallet.sol": {"content": source}}, "settings": settings}
    compiled = solcx.compile_standard(request, solc_binary=solc_path())
    return bytes.fromhex(compiled["contracts"]["wallet.sol"]["Wallet"]["evm"]["bytecode"]["object"])


def wallet_creation(owner: str) -> bytes:
    return _wallet_code() + bytes(12) + bytes.fromhex(owner[2:])
