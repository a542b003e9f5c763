"""When a job of several nodes can no longer succeed, and which of its nodes is to blame. Pure.

The scheduler places all nodes at once or none, but the contract knows nothing of groups: it refuses, and providers
decline, node by node. So it is the client that holds a group together: when one node can no longer succeed, or stays
behind, its session ends the others, and they are paid for the time they ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from marketplace.client.journal_rows import KeptJob
from marketplace.domain.states import JobReason, JobState
from marketplace.domain.units import UnixTime

_ENDED = {
    JobState.FAILED: "failed",
    JobState.UNPLACED: "found no place",
    JobState.LOST: "was lost",
    JobState.CANCELLED: "was cancelled",
}
_STARTED = frozenset({JobState.RUNNING, JobState.SUCCEEDED})


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
