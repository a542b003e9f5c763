"""Bringing a market onto a chain: a plan that costs nothing, and the doing, which may be stopped and done again at any point.

Every contract is created with CREATE2, so what is there says what has been done: nothing else is remembered between two
runs. Whoever runs it again finds the same contracts, and creates those that are missing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from eth_utils.crypto import keccak

from marketplace.chain.address_book import AddressBook, ContractRecord, DeploymentRecord
from marketplace.chain.blocks import LATEST, PENDING, Chain
from marketplace.chain.blueprint import Blueprint, PlannedContract
from marketplace.chain.constants import LOCAL_CHAINS, LOCAL_CONSTANTS, MarketConstants, check_constants
from marketplace.chain.contracts import contract_abi
from marketplace.chain.create2 import PROXY, PROXY_CODE, PROXY_DEPLOYER, create
from marketplace.chain.finance import check_finance
from marketplace.chain.settlement import TokenFacts, inspect_token
from marketplace.chain.signing import Key
from marketplace.chain.transactions import FEE_SPREAD_WEI, Fees, Sender
from marketplace.domain.chain_errors import (
    ChainUnavailable,
    InsufficientFunds,
    NodeRefused,
    ProxyMissing,
    TransactionReverted,
    WrongChain,
)
from marketplace.domain.errors import DeadlinePassed, InvalidField
from marketplace.domain.ids import Address, Bytes32

__all__ = [
    "LOCAL_CONSTANTS",
    "AddressBook",
    "DeployStep",
    "DeploymentPlan",
    "MarketConstants",
    "carry_out",
    "deploy",
    "plan_deployment",
    "recorded",
]  # fmt: skip

Told = Callable[[str], None]

CREATION_GAS, CODE_BYTE_GAS, CALLDATA_BYTE_GAS = 150_000, 200, 18
"""Two transactions' worth of fixed cost, with a constructor that asks something; a byte of code kept; a byte sent, with its part of the hash."""
WAIT_SECONDS = 180
"""For one transaction: a public chain may be busy."""


@dataclass(frozen=True, slots=True)
class DeployStep:
    """One contract of the plan: there already, or what its creation takes."""

    part: PlannedContract
    is_there: bool
    gas: int


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """What a deployment would do now, and what it would cost. Rollups add a fee for the bytes that they post elsewhere."""

    chain_id: int
    deployer: Address
    blueprint: Blueprint
    token: TokenFacts | None
    """None for a test dollar that is not there yet."""
    steps: tuple[DeployStep, ...]
    fees: Fees
    available_wei: int

    @property
    def missing(self) -> tuple[DeployStep, ...]:
        return tuple(step for step in self.steps if not step.is_there)

    @property
    def gas(self) -> int:
        return sum(step.gas for step in self.missing)

    @property
    def cost_wei(self) -> int:
        """In the next block."""
        return self.gas * self.fees.likely_wei

    @property
    def required_wei(self) -> int:
        """What nodes ask the deployer to own: one transaction at its limits, and the others paid."""
        if not self.missing:
            return 0
        largest = max(step.gas for step in self.missing)
        return (self.gas - largest + self.fees.gas_limit(largest)) * (self.fees.most_wei + FEE_SPREAD_WEI)

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.token.warnings if self.token and self.blueprint.given_token else ()


def plan_deployment(chain: Chain, deployer: Address, blueprint: Blueprint) -> DeploymentPlan:
    """Look, and say what is to be done. Sends nothing.

    Raises ProxyMissing, and InvalidField for a constant that breaks a rule or a token that will not do.
    """
    check_constants(blueprint.constants, chain.chain_id)
    if blueprint.finance:
        check_finance(blueprint.finance, blueprint.constants)
    if blueprint.given_token is None and chain.chain_id not in LOCAL_CHAINS:
        raise InvalidField(
            "token", f"chain {chain.chain_id} is not a local one: name the ERC-20 that the market settles in"
        )
    token = inspect_token(chain, blueprint.given_token) if blueprint.given_token else None
    _require_proxy(chain)
    steps = tuple(_step(chain, deployer, part) for part in blueprint.parts)
    balance = int(chain.rpc("eth_getBalance", deployer, PENDING), 16)
    return DeploymentPlan(chain.chain_id, deployer, blueprint, token, steps, Fees.now(chain), balance)


def carry_out(
    chain: Chain, key: Key, plan: DeploymentPlan, *, known: AddressBook | None = None, tell: Told = lambda _: None
) -> AddressBook:
    """Create what is missing, and return the book of what is there. ``known`` is the book of an earlier run, where there is one.

    May be stopped anywhere and run again. Raises InsufficientFunds before anything is sent.
    """
    if plan.available_wei < plan.required_wei:
        raise InsufficientFunds(key.address, plan.required_wei, plan.available_wei)
    if plan.missing:
        _wait_for_earlier(chain, key.address)
    sender, block_number = Sender(chain, key), None
    for step in plan.steps:
        number = None if _has_code(chain, step.part.address) else _created(sender, plan, step.part)
        how = "is there already" if number is None else f"was created in block {number}"
        tell(f"{step.part.title} {how}: {step.part.address}")
        block_number = number if step.part is plan.blueprint.market else block_number
    return recorded(chain, plan.blueprint, block_number or _first_block(chain, plan.blueprint.market.address, known))


def deploy(
    chain: Chain,
    deployer: Key,
    constants: MarketConstants,
    *,
    token: Address | None = None,
    salt: Bytes32 | None = None,
) -> AddressBook:
    """Create a market, with the catalogue, for ``token``; without one a TestDollar is made, for local chains only.

    Without a salt each call makes another market. ``deployer`` may append classes to the catalogue later.
    """
    blueprint = Blueprint(salt or Bytes32("0x" + secrets.token_hex(32)), constants, deployer.address, token)
    return carry_out(chain, deployer, plan_deployment(chain, deployer.address, blueprint))


def recorded(chain: Chain, blueprint: Blueprint, deployed_at_block: int) -> AddressBook:
    """The book of a blueprint whose contracts are all there."""
    record = DeploymentRecord(
        salt=blueprint.salt,
        constants=blueprint.constants,
        catalogue_owner=blueprint.catalogue_owner,
        compiler=f"solc {contract_abi(blueprint.market.name).compiler}",
        finance=blueprint.finance,
        vault_terms=blueprint.vault_terms,
        contracts=tuple(_contract_record(chain, part) for part in blueprint.parts),
    )
    return AddressBook(
        chain_id=chain.chain_id,
        market=blueprint.market.address,
        token=blueprint.token,
        catalogue=blueprint.catalogue.address,
        deployed_at_block=deployed_at_block,
        record=record,
        spv_factory=blueprint.spv_factory.address if blueprint.spv_factory else None,
        backstop_arbiter=blueprint.backstop_arbiter.address if blueprint.backstop_arbiter else None,
        vaults=tuple(part.address for part in blueprint.vaults),
    )


def _contract_record(chain: Chain, part: PlannedContract) -> ContractRecord:
    code = bytes.fromhex(chain.code_at(part.address)[2:])
    return ContractRecord(
        part.title, part.address, "0x" + part.encoded_arguments.hex(), Bytes32("0x" + keccak(code).hex())
    )


def _require_proxy(chain: Chain) -> None:
    code = chain.code_at(PROXY)
    if code == PROXY_CODE:
        return
    if code != "0x":
        raise ProxyMissing(chain.chain_id, PROXY, "something else is there; this chain cannot be used")
    raise ProxyMissing(
        chain.chain_id, PROXY,
        f"send 0.01 of the chain's coin to {PROXY_DEPLOYER} and broadcast the proxy's own transaction, as docs/how-to/deployment.md says",
    )  # fmt: skip


def _step(chain: Chain, deployer: Address, part: PlannedContract) -> DeployStep:
    if _has_code(chain, part.address):
        return DeployStep(part, is_there=True, gas=0)
    call = create(part.salt, part.creation_code, f"create {part.name}")
    if part.asks and not _has_code(chain, part.asks):
        return DeployStep(part, is_there=False, gas=_most_gas(part))
    message = {"from": deployer, "to": call.to, "data": "0x" + call.input.hex()}
    return DeployStep(part, is_there=False, gas=int(chain.rpc("eth_estimateGas", message, LATEST), 16))


def _most_gas(part: PlannedContract) -> int:
    """What its creation costs at most. Nodes cannot say, as long as what it asks is not there."""
    code = len(contract_abi(part.name).deployed_bytecode) // 2 - 1
    return CREATION_GAS + CODE_BYTE_GAS * code + CALLDATA_BYTE_GAS * len(part.creation_code)


def _created(sender: Sender, plan: DeploymentPlan, part: PlannedContract) -> int | None:
    """Create it; the number of its block, or None where somebody else was faster, which makes no difference."""
    try:
        mined = sender.send(create(part.salt, part.creation_code, f"create {part.name}"), wait_seconds=WAIT_SECONDS)
    except TransactionReverted:
        if _has_code(sender.chain, part.address):
            return None
        raise
    if not _has_code(sender.chain, part.address):
        raise WrongChain(f"{part.name} at {part.address} on chain {plan.chain_id}", "no code there after its creation")
    return mined.block.number


def _has_code(chain: Chain, address: Address) -> bool:
    return chain.code_at(address) != "0x"


def _wait_for_earlier(chain: Chain, account: Address) -> None:
    """Wait until all that the account has sent is in a block: among it may be a creation that an earlier run did not see
    mined, and creating twice would burn the gas of the second time."""
    deadline = monotonic() + WAIT_SECONDS
    while True:
        mined, sent = (int(chain.rpc("eth_getTransactionCount", account, at), 16) for at in (LATEST, PENDING))
        if mined >= sent:
            return
        if monotonic() >= deadline:
            raise DeadlinePassed(f"the mining of {sent - mined} earlier transactions of {account}", WAIT_SECONDS)
        chain.next_head(chain.head(), 1.0)


def _first_block(chain: Chain, address: Address, known: AddressBook | None) -> int:
    """The block in which the contract appeared; 0, which is safe and slow, where the node has forgotten its past."""
    if known and known.market == address and known.chain_id == chain.chain_id:
        return known.deployed_at_block
    there, back = chain.head().number, 1
    try:
        # Backwards first: nodes forget old states, and what was just created is in a new one.
        while there > 0 and _had_code(chain, address, max(0, there - back)):
            there, back = max(0, there - back), 2 * back
        without = max(-1, there - back)
        while there - without > 1:
            middle = (without + there) // 2
            without, there = (without, middle) if _had_code(chain, address, middle) else (middle, there)
    except NodeRefused:
        return 0
    except ChainUnavailable:
        chain.head()  # it is there, and has forgotten
        return 0
    return there


def _had_code(chain: Chain, address: Address, number: int) -> bool:
    return bool(chain.rpc("eth_getCode", address, hex(number)) != "0x")
