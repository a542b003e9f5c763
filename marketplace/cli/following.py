"""What `bourse run` does after submitting: wait with a line on the screen, download, print, and exit as the job did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.status import Status
from rich.text import Text

from marketplace.chain.checksums import checksum
from marketplace.cli import documents, tables
from marketplace.cli.outcomes import OF_STATE, ExitCode, exit_code_of_job
from marketplace.cli.session import CommandSession
from marketplace.cli.streaming import ShownOutput
from marketplace.client import Draft, Job, JobGroup, JobState, Market, Progress
from marketplace.domain.chain_errors import InsufficientFunds
from marketplace.domain.errors import DeadlinePassed, GatewayProblem, InvalidField
from marketplace.domain.ids import ZERO_ADDRESS
from marketplace.domain.printable import harmless_line
from marketplace.domain.units import iso_from_time

SETTLE_SECONDS = 30.0
"""How long `bourse run` waits for the money after the job is over; it moves anyway."""

_WITH_RESULT = frozenset({JobState.SUCCEEDED, JobState.FAILED})


def say_draft(session: CommandSession, market: Market, draft: Draft) -> None:
    """Show what is going to be signed, before it is. With ``--json`` it goes to stderr too, and into the answer afterwards."""
    opener = "anybody" if draft.order.opener == ZERO_ADDRESS else checksum(draft.order.opener)
    cost = tables.amount(draft.worst_cost, market.terms)
    leases = draft.leases_at_most
    many = f"; at most {leases} leases, one for each node or retry" if leases > 1 else ""
    session.say(
        f"to be signed: opener {opener}, arbiter {checksum(draft.order.arbiter)}, worst cost {cost} a lease{many}"
    )


@contextmanager
def telling_refused(session: CommandSession, market: Market) -> Iterator[None]:
    """Say of an order that was refused that it is not over: whoever has seen its signature may open it until it expires."""
    known = {job.id for job in market.jobs()}
    try:
        yield
    except GatewayProblem:
        for job in market.jobs():
            if job.id not in known and not job.is_terminal:
                until = iso_from_time(job.signed.expires_at)
                session.say(
                    f"job {job.number} is signed, and can be opened until {until}, whatever the gateway says: it is watched"
                )
                session.say(f"  next: bourse cancel {job.number} ends it for good, on the chain")
        raise


@contextmanager
def cancelling(session: CommandSession, job: Job) -> Iterator[None]:
    """Say what is left where the transaction that cancels for good cannot be paid for."""
    try:
        yield
    except InsufficientFunds:
        until = iso_from_time(job.signed.expires_at)
        session.say(
            "cancelling for good is a transaction, and takes coin for gas. The gateway was asked to take the order off its book, which is weaker:"
            f" whoever has its signature may open it until {until}"
        )
        raise


def require_free(folder: Path | None) -> None:
    """Better to say now than after the job was paid for: what is there is never overwritten."""
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidField("output", f"{folder} is not an empty folder; name another, nothing is overwritten")


def run_alone(session: CommandSession, market: Market, job: Job, output: Path | None, *, wait: bool) -> None:
    """Wait with a progress line, print the job's output as it comes, download, print the receipt, and end with the job's exit code."""
    _say_where(session, (job,), f"job {job.number} is on the book: {job.id}")
    if not wait:
        _say_sealed(session, (job,))
        session.answer(documents.job(job, market.terms), tables.jobs([job], market.terms))
        raise typer.Exit(_submitted((job,)))
    with _waiting(session, (job,)) as line:
        shown = ShownOutput(session, line)
        job.wait(on_progress=lambda progress: line.update(Text(_words(progress))), on_output=shown.write)
        shown.end()
        line.update("waiting for the money")
        line.start()
        is_settled = _is_settled(market, (job,))
    files = job.download(output) if output is not None and job.state in _WITH_RESULT else ()
    _say_written(session, files)
    document = documents.job_summary(job.explain(), market.terms) | {"files": [str(file) for file in files]}
    if job.state in _WITH_RESULT:
        sums = job.sums() if is_settled else None
        session.answer(document, tables.receipt(job.result(), sums, market.terms))
    else:
        session.answer(document, tables.job_summary(job.explain(), market.terms))
    raise typer.Exit(exit_code_of_job(job))


def require_running(session: CommandSession, market: Market, job: Job) -> None:
    """Wait until its lease is open, and what its provider is to be handed is on its way; leave with its summary where it comes to nothing."""
    _say_where(session, (job,), f"job {job.number} is on the book: {job.id}")
    with _waiting(session, (job,)) as line:
        for block in market.steps():
            line.update(Text(_words(job.progress(block))))
            if job.is_terminal or (job.state is JobState.RUNNING and not job.note):
                break
    if job.is_terminal:
        session.answer(
            documents.job_summary(job.explain(), market.terms), tables.job_summary(job.explain(), market.terms)
        )
        raise typer.Exit(exit_code_of_job(job))


def run_nodes(session: CommandSession, market: Market, group: JobGroup, output: Path | None, *, wait: bool) -> None:
    """The same for a job of several nodes: it succeeds when all of them do, and otherwise says which one did not."""
    jobs = group.jobs
    told = f"jobs {jobs[0].number} to {jobs[-1].number} are on the book, one for each node of group {group.id}"
    _say_where(session, jobs, told)
    if not wait:
        _say_sealed(session, jobs)
        nodes = [documents.job(job, market.terms) for job in jobs]
        session.answer(documents.group(group, nodes), tables.jobs(jobs, market.terms))
        raise typer.Exit(_submitted(jobs))
    with _waiting(session, jobs) as line:
        shown = ShownOutput(session, line)
        group.wait(
            on_progress=lambda progress: line.update(Text(_words_of_nodes(progress))), on_output=shown.write_of_node
        )
        shown.end()
        line.update("waiting for the money")
        line.start()
        _is_settled(market, jobs)
    files = group.download(output) if output is not None else ()
    _say_written(session, files)
    if group.failure:
        session.say(f"the job failed: {group.failure}")
    summaries = [documents.job_summary(job.explain(), market.terms) for job in jobs]
    document = documents.group(group, summaries) | {"files": [str(file) for file in files]}
    session.answer(document, tables.jobs(jobs, market.terms))
    raise typer.Exit(OF_STATE[group.state])


def _say_where(session: CommandSession, jobs: Sequence[Job], told: str) -> None:
    """That the orders are on the book, or which of them no gateway has taken yet: nobody is to order twice for that."""
    untaken = [job for job in jobs if not job.is_posted]
    if not untaken:
        session.say(told)
    for job in untaken:
        session.say(f"job {job.number} is {tables.standing(job.is_posted, job.note)} ({job.id})")
    if untaken:
        session.say(
            "  next: it is posted again while something waits for it: bourse watch. bourse cancel takes it back"
        )


def _say_sealed(session: CommandSession, jobs: Sequence[Job]) -> None:
    """A job with a key or secrets that nobody of ours watches gets none, and comes back to the book again and again."""
    if names := ", ".join(jobs[0].secret_names):
        session.say(
            f"its secrets are handed over by what of yours runs when its lease opens, and finds them: keep `bourse watch` running ({names})"
        )
    elif any(job.is_sealed for job in jobs):
        session.say(
            "sealed: its key is handed over by what of yours runs when its lease opens. Keep `bourse watch` running"
        )


def _submitted(jobs: Sequence[Job]) -> ExitCode:
    return ExitCode.OK if all(job.is_posted for job in jobs) else ExitCode.TIMED_OUT


@contextmanager
def _waiting(session: CommandSession, jobs: Sequence[Job]) -> Iterator[Status]:
    with session.err.status("waiting for a provider") as line:
        try:
            yield line
        except KeyboardInterrupt:
            numbers = ", ".join(str(job.number) for job in jobs)
            _say_sealed(session, jobs)
            session.say(
                f"job {numbers} goes on; `bourse watch` countersigns it, `bourse cancel {jobs[0].number}` ends it"
            )
            raise


def _is_settled(market: Market, jobs: Sequence[Job]) -> bool:
    """Wait for the money of the jobs that have a result; False where that takes longer than people like to wait.

    Nothing moves for a lost job before its deadline.
    """
    earned = [job for job in jobs if job.state in _WITH_RESULT]
    if not earned:
        return False
    try:
        for _ in market.wait_all(earned, SETTLE_SECONDS, settled=True):
            pass
    except DeadlinePassed:
        return False
    return True


def _say_written(session: CommandSession, files: Sequence[Path]) -> None:
    for file in files:
        session.say(f"wrote {file}")


def _words(progress: Progress) -> str:
    if progress.state is JobState.RUNNING:
        told = f"running, {progress.elapsed_seconds} s of at most {progress.max_seconds} s on the meter"
    else:
        told = f"{progress.state.value}, block {progress.block.number}"
    if progress.state is JobState.SUBMITTED and not progress.is_posted:
        return harmless_line(f"{tables.standing(progress.is_posted, progress.note)}, block {progress.block.number}")
    return harmless_line(f"{told}{' · ' + progress.note if progress.note else ''}")


def _words_of_nodes(progress: Mapping[int, Progress]) -> str:
    return " | ".join(f"node {rank} {_words(one)}" for rank, one in progress.items())
