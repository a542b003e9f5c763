"""What an agent works with, gathered once; and the one way in which its parts send transactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import structlog

from marketplace.chain.blocks import Chain
from marketplace.chain.companies import sign_for_company
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key, SigningDomain
from marketplace.chain.transactions import Mined, Sender
from marketplace.chain.verbs import Call
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError, TransactionReverted
from marketplace.domain.ids import Address
from marketplace.domain.market import MarketTerms
from marketplace.domain.receipts import Receipt
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
    spv: Address | None = None
    """The company that is the provider, whose operator the key is; None: the key itself is."""

    def close_pools(self) -> None:
        """Forget what waits; what runs ends by itself."""
        self.pools.close()
        for line in self.gateways:
            line.close_pools()

    @cached_property
    def workspaces(self) -> Workspaces:
        return Workspaces(self.journal.workspaces)

    @property
    def account(self) -> Address:
        """The provider, as the market has it."""
        return self.spv or self.key.address

    @property
    def desk(self) -> Address:
        """Where a provider's own verbs go: to the market, or to its company, whose verbs of the same names go on to the market."""
        return self.spv or self.market.address

    def is_pledged(self, at: BlockRef) -> bool:
        """Whether the provider is a company whose income is pledged: then it lists, reprices and opens nothing (S-1). Raises ChainUnavailable."""
        return self.spv is not None and self.market.companies.creditor_of(self.spv, at) is not None

    def signed(self, receipt: Receipt) -> str:
        """The provider's signature."""
        return (
            sign_for_company(self.key, receipt, self.domain)
            if self.spv
            else self.key.sign_receipt(receipt, self.domain)
        )

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
