"""Whether there is coin for gas: an agent that cannot claim loses its bonds, so it stops offering while it still can."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from marketplace.chain.blocks import LATEST, Chain
from marketplace.chain.fees import Fees
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import MarketplaceError
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime
from marketplace.provider.chores import Chore, ChorePool

_log = structlog.get_logger()

LOOK_SECONDS = 15
"""Block time between two looks."""
ROOM_GAS = 600_000
"""A sender signs for more gas than a call is likely to take, and must be able to pay for all of it."""
LEASE_GAS = 250_000
"""What one lease takes at most: a claim, its finalize; or a decline."""
WITHDRAWAL_GAS = 80_000
"""What withdrawing one offer takes."""
REOPENED_AT = 2
"""Offers are put up again when there is so many times what is needed."""
_WEI_PER_COIN = 10**18


def needed_wei(fees: Fees, leases: int, offers: int) -> int:
    """What it takes to withdraw all offers, and to see so many leases through, at the fees of now."""
    return fees.most_wei * (ROOM_GAS + LEASE_GAS * leases + WITHDRAWAL_GAS * offers)


@dataclass(frozen=True, slots=True)
class Funds:
    """Coin that there is, and that is needed."""

    coin_wei: int
    needed_wei: int
    wei_per_gas: int


class GasFunds:
    """Looks now and then; the last look is what is known."""

    def __init__(self, chain: Chain, account: Address, pool: ChorePool) -> None:
        self._chain, self._account = chain, account
        self._looking: Chore[Funds] = Chore(pool)
        self._look_at = UnixTime(0)
        self._funds: Funds | None = None
        self.is_short = False
        """There is less than is needed: nothing new is taken on."""

    @property
    def trouble(self) -> str | None:
        """What is wrong, for people; None while there is enough."""
        if not self.is_short or self._funds is None:
            return None
        return (
            f"{_coin(self._funds.coin_wei)} of the chain's coin for gas, {_coin(self._funds.needed_wei)} needed:"
            f" offers are withdrawn until {self._account} has {_coin(REOPENED_AT * self._funds.needed_wei)}"
        )

    @property
    def wei_per_gas(self) -> int:
        """What gas cost at the last look; 0 before the first one."""
        return self._funds.wei_per_gas if self._funds else 0

    def look(self, head: BlockRef, leases: int, offers: int) -> bool:
        """Look, if it is time; whether ``is_short`` changed."""
        try:
            funds = self._looking.take(head.number)
        except MarketplaceError as exc:
            _log.info("gas.not_counted", reason=exc.reason, error=str(exc))
            return False
        if head.timestamp >= self._look_at:
            self._look_at = UnixTime(head.timestamp + LOOK_SECONDS)
            self._looking.begin(lambda: self._counted(leases, offers), head.number)
        return funds is not None and self._judged(funds)

    def _counted(self, leases: int, offers: int) -> Funds:
        coin = int(self._chain.rpc("eth_getBalance", self._account, LATEST), 16)
        fees = Fees.now(self._chain)
        return Funds(coin, needed_wei(fees, leases, offers), fees.likely_wei)

    def _judged(self, funds: Funds) -> bool:
        self._funds, was_short = funds, self.is_short
        self.is_short = funds.coin_wei < funds.needed_wei * (REOPENED_AT if was_short else 1)
        if self.is_short and not was_short:
            _log.error("gas.low", advice=self.trouble)
        if was_short and not self.is_short:
            _log.info("gas.enough", coin=_coin(funds.coin_wei))
        return self.is_short != was_short


def _coin(wei: int) -> str:
    """Rounded down to millionths."""
    whole, rest = divmod(wei, _WEI_PER_COIN)
    return f"{whole}.{rest // 10**12:06d}"
