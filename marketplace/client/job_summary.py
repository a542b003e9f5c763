"""What there is to tell about a job: its attempts, its money, its result. Values only; ``cli`` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.api.orders import ExplanationTold
from marketplace.client.spending import Opening, Sums
from marketplace.domain.blocks import BlockRef
from marketplace.domain.bundle_rules import LeftOut
from marketplace.domain.ids import Address, Bytes32, Sha256
from marketplace.domain.results import EndedReason, LogFile, Output, left_out_of
from marketplace.domain.spec import Group
from marketplace.domain.states import JobEvent, JobState
from marketplace.domain.units import PricePerGpuHour, Seconds, TokenUnits


@dataclass(frozen=True, slots=True)
class Attempt:
    """One order of a job: who served it, how that ended, and what it moved."""

    order: Bytes32
    number: int
    max_price: PricePerGpuHour
    opener: Address
    """Who alone could open it."""
    arbiter: Address
    worst_cost: TokenUnits
    """The most that its lease can cost (I-6)."""
    servings: tuple[Opening, ...]
    provider: Address | None
    """Of the last serving."""
    exit: str
    """The event that ended the lease; empty while it is live, or was never opened."""
    sums: Sums
    note: str
    """Why it stands still."""
    is_posted: bool
    """Whether a gateway has taken it."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """What came of a job, verified by hash. ``is_countersigned`` is False where the chain settled without our signature."""

    exit_code: int | None
    """The job's own; None where it did not end by itself, or did not run."""
    ended: EndedReason
    """Why it is over, and by ``ended.by`` whose doing that was."""
    used_seconds: Seconds
    price: PricePerGpuHour
    cost: TokenUnits
    """E(used): what the receipt says the provider earns."""
    provider: Address | None
    lease: Bytes32
    result: Sha256
    outputs: tuple[Output, ...]
    log: LogFile
    is_countersigned: bool

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What could not be delivered, by its path in the job, each with the reason."""
        return left_out_of(self.outputs)


@dataclass(frozen=True, slots=True)
class JobSummary:
    """All of it, oldest first."""

    job: Bytes32
    number: int
    name: str
    command: tuple[str, ...]
    state: JobState
    history: tuple[JobEvent, ...]
    attempts: tuple[Attempt, ...]
    sums: Sums
    is_settled: bool
    explanation: ExplanationTold | None
    """What the last round said about its order: why it waits, or waited in vain, or why it was placed there."""
    result: JobResult | None
    group: Group | None = None
    """Which node of which group it is; None: it stands alone."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job stands at a block, for a line on a screen."""

    state: JobState
    block: BlockRef
    elapsed_seconds: Seconds
    """On the meter of the present lease."""
    max_seconds: Seconds
    note: str
    is_posted: bool
    """Whether a gateway has taken its order; until then it is signed, and posted again with every block."""


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's money: free in the market, in live leases of this client's jobs, and outside the market."""

    free: TokenUnits
    locked: TokenUnits
    wallet: TokenUnits
    coin_wei: int
    """Of the chain's own coin, in which gas is paid."""

    @property
    def lacks_gas(self) -> bool:
        """Whether there is money, and nothing to pay the gas with that moving it takes."""
        return not self.coin_wei and bool(self.free or self.locked or self.wallet)
