"""What is sent to an arbiter with a backstop, and what is asked of it. Its panel's ruling is the market's own verb (``verbs.rule``), sent to it."""

from __future__ import annotations

from marketplace.chain.blocks import Chain
from marketplace.chain.contracts import contract_abi
from marketplace.chain.finance import ARBITER
from marketplace.chain.verbs import Call
from marketplace.domain.ids import Address
from marketplace.domain.orders import Order
from marketplace.domain.units import Seconds


def backstop(arbiter: Address, order: Order) -> Call:
    """Have what was guaranteed or claimed paid, where its panel was silent. Anyone's, from STEP before the ruling window ends until it does (A-1)."""
    return Call(arbiter, contract_abi(ARBITER).call("backstop", order), "backstop")


def collect(arbiter: Address) -> Call:
    """Pay out to its panel what rulings brought it. Anyone's, at any time (A-2)."""
    return Call(arbiter, contract_abi(ARBITER).call("collect"), "collect")


def panel_of(chain: Chain, arbiter: Address) -> Address:
    """Who rules under it, and has its fees; the same for good. Raises ChainUnavailable."""
    abi = contract_abi(ARBITER)
    (panel,) = abi.answer("panel", chain.call(arbiter, abi.call("panel")))
    return Address(panel)


def step_of(chain: Chain, arbiter: Address) -> Seconds:
    """How long before the ruling window ends its panel's time is over; the same for good. Raises ChainUnavailable."""
    abi = contract_abi(ARBITER)
    (step,) = abi.answer("STEP", chain.call(arbiter, abi.call("STEP")))
    return Seconds(step)
