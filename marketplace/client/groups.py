"""Jobs of several nodes: a job for each node, and one group over them. All succeed, or what is left of it is ended.

The scheduler places all nodes at once or none, but the contract knows nothing of groups: it refuses, and providers
decline, node by node. So it is the client that holds a group together: when one node can no longer succeed, or stays
behind, its market ends the others, and they are paid for the time they ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from marketplace.client.job import Job
from marketplace.client.kept import KeptJob
from marketplace.client.spending import Sums
from marketplace.client.story import Progress
from marketplace.domain.errors import DeadlinePassed, InvalidTransition
from marketplace.domain.states import JobReason, JobState
from marketplace.domain.units import UnixTime

if TYPE_CHECKING:
    from marketplace.client.market import Market

OnGroupProgress = Callable[[Mapping[int, Progress]], None]
"""Is told where every node stands, by rank."""

_ENDED = {
    JobState.FAILED: "failed",
    JobState.UNPLACED: "found no place",
    JobState.LOST: "was lost",
    JobState.CANCELLED: "was cancelled",
}
_STARTED = frozenset({JobState.RUNNING, JobState.SUCCEEDED})
_WITH_RESULT = frozenset({JobState.SUCCEEDED, JobState.FAILED})


def groups_in(nodes: Iterable[KeptJob]) -> list[list[KeptJob]]:
    """The groups that are not over, each by rank."""
    found: dict[str, list[KeptJob]] = {}
    for one in nodes:
        if one.group is not None:
            found.setdefault(one.group.id, []).append(one)
    return [sorted(group, key=_rank) for group in found.values() if not all(node.job.is_terminal for node in group)]


def breach_of(nodes: Sequence[KeptJob], at: UnixTime) -> str:
    """Why the group cannot succeed any more, naming the node; empty while it can."""
    ended = [node for node in nodes if node.job.state in _ENDED]
    if ended:
        return _told(min(ended, key=_by_blame))
    behind = [node for node in nodes if _seconds_behind(node, nodes, at) >= node.terms.silent_after_seconds > 0]
    return (
        f"{behind[0].group} found no place within {behind[0].terms.silent_after_seconds} s of another" if behind else ""
    )


def state_of(nodes: Sequence[KeptJob]) -> JobState:
    """Where the group stands: as far as its last node while it goes on, and as its first failure when it is over."""
    states = {node.job.state for node in nodes}
    if not all(node.job.is_terminal for node in nodes):
        return JobState.SUBMITTED if JobState.SUBMITTED in states else JobState.RUNNING
    ended = [node for node in nodes if node.job.state in _ENDED]
    if not ended:
        return JobState.SUCCEEDED
    blamed = min(ended, key=_by_blame)
    # All of them ended by us, and none by itself: one had stayed behind on the book.
    return JobState.UNPLACED if blamed.job.history[-1].reason is JobReason.GROUP_BROKEN else blamed.job.state


class JobGroup:
    """The handle of one job of several nodes. Like a job's, it holds no state of its own.

    group.wait()          until all nodes are over
    group.failure         which node failed, and how; empty while none did
    group.jobs[0].logs()  each node is a job like any other
    """

    def __init__(self, market: Market, identifier: str) -> None:
        self._market = market
        self.id = identifier

    def __repr__(self) -> str:
        return f"JobGroup({self.id[:8]}…, {self.state.value})"

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Its nodes, by rank."""
        return tuple(Job(self._market, node.job.id) for node in self._nodes())

    @property
    def state(self) -> JobState:
        return state_of(self._nodes())

    @property
    def is_terminal(self) -> bool:
        return all(node.job.is_terminal for node in self._nodes())

    @property
    def failure(self) -> str:
        """Why it cannot succeed any more, or did not; empty otherwise."""
        nodes = self._nodes()
        return nodes[0].broken or breach_of(nodes, UnixTime(0))

    def wait(self, timeout: float | None = None, on_progress: OnGroupProgress | None = None) -> JobState:
        """Move the nodes along until all are over; how the group ended. Raise DeadlinePassed after ``timeout`` seconds."""
        for block in self._market.steps(timeout):
            if on_progress is not None:
                on_progress({rank: job.progress(block) for rank, job in enumerate(self.jobs)})
            if self.is_terminal:
                return self.state
        raise DeadlinePassed(f"the end of group {self.id}", int(timeout or 0))

    def cancel(self) -> JobState:
        """Call all of it off; each node that ran is paid for its time."""
        for node in self._nodes():
            if not node.job.is_terminal:
                self._cancel(node)
        return self.wait()

    def download(self, into: Path) -> tuple[Path, ...]:
        """Unpack the outputs of every node that left some, each below ``node-<rank>``. Never overwrites."""
        return tuple(
            file
            for rank, job in enumerate(self.jobs)
            if job.state in _WITH_RESULT
            for file in job.download(into / f"node-{rank}")
        )

    def sums(self) -> Sums:
        """What was paid, refunded and compensated over all nodes."""
        total = Sums()
        for job in self.jobs:
            total = total.plus(job.sums())
        return total

    def _cancel(self, node: KeptJob) -> None:
        """A node whose provider has claimed is done: it is paid for, whatever becomes of the others."""
        try:
            self._market.cancel(self._market.book.order(node.job.order))
        except InvalidTransition:
            return

    def _nodes(self) -> list[KeptJob]:
        return self._market.book.group(self.id)


def node_name(kept: KeptJob) -> str:
    """The job's name, and which node it is."""
    return kept.job.name if kept.group is None else f"{kept.job.name} · {kept.group}"


def _told(node: KeptJob) -> str:
    note = node.job.history[-1].note
    return f"{node.group} {_ENDED[node.job.state]}{': ' + note if note else ''}"


def _rank(node: KeptJob) -> int:
    return node.group.rank if node.group else 0


def _by_blame(node: KeptJob) -> tuple[bool, UnixTime, int]:
    """Those that failed by themselves before those that were ended for it; of these the first in time, and by rank."""
    last = node.job.history[-1]
    return last.reason is JobReason.GROUP_BROKEN, last.at, _rank(node)


def _seconds_behind(node: KeptJob, nodes: Iterable[KeptJob], at: UnixTime) -> int:
    """How long the node has been on the book while another one ran, or had run; 0 where that is not so."""
    started = [
        event.at
        for other in nodes
        if other.job.state in _STARTED
        for event in other.job.history
        if event.state is JobState.RUNNING
    ]
    if node.job.state is not JobState.SUBMITTED or not started:
        return 0
    return at - max(min(started), node.job.history[-1].at)
