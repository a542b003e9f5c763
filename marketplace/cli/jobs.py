"""What follows `bourse run`: ps, logs, get, cancel, explain, watch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli import documents, tables
from marketplace.cli.following import cancelling, require_free
from marketplace.cli.numbers import seconds_option
from marketplace.cli.reserving import require_agreed_end
from marketplace.cli.session import ACCOUNT, JSON, KEY, CommandSession, with_session

app = typer.Typer()


JobArgument = Annotated[str, typer.Argument(help="The job's number (bourse ps), its id, or the beginning of its id.")]


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def ps(
    session: CommandSession,
    all_of_them: Annotated[bool, typer.Option("--all", "-a", help="Jobs that are over, too.")] = False,
) -> None:
    """List your jobs, after moving them along once."""
    with session.market() as market:
        next(market.steps(0))
        rows = [job for job in market.jobs() if all_of_them or not job.is_terminal]
        session.answer([documents.job(row, market.terms) for row in rows], tables.jobs(rows, market.terms))


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def logs(
    session: CommandSession,
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job is over.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="As the job printed it, with whatever a terminal would obey: for a pipe.")
    ] = False,
) -> None:
    """Print a job's output."""
    with session.market() as market:
        found = market.job(job)
        if not session.as_json:
            for text in found.logs(follow):
                session.write(text, is_raw=raw)
            return
        text = "".join(found.logs(follow))
        session.answer({"id": found.id, "state": found.state, "log": text})


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def get(
    session: CommandSession,
    job: JobArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to; nothing there is overwritten.")],
) -> None:
    """Download a job's outputs, verified, and print its receipt."""
    require_free(output)
    with session.market() as market:
        next(market.steps(0))
        found = market.job(job)
        files = found.download(output)
        for file in files:
            session.say(f"wrote {file}")
        result = found.result()
        document = documents.result(result, market.terms) | {"files": [str(file) for file in files]}
        summary = found.explain()
        session.answer(document, tables.receipt(result, summary.sums if summary.is_settled else None, market.terms))


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def cancel(
    session: CommandSession,
    job: JobArgument,
) -> None:
    """Call a job off, for good: on the chain, free before it runs, for the time it ran afterwards."""
    with session.market() as market:
        next(market.steps(0))
        found = market.job(job)
        if not found.is_terminal:
            require_agreed_end(session, market, found)
            with cancelling(session, found):
                found.cancel()
        session.answer(documents.job(found, market.terms), tables.jobs([found], market.terms))


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def explain(
    session: CommandSession,
    job: JobArgument,
) -> None:
    """Tell all of a job: history, reasons, the nearest miss, money."""
    with session.market() as market:
        next(market.steps(0))
        summary = market.job(job).explain()
        session.answer(documents.job_summary(summary, market.terms), tables.job_summary(summary, market.terms))


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def watch(
    session: CommandSession,
    once: Annotated[bool, typer.Option("--once", help="End when all jobs are over and their money has moved.")] = False,
    timeout: Annotated[float | None, seconds_option("timeout", "Seconds after which to give up.")] = None,
) -> None:
    """Move all your jobs along: verify, countersign, order again when a provider falls silent. Ctrl-C ends it."""
    with session.market() as market:
        for change in market.watch(timeout, until_settled=once):
            note = f" · {change.event.note}" if change.event.note else ""
            session.say(f"job {change.job.number} {change.event.state.value} ({change.event.reason.value}){note}")
        rows = market.jobs()
        session.answer([documents.job(row, market.terms) for row in rows], tables.jobs(rows, market.terms))
