"""The handle of one job of several nodes: a job for each node, and one group over them (``client.breaches`` has the rules)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from marketplace.client.breaches import breach_of, state_of
from marketplace.client.job import Job
from marketplace.client.job_summary import Progress
from marketplace.client.journal_rows import KeptJob
from marketplace.client.log_reading import LogReader
from marketplace.client.session import ClientSession
from marketplace.client.spending import Sums
from marketplace.domain.errors import DeadlinePassed, InvalidTransition
from marketplace.domain.states import JobState
from marketplace.domain.units import UnixTime

OnNodeOutput = Callable[[int, str], None]
"""Is told what a node has printed since the last time, by its rank."""
OnGroupProgress = Callable[[Mapping[int, Progress]], None]
"""Is told where every node stands, by rank."""

_WITH_RESULT = frozenset({JobState.SUCCEEDED, JobState.FAILED})


class JobGroup:
    """The handle of one job of several nodes. Like a job's, it holds no state of its own.

    group.wait()          until all nodes are over
    group.failure         which node failed, and how; empty while none did
    group.jobs[0].logs()  each node is a job like any other
    """

    def __init__(self, session: ClientSession, identifier: str) -> None:
        self._session = session
        self.id = identifier

    def __repr__(self) -> str:
        return f"JobGroup({self.id[:8]}…, {self.state.value})"

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Its nodes, by rank."""
        return tuple(Job(self._session, node.job.id) for node in self._nodes())

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

    def wait(
        self,
        timeout: float | None = None,
        on_progress: OnGroupProgress | None = None,
        on_output: OnNodeOutput | None = None,
    ) -> JobState:
        """Move the nodes along until all are over; how the group ended. Raise DeadlinePassed after ``timeout`` seconds."""
        readers = [LogReader(self._session.api) for _ in self.jobs]
        for block in self._session.steps(timeout):
            is_over = self.is_terminal
            if on_progress is not None:
                on_progress({rank: job.progress(block) for rank, job in enumerate(self.jobs)})
            if on_output is not None:
                for rank, (job, reader) in enumerate(zip(self.jobs, readers, strict=True)):
                    if text := job.new_output(reader):
                        on_output(rank, text)
            if is_over:
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
            self._session.cancel(self._session.book.order(node.job.order))
        except InvalidTransition:
            return

    def _nodes(self) -> list[KeptJob]:
        return self._session.book.group(self.id)
