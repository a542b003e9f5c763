"""What an agent's memory holds about a serving beside its journal: all of it can be lost, and found again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from marketplace.chain.verbs import Call
from marketplace.client.answers import SignedReceipt
from marketplace.domain.ids import Bytes32
from marketplace.domain.models import BlockRef, Lease, Offer
from marketplace.domain.results import Result
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.domain.work import Assignment
from marketplace.provider.chores import Chore
from marketplace.provider.executors.base import Execution, ExecutionResult
from marketplace.provider.home import ServingFolder
from marketplace.provider.preflight import Obstacle
from marketplace.provider.toolbox import NOTHING, Dispatch, Toolbox
from marketplace.provider.twice_told import TwiceTold


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that is over, and the newest block that was there when it still ran; None while nobody knows."""

    result: ExecutionResult
    after: BlockRef | None


class Attendance:
    """One serving in the agent's hands."""

    def __init__(self, tools: Toolbox, folder: ServingFolder, offer: Offer | None, since: UnixTime) -> None:
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
        self.trouble = ""
        """What went wrong the last time that something was fetched."""
        self.obstacle: Obstacle | None = None
        """Why it is being declined."""
        self.fetching: Chore[Assignment | Obstacle] = Chore(tools.pool)
        self.laying_out: Chore[Path | Obstacle] = Chore(tools.pool)

        self.execution: Execution | None = None
        self.is_stopped = False
        """It was killed because the chain said that its lease is over: how it ended says nothing about the work."""
        self.is_handed_back = False
        """It was stopped because the agent leaves: what it has done until then is metered and delivered."""
        self.ended: Ended | None = None
        self.log_offset = 0
        self.pumping: Chore[int] = Chore(tools.pool)

        self.result: Result | None = None
        self.is_delivered = False
        self.was_refused = False
        """The contract did not take the client's signature: only a claim is left."""
        self.wrapping: Chore[Result] = Chore(tools.pool)
        self.delivering: Chore[Bytes32] = Chore(tools.pool)
        self.watching: Chore[tuple[SignedReceipt, ...]] = Chore(tools.pool)
        self.dispatch = Dispatch(tools.sender, tools.pool)

    @property
    def is_running(self) -> bool:
        """Whether anything of the job may still be alive."""
        return self.execution is not None and self.execution.poll() is None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing works in its folder any more."""
        chores = (self.fetching, self.laying_out, self.pumping, self.wrapping, self.delivering)
        return not self.is_running and all(chore.is_finished or not chore.is_under_way for chore in chores)

    def send(self, call: Call, head: BlockRef, *, name: str = "", stake: TokenUnits = NOTHING) -> None:
        self.dispatch.send(call, head.number, name=name, stake=stake)

    def reset_run(self) -> None:
        """Forget how far a run was prepared: the next one begins with a fresh folder."""
        self.run = None
        self.execution = None
        self.ended = None
        self.is_stopped = False
