"""What gas costs, what is offered for it, and when more is offered for a transaction that waits. Pure, but for ``Fees.now``.

A pool takes a replacement only for 10 % more of both fees (geth), others want 12.5 %: we give 12.5 %, rounded up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from marketplace.chain.blocks import Chain
from marketplace.domain.chain_errors import ChainUnavailable, FeesTooHigh, NodeRefused
from marketplace.domain.units import TokenUnits

MAX_TRANSACTION_GAS: Final = 1 << 24
"""EIP-7825."""
TRANSFER_GAS: Final = 21_000
"""An empty transfer, which fills a nonce."""
GWEI: Final = 10**9
DEFAULT_MOST_FEE_WEI: Final = 500 * GWEI
"""Per gas. A node that names a higher price than any busy day saw is not believed."""

_SPARE_GAS = 200_000
"""Room for items of a batch that are refused when simulated and hold when mined; unused gas costs nothing."""
_USUAL_TIP_WEI = GWEI
"""For nodes that suggest none."""

PATIENCE_BLOCKS: Final[Mapping[str, int]] = {
    "claim": 1, "dispute": 1, "terminate": 1, "settle": 2, "decline": 2, "finalize": 3, "expire": 3, "lapse": 3,
}  # fmt: skip
"""Blocks that a verb waits before more is offered for it: the shorter, the more is lost by waiting."""
USUAL_PATIENCE_BLOCKS: Final = 4


@dataclass(frozen=True, slots=True)
class Fees:
    """What gas costs now (EIP-1559), and how much of it a transaction may use."""

    base_wei: int
    tip_wei: int
    block_gas_limit: int

    @classmethod
    def now(cls, chain: Chain) -> Fees:
        """Ask the node. Raises ChainUnavailable where its header has no base fee (London is needed)."""
        header = chain.head_header()
        if header.base_fee_wei is None:
            raise ChainUnavailable("the node's newest header says no base fee")
        return cls(header.base_fee_wei, _tip(chain), header.gas_limit)

    @property
    def likely_wei(self) -> int:
        """Per gas, in the next block."""
        return self.base_wei + self.tip_wei

    @property
    def most_wei(self) -> int:
        """Per gas, offered at most: the base fee may double while a transaction waits."""
        return 2 * self.base_wei + self.tip_wei

    def gas_limit(self, estimate: int) -> int:
        """The most that a transaction of this estimate may use. Raises NodeRefused where no block takes it."""
        most = min(self.block_gas_limit, MAX_TRANSACTION_GAS)
        if estimate > most:
            raise NodeRefused("eth_estimateGas", 0, f"the call takes {estimate} gas, and a block takes {most}")
        return min(2 * estimate + _SPARE_GAS, most)

    def offer(self, cap_wei: int) -> FeeOffer:
        """What a new transaction offers. Raises FeesTooHigh where the cap does not even pay the next block."""
        if self.base_wei > cap_wei:
            raise FeesTooHigh(self.base_wei, cap_wei)
        most = min(self.most_wei, cap_wei)
        return FeeOffer(most, min(self.tip_wei, most))


@dataclass(frozen=True, slots=True)
class FeeOffer:
    """What a transaction offers per gas: at most in all, and of that to who puts it into a block."""

    most_wei: int
    tip_wei: int

    def raised(self, fees: Fees, cap_wei: int) -> FeeOffer | None:
        """What replaces it in every pool, and pays what gas costs now; None where the cap is too low for that."""
        most = max(_eighth_more(self.most_wei), fees.most_wei)
        tip = max(_eighth_more(self.tip_wei), fees.tip_wei)
        if most > cap_wei:
            most = cap_wei
        if most < _eighth_more(self.most_wei) or tip > most:
            return None
        return FeeOffer(most, tip)


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """How much a transaction may cost."""

    most_wei: int = DEFAULT_MOST_FEE_WEI
    """Per gas, whatever is at stake."""
    wei_per_unit: int = 0
    """What a token unit is worth in the chain's coin; 0: not known, and then only ``most_wei`` bounds."""

    def cap_wei(self, stake: TokenUnits | int, gas: int, first: FeeOffer | None = None) -> int:
        """Per gas: no more than what is at stake is worth, but never less than what was offered first."""
        if not stake or not self.wei_per_unit:
            return self.most_wei
        worth = stake * self.wei_per_unit // max(1, gas)
        return min(self.most_wei, max(worth, first.most_wei if first else 0))


def patience_of(verb: str) -> int:
    """Blocks that a transaction of this verb waits before more is offered."""
    return PATIENCE_BLOCKS.get(verb, USUAL_PATIENCE_BLOCKS)


def _eighth_more(wei: int) -> int:
    return wei + -(-wei // 8)


def _tip(chain: Chain) -> int:
    """What the node suggests; nodes without ``eth_maxPriorityFeePerGas`` get a usual one."""
    try:
        suggested: Any = chain.rpc("eth_maxPriorityFeePerGas")
    except NodeRefused:
        return _USUAL_TIP_WEI
    try:
        return int(suggested, 16)
    except (TypeError, ValueError) as exc:
        raise ChainUnavailable(f"the node suggests no tip: {str(suggested)[:80]!r}") from exc
