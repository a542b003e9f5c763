"""What an agent's memory holds about a serving beside its journal: all of it can be lost, and found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from marketplace.chain.verbs import Call
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import Lease
from marketplace.domain.offers import Offer
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import Result
from marketplace.domain.units import Seconds, TokenUnits, UnixTime
from marketplace.domain.work import Assignment
from marketplace.provider.chores import Chore, ChorePool
from marketplace.provider.closing import Wrapped
from marketplace.provider.executors.base import Execution, ExecutionResult, JobUse
from marketplace.provider.gateways import AtEach, GatewayLine, InTurn
from marketplace.provider.gpus.nvml import GpuSample
from marketplace.provider.home import ServingFolder
from marketplace.provider.images.cache import CachedImage
from marketplace.provider.preflight import Obstacle
from marketplace.provider.toolbox import NOTHING, Dispatch, Toolbox
from marketplace.provider.twice_told import TwiceTold
from marketplace.store.journal.rows import ServingKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JobEnd:
    """A job that is over, and the newest block that was there when it still ran; None while nobody knows."""

    result: ExecutionResult
    after: BlockRef | None
    is_unwatched: bool = False
    """It ended while no agent was there: what is charged ends at ``after``."""


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What was left of a job that an agent before us ran: None where it is gone."""

    execution: Execution | None
    is_sealed: bool
    disk_mib: int
    """How much of the disk it may have taken."""


class SampledUse(Generic[T]):
    """What it uses: what is being found out, and told."""

    def __init__(self, machine: ChorePool, sending: AtEach[bool]) -> None:
        self.sampling: Chore[T] = Chore(machine)
        self.sending = sending
        self.sampled_at = UnixTime(0)


@dataclass(frozen=True, slots=True)
class Countersigned:
    """A receipt, and the signature of the client's side under it."""

    receipt: Receipt
    signature: str


@dataclass(frozen=True, slots=True)
class SignaturesHeard:
    """What one gateway was handed of ours, if anything was, and what it told."""

    handed: Receipt | None
    found: tuple[Countersigned, ...]


class ProgressMade:
    """How far a serving is signed for while it runs; the journal has all of it, but for who was told."""

    def __init__(self, asking: AtEach[SignaturesHeard]) -> None:
        self.asking = asking
        self.is_recalled = False
        self.ours: Receipt | None = None
        """The newest that we signed, with our signature."""
        self.signature = ""
        self.signed: Countersigned | None = None
        """The newest that the client's side signed, too."""
        self.refused_seconds = Seconds(0)
        """The contract did not take a signature over so many: none over as many or fewer is sent again."""
        self.holders: set[GatewayLine] = set()
        """The gateways that have the newest one."""
        self.ask_at = UnixTime(0)
        """Block time before which nobody is asked again."""
        self.is_unpaid = False
        """The job was stopped because its client has not signed for what was served."""

    @property
    def signed_seconds(self) -> Seconds:
        """What the client's side has signed for."""
        return self.signed.receipt.used_seconds if self.signed else Seconds(0)


@dataclass(frozen=True, slots=True)
class PullOutcome:
    """What came of one try to have an image: neither where another serving is pulling it."""

    image: CachedImage | None = None
    obstacle: Obstacle | None = None
    is_warm: bool = False
    """It was here before."""


@dataclass(slots=True)
class Inheritance:
    """The files that a session takes over from the one before it."""

    copying: Chore[str]
    is_over: bool = False
    """They are in its folder, or cannot be had."""
    source: ServingKey | None = None
    """Whose they are, until this one runs with them: before, whatever happens, they are copied again."""


class Attendance:
    """One serving in the agent's hands."""

    def __init__(self, tools: Toolbox, folder: ServingFolder, offer: Offer | None, since: UnixTime) -> None:
        money, machine, gateways = tools.pools.money, tools.pools.machine, tools.gateways
        self.folder = folder
        self.offer = offer
        """The listing it is served under; its bond and arbiter never change."""
        self.since = since
        """Block time from which on this process attends to it."""
        self.lease: Lease | None = None
        """The chain's word about it as of the block ``looked_at``; None before the first look."""
        self.looked_at: BlockRef | None = None
        self.over = TwiceTold()
        """That the newest block ends its job."""
        self.confirmed_over = TwiceTold()
        """That a confirmed block says that it is over."""

        self.assignment: Assignment | None = None
        self.run: Path | None = None
        """The executor's folder, inputs unpacked."""
        self.is_waiting_for_room = False
        self.trouble: Obstacle | None = None
        """What stood in the way the last time, and may pass by itself."""
        self.obstacle: Obstacle | None = None
        """Why it is being declined."""
        self.is_made = False
        """Its folder is there."""
        self.making: Chore[bool | Obstacle] = Chore(machine)
        self.fetching: AtEach[Assignment | Obstacle] = AtEach(gateways)
        self.has_inputs = False
        """All parts of its inputs are in its folder."""
        self.collecting: InTurn[bool | Obstacle] = InTurn(gateways)
        self.unpacking: Chore[Path | Obstacle] = Chore(machine)
        self.image: CachedImage | None = None
        """What its job is to run in; None also where that is the job runtime."""
        self.pulling: Chore[PullOutcome] = Chore(tools.pools.images)
        self.pull_since: UnixTime | None = None
        """Block time at which its image was asked for."""
        self.was_pulling = False
        """An agent before us may have asked for it."""
        self.pull_seconds = Seconds(0)
        """Block time until it was here, which is not charged."""

        self.inheritance = Inheritance(Chore(machine))
        self.is_followed = False
        """It was stopped because its follow-on is there."""

        self.is_found = False
        """An agent before us had it, and what is left of its job is not known yet."""
        self.taking_up: Chore[TakenUp] = Chore(machine)
        self.starting: Chore[Execution | Obstacle] = Chore(machine)
        self.execution: Execution | None = None
        self.is_stopped = False
        """It was killed because the chain said that its lease is over: how it ended says nothing about the work."""
        self.is_handed_back = False
        """It was stopped because the agent leaves: what it has done until then is metered and delivered."""
        self.seen_running: BlockRef | None = None
        """The newest block at which the job was seen to run."""
        self.away_since: UnixTime | None = None
        """Block time since which nobody watched the job; None where this process has, all the time."""
        self.ended: JobEnd | None = None
        self.log_offsets: dict[GatewayLine, int] = {}
        self.pumping: AtEach[int] = AtEach(gateways)

        self.result: Result | None = None
        self.loss = ""
        """Why there is nothing to hand over, where that is the fault of this machine: then nothing is charged."""
        self.holders: set[GatewayLine] = set()
        """The gateways that have all outputs and our receipt, as they say."""
        self.was_refused = False
        """The contract did not take the client's signature: only a claim is left."""
        self.wrapping: Chore[Wrapped] = Chore(machine)
        self.delivering: AtEach[Bytes32] = AtEach(gateways, is_large=True)
        self.watching: AtEach[tuple[str, ...]] = AtEach(gateways)
        self.removing: Chore[bool] = Chore(machine)
        self.progress = ProgressMade(AtEach(gateways))
        self.gpu_use: SampledUse[Sequence[GpuSample]] = SampledUse(machine, AtEach(gateways))
        self.job_use: SampledUse[JobUse | None] = SampledUse(machine, AtEach(gateways))
        self.dispatch = Dispatch(tools.sender, money)

    @property
    def is_running(self) -> bool:
        """Whether anything of the job may still be alive."""
        return self.starting.is_under_way or (self.execution is not None and self.execution.poll() is None)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing works in its folder any more."""
        chores = (
            self.making,
            self.unpacking,
            self.inheritance.copying,
            self.pulling,
            self.taking_up,
            self.wrapping,
            self.gpu_use.sampling,
            self.job_use.sampling,
        )
        asked = (self.fetching, self.collecting, self.pumping, self.delivering)
        return (
            not self.is_running
            and all(chore.is_finished or not chore.is_under_way for chore in chores)
            and all(chore.is_quiet for chore in asked)
        )

    @property
    def is_delivered(self) -> bool:
        """Whether the client's side can have our receipt and outputs, from one gateway at least."""
        return bool(self.holders)

    def send(self, call: Call, head: BlockRef, *, name: str = "", stake: TokenUnits = NOTHING) -> None:
        self.dispatch.send(call, head.number, name=name, stake=stake)

    def stop(self) -> None:
        """End the job because its lease is over; one that is just being started is ended as soon as it is there."""
        self.is_stopped = True
        if self.execution is not None:
            self.execution.kill()

    def reset_run(self) -> None:
        """Forget how far a run was prepared: the next one begins with a fresh folder."""
        self.run = None
        self.is_made = self.has_inputs = self.inheritance.is_over = False
        self.execution = None
        self.seen_running = None
        self.ended = None
        self.is_stopped = False
