"""What an agent works with, gathered once; and the one way in which its parts send transactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import structlog

from marketplace.chain.blocks import Chain
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key, SigningDomain
from marketplace.chain.transactions import Mined, Sender
from marketplace.chain.verbs import Call
from marketplace.domain.chain_errors import ChainError, TransactionReverted
from marketplace.domain.market import MarketTerms
from marketplace.domain.units import TokenUnits
from marketplace.provider.chores import Chore, ChorePool, ChorePools
from marketplace.provider.executors.base import Executor
from marketplace.provider.gateways import GatewayLine
from marketplace.provider.gpus.rig import GpuRig
from marketplace.provider.home import AgentHome
from marketplace.provider.policy import AgentPolicy
from marketplace.provider.workspaces import Workspaces
from marketplace.store.journal.agent import AgentJournal

NOTHING = TokenUnits(0)

_log = structlog.get_logger()


@dataclass(frozen=True)
class Toolbox:
    """Everything an agent touches. ``sender`` sends for ``key``'s account; ``follower`` reads ``market``'s events."""

    chain: Chain
    market: MarketContract
    follower: EventFollower
    sender: Sender
    key: Key
    journal: AgentJournal
    gateways: tuple[GatewayLine, ...]
    """The preferred one first; one at least."""
    executor: Executor
    home: AgentHome
    policy: AgentPolicy
    pools: ChorePools
    rig: GpuRig = field(default_factory=GpuRig)

    def close_pools(self) -> None:
        """Forget what waits; what runs ends by itself."""
        self.pools.close()
        for line in self.gateways:
            line.close_pools()

    @cached_property
    def workspaces(self) -> Workspaces:
        return Workspaces(self.journal.workspaces)

    @cached_property
    def terms(self) -> MarketTerms:
        return self.market.terms()

    @cached_property
    def domain(self) -> SigningDomain:
        return self.market.domain


@dataclass(frozen=True, slots=True)
class Sent:
    """How a transaction ended: mined, or said no to by the contract."""

    verb: str
    mined: Mined | None
    reverted: TransactionReverted | None


class Dispatch:
    """Sends one transaction at a time, beside the step, on threads that do nothing else. Sending the same call again after a failure is not sending it twice."""

    def __init__(self, sender: Sender, pool: ChorePool) -> None:
        self._sender = sender
        self._chore: Chore[Mined] = Chore(pool)
        self._verb = ""
        self.seen_from = 0
        """What we sent shows in the chain's answers from this block on: before, they are old news."""

    @property
    def is_idle(self) -> bool:
        return not self._chore.is_under_way

    def send(self, call: Call, block: int, *, name: str = "", stake: TokenUnits = NOTHING) -> None:
        """Send, unless something is on its way already, or the chain does not show yet what the last one did.

        ``name`` and ``stake`` as in ``Sender.send``."""
        if self.is_idle and block >= self.seen_from:
            self._verb = call.verb
            self._chore.begin(lambda: self._sender.send(call, name=name, stake=stake), block)

    def outcome(self, block: int) -> Sent | None:
        """How the last one ended, once; None while it is on its way, and where the chain could not be asked (send again)."""
        try:
            mined = self._chore.take(block)
        except TransactionReverted as exc:
            _log.warning("transaction.refused", verb=self._verb, reason=exc.reason, error=str(exc))
            return Sent(self._verb, None, exc)
        except ChainError as exc:
            _log.warning("transaction.delayed", verb=self._verb, reason=exc.reason, error=str(exc))
            return None
        if mined is None:
            return None
        self.seen_from = mined.block.number
        return Sent(self._verb, mined, None)
