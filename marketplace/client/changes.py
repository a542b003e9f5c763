"""Watching jobs: what changes in their histories while they are moved along."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from marketplace.client.job import Job
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import DeadlinePassed
from marketplace.domain.ids import Bytes32
from marketplace.domain.states import JobEvent


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job went on to another state."""

    job: Job
    event: JobEvent


def until_over(
    jobs: Sequence[Job], steps: Iterable[BlockRef], timeout: float | None, *, settled: bool
) -> Iterator[JobChange]:
    """Each change of these jobs until all are over, and, if ``settled``, their money is. Raise DeadlinePassed when the steps end before."""
    seen = {job.id: len(job.history) for job in jobs}
    for block in steps:
        yield from _changes(jobs, seen)
        if all(job.is_settled(block) if settled else job.is_terminal for job in jobs):
            return
    raise DeadlinePassed(f"the end of {len(jobs)} jobs", int(timeout or 0))


def of_all(
    jobs_now: Callable[[], Sequence[Job]], steps: Iterable[BlockRef], timeout: float | None, *, until_settled: bool
) -> Iterator[JobChange]:
    """Each change of all jobs there are by then, until the steps end; or until all are over and paid for, else raise DeadlinePassed."""
    seen = {job.id: len(job.history) for job in jobs_now()}
    for block in steps:
        jobs = jobs_now()
        yield from _changes(jobs, seen)
        if until_settled and all(job.is_settled(block) for job in jobs):
            return
    if until_settled:
        raise DeadlinePassed("the end of all jobs", int(timeout or 0))


def _changes(jobs: Iterable[Job], seen: dict[Bytes32, int]) -> Iterator[JobChange]:
    """What is new in the jobs' histories; ``seen`` counts what was told."""
    for job in jobs:
        history = job.history
        yield from (JobChange(job, event) for event in history[seen.get(job.id, 0) :])
        seen[job.id] = len(history)
