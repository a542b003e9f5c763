"""`bourse run` and what follows it: ps, logs, get, cancel, explain, watch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from marketplace.chain.checksums import address_from_text
from marketplace.cli import documents, tables
from marketplace.cli.following import cancelling, run_alone, run_nodes, say_draft, telling_refused
from marketplace.cli.numbers import seconds_option, whole_option
from marketplace.cli.offers import MIN_RELIABILITY
from marketplace.cli.secret_options import secrets_of
from marketplace.cli.session import AccountOption, CommandSession, JsonOption, KeystoreOption, PasswordOption
from marketplace.client import JobGroup, JobRequest
from marketplace.client.request import NO_TIME, files_named
from marketplace.config import variables
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address
from marketplace.domain.spec import MAX_NODES
from marketplace.domain.units import BPS_WHOLE, Bps, GpuCount, seconds_from_text

app = typer.Typer()


class Silence(StrEnum):
    """What `bourse run` does about a provider that has fallen silent."""

    ELSEWHERE = "elsewhere"
    TERMINATE = "terminate"


MAX_GPUS, MAX_RETRIES = 2**16 - 1, 1_000

SilenceOption = Annotated[
    Silence,
    typer.Option("--on-silence", help="Order elsewhere beside a silent provider's lease, or terminate that first."),
]
OpenerOption = Annotated[
    str | None, typer.Option("--opener", help="Who alone may open the order (default: BOURSE_OPENER).")
]
ArbiterOption = Annotated[
    str | None, typer.Option("--arbiter", help="Who rules on the lease (default: BOURSE_ARBITER).")
]
JobArgument = Annotated[str, typer.Argument(help="The job's number (bourse ps), its id, or the beginning of its id.")]


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[
        list[str], typer.Argument(help="The command, after --. It runs in /job/in.", metavar="-- COMMAND…")
    ],
    gpu: Annotated[list[str], typer.Option("--gpu", help="GPU class; repeat for several that would do.")],
    max_price: Annotated[str, typer.Option("--max-price", help="The most per GPU-hour, e.g. 0.40.")],
    max_time: Annotated[str, typer.Option("--max-time", help="The longest time to pay for: 90s, 10m, 2h30m.")],
    gpus: Annotated[int, whole_option("gpus", "GPUs needed together, on one machine.", least=1, most=MAX_GPUS)] = 1,
    nodes: Annotated[
        int, whole_option("nodes", "Machines needed together, of one provider.", least=1, most=MAX_NODES)
    ] = 1,
    inputs: Annotated[
        Path | None, typer.Option("--input", help="Folder whose content becomes /job/in.", file_okay=False, exists=True)
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Folder for what the job leaves in /job/out.")] = None,
    env: Annotated[list[str] | None, typer.Option("--env", help="NAME=VALUE for the job; repeat.")] = None,
    region: Annotated[list[str] | None, typer.Option("--region", help="Only providers there; repeat.")] = None,
    prefer_region: Annotated[
        list[str] | None, typer.Option("--prefer-region", help="Rather there, if hardly dearer; repeat.")
    ] = None,
    vram: Annotated[int, whole_option("vram", "MiB of memory each GPU needs.")] = 0,
    cpus: Annotated[int, whole_option("cpus", "CPUs the job needs.", least=1)] = 1,
    memory: Annotated[int, whole_option("memory", "MiB of memory the job needs.", least=16)] = 1024,
    disk: Annotated[int, whole_option("disk", "MiB of disk the job needs.", least=1)] = 1024,
    min_time: Annotated[
        str | None, typer.Option("--min-time", help="Guaranteed to the provider, if it asks for it.")
    ] = None,
    min_bond: Annotated[int, whole_option("min-bond", "Smallest bond accepted, in basis points.", most=BPS_WHOLE)] = 0,
    min_reliability: Annotated[int, MIN_RELIABILITY] = 0,
    tip: Annotated[str, typer.Option("--tip", help="To the scheduler, when the lease opens.")] = "0",
    expires_in: Annotated[str, typer.Option("--expires-in", help="How long the order may wait to be served.")] = "10m",
    retries: Annotated[
        int,
        whole_option("retries", "Fresh orders when a provider falls silent or says that it failed.", most=MAX_RETRIES),
    ] = 1,
    on_silence: SilenceOption = Silence.ELSEWHERE,
    opener: OpenerOption = None,
    arbiter: ArbiterOption = None,
    seal: Annotated[
        bool, typer.Option("--seal", help="Encrypt all of it to the provider that serves it; the log comes at the end.")
    ] = False,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            help="NAME (its value is that variable's here) or NAME=@FILE; repeat. The job finds it in /job/secrets.",
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What to call the job.")] = "",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait, countersign and download, or only submit.")
    ] = True,
    json: JsonOption = False,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    account: AccountOption = None,
) -> None:
    """Run a command on somebody's GPUs: upload, sign, wait, verify, download, and print the receipt.

    A file below this folder that the command names, by a relative path, is added to the job's inputs. With --nodes it runs on
    several machines at once, each of which finds its place in BOURSE_NODE_RANK and BOURSE_NODES; when one fails, the others
    are ended.
    """
    session = CommandSession(json, keystore, password_file, account)
    _check_output(output)
    files = files_named(tuple(command), Path.cwd())
    with session.market() as market:
        request = JobRequest(
            command=tuple(command), gpus_of=tuple(gpu), name=name, gpus=GpuCount(gpus),
            max_price=market.price(max_price, field="max-price"), max_time=seconds_from_text(max_time, field="max-time"),
            inputs=inputs, files=_not_in(inputs, files), env=_env_of(env or []), regions=tuple(region or ()),
            prefer_regions=tuple(prefer_region or ()), vram_mib=vram, cpus=cpus, memory_mib=memory, disk_mib=disk, tip=market.amount(tip, field="tip"), min_bond_bps=Bps(min_bond),
            min_reliability_bps=min_reliability,
            min_time=seconds_from_text(min_time, field="min-time") if min_time else NO_TIME,
            expires_in=seconds_from_text(expires_in, field="expires-in"), retries=retries,
            on_silence=on_silence.value, opener=_role(opener, "opener"), arbiter=_role(arbiter, "arbiter"), sealed=seal, secrets=secrets_of(secret or [], variables()),
        )  # fmt: skip
        draft = market.draft(request, nodes if nodes > 1 else None)
        say_draft(session, market, draft)
        for file in request.files:
            session.say(f"sending {file} along: the command names it")
        with telling_refused(session, market):
            submitted = market.sign(draft)
        if isinstance(submitted, JobGroup):
            run_nodes(session, market, submitted, output, wait=wait)
        else:
            run_alone(session, market, submitted, output, wait=wait)


@app.command()
def ps(
    all_of_them: Annotated[bool, typer.Option("--all", "-a", help="Jobs that are over, too.")] = False,
    json: JsonOption = False,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    account: AccountOption = None,
) -> None:
    """List your jobs, after moving them along once."""
    session = CommandSession(json, keystore, password_file, account)
    with session.market() as market:
        next(market.steps(0))
        rows = [job for job in market.jobs() if all_of_them or not job.is_terminal]
        session.answer([documents.job(row, market.terms) for row in rows], tables.jobs(rows, market.terms))


@app.command()
def logs(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job is over.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="As the job printed it, with whatever a terminal would obey: for a pipe.")
    ] = False,
    json: JsonOption = False,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    account: AccountOption = None,
) -> None:
    """Print a job's output."""
    session = CommandSession(json, keystore, password_file, account)
    with session.market() as market:
        found = market.job(job)
        if not session.as_json:
            for text in found.logs(follow):
                session.write(text, is_raw=raw)
            return
        text = "".join(found.logs(follow))
        session.answer({"id": found.id, "state": found.state, "log": text})


@app.command()
def get(
    job: JobArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to; nothing there is overwritten.")],
    json: JsonOption = False,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    account: AccountOption = None,
) -> None:
    """Download a job's outputs, verified, and print its receipt."""
    session = CommandSession(json, keystore, password_file, account)
    _check_output(output)
    with session.market() as market:
        next(market.steps(0))
        found = market.job(job)
        files = found.download(output)
        for file in files:
            session.say(f"wrote {file}")
        result = found.result()
        document = documents.result(result, market.terms) | {"files": [str(file) for file in files]}
        story = found.explain()
        session.answer(document, tables.receipt(result, story.sums if story.is_settled else None, market.terms))


@app.command()
def cancel(
    job: JobArgument,
    json: JsonOption = False,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    account: AccountOption = None,
) -> None:
    """Call a job off, for good: on the chain, free before it runs, for the time it ran afterwards."""
    session = CommandSession(json, keystore, password_file, account)
    with session.market() as market:
        next(market.steps(0))
        found = market.job(job)
        if not found.is_terminal:
            with cancelling(session, found):
                found.cancel()
        session.answer(documents.job(found, market.terms), tables.jobs([found], market.terms))


@app.command()
def explain(
    job: JobArgument,
    json: JsonOption = False,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    account: AccountOption = None,
) -> None:
    """Tell a job's whole story: history, reasons, the nearest miss, money."""
    session = CommandSession(json, keystore, password_file, account)
    with session.market() as market:
        next(market.steps(0))
        story = market.job(job).explain()
        session.answer(documents.story(story, market.terms), tables.story(story, market.terms))


@app.command()
def watch(
    once: Annotated[bool, typer.Option("--once", help="End when all jobs are over and their money has moved.")] = False,
    timeout: Annotated[float | None, seconds_option("timeout", "Seconds after which to give up.")] = None,
    json: JsonOption = False,
    keystore: KeystoreOption = None,
    password_file: PasswordOption = None,
    account: AccountOption = None,
) -> None:
    """Move all your jobs along: verify, countersign, order again when a provider falls silent. Ctrl-C ends it."""
    session = CommandSession(json, keystore, password_file, account)
    with session.market() as market:
        for change in market.watch(timeout, until_settled=once):
            note = f" · {change.event.note}" if change.event.note else ""
            session.say(f"job {change.job.number} {change.event.state.value} ({change.event.reason.value}){note}")
        rows = market.jobs()
        session.answer([documents.job(row, market.terms) for row in rows], tables.jobs(rows, market.terms))


def _check_output(folder: Path | None) -> None:
    """Better to say now than after the job was paid for: what is there is never overwritten."""
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidField("output", f"{folder} is not an empty folder; name another, nothing is overwritten")


def _role(text: str | None, name: str) -> Address | None:
    return address_from_text(text, field=name) if text else None


def _env_of(pairs: list[str]) -> dict[str, str]:
    env: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidField("env", f"{pair!r} is not NAME=VALUE")
        env[name] = value
    return env


def _not_in(folder: Path | None, files: dict[str, Path]) -> dict[str, Path]:
    """The files that the input folder does not hold already under the same name."""
    if folder is None:
        return files
    return {name: path for name, path in files.items() if not (folder / name).exists()}
