"""`bourse rent`, `bourse extend` and `bourse end`: a machine to sit at, until it is ended or its time is up."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer
from rich.text import Text

from marketplace.cli import documents, tables
from marketplace.cli import run_options as o
from marketplace.cli.following import cancelling, require_running, say_draft, telling_refused
from marketplace.cli.jobs import JobArgument
from marketplace.cli.offers import MIN_RELIABILITY
from marketplace.cli.plans import require_consent, say_warm, show_plan, with_asked_price
from marketplace.cli.reserving import require_agreed_end
from marketplace.cli.run import ssh_keys_of
from marketplace.cli.secret_options import secrets_of
from marketplace.cli.session import ACCOUNT, JSON, KEY, CommandSession, with_session
from marketplace.cli.streaming import uploading
from marketplace.client import Job, JobRequest
from marketplace.client.extending import follow_on
from marketplace.client.gpu_choices import gpus_chosen
from marketplace.client.images import resolved
from marketplace.config import variables
from marketplace.domain.keeping import KEPT_SECONDS, SessionTerms
from marketplace.domain.units import Bps, GpuCount, Seconds, seconds_from_text

app = typer.Typer()

_NOW = "its offer has GPUs free: the machine goes over to the new lease now. What runs there ends, /job/in and /job/out stay"
_LATER = (
    "its offer has no GPUs free: the new lease is opened when this one is over, and somebody else may be faster, who then has"
    f" the machine. What lies in /job/in and /job/out is kept for it for {KEPT_SECONDS // 60} minutes"
)


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def rent(
    session: CommandSession,
    gpu: o.GpuOption,
    time: Annotated[str, typer.Option("--for", help="The longest time to pay for: 30m, 2h.")],
    max_price: o.MaxPriceOption = None,
    yes: o.YesOption = False,
    image: o.ImageOption = "host",
    ssh_key: o.SshKeyOption = None,
    idle_stop: Annotated[
        str | None, typer.Option("--idle-stop", help="End it by itself after so long without anybody's process: 15m.")
    ] = None,
    gpus: o.GpusOption = 1,
    inputs: o.InputOption = None,
    pip: o.PipOption = None,
    region: o.RegionOption = None,
    vram: o.VramOption = 0,
    cpus: o.CpusOption = 1,
    memory: o.MemoryOption = 1024,
    disk: o.DiskOption = 1024,
    min_bond: o.MinBondOption = 0,
    min_reliability: Annotated[int, MIN_RELIABILITY] = 0,
    secret: o.SecretOption = None,
    egress: o.EgressOption = None,
    egress_mib: o.EgressMibOption = 1024,
    expires_in: o.ExpiresInOption = "10m",
    name: o.NameOption = "",
    dry_run: o.DryRunOption = False,
) -> None:
    """Keep a machine with GPUs, without a command, and say how to sit at it. `bourse end` ends it, and pays for the time until then."""
    choice = gpus_chosen(gpu, vram)
    with session.market() as market:
        request = JobRequest(
            command=(), session=_terms(idle_stop), image=resolved(image, session.say), gpus_of=choice.classes, gpus=GpuCount(gpus),
            name=name or f"{gpu[0]} for {time}", max_price=market.price(max_price or "0", field="max-price"),
            max_time=seconds_from_text(time, field="for"), inputs=inputs, pip=pip, regions=tuple(region or ()), vram_mib=choice.vram_mib, cpus=cpus,
            memory_mib=memory, disk_mib=disk, min_bond_bps=Bps(min_bond), min_reliability_bps=min_reliability, retries=0,
            expires_in=seconds_from_text(expires_in, field="expires-in"), secrets=secrets_of(secret or [], variables()),
            egress=tuple(egress or ()), egress_mib=egress_mib, ssh_keys=ssh_keys_of(session.settings.home, ssh_key or [], is_own=True),
        )  # fmt: skip
        if max_price is None:
            request = with_asked_price(session, market, request)
        draft = market.draft(request, say=session.say)
        if dry_run:
            show_plan(session, market, draft)
            return
        say_draft(session, market, draft)
        say_warm(session, market, draft)
        require_consent(session, market, draft, is_given=yes or max_price is not None)
        with telling_refused(session, market), uploading(session, draft) as line:
            job = market.sign(draft, line.show)
        assert isinstance(job, Job), "one machine"
        require_running(session, market, job)
        session.answer(
            documents.job(job, market.terms),
            tables.jobs([job], market.terms),
            Text(
                f"sit at it: bourse ssh {job.number}    end it: bourse end {job.number}    pay when its time is up: bourse watch"
            ),
        )


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def extend(
    session: CommandSession,
    job: JobArgument,
    time: Annotated[str, typer.Option("--for", help="How much longer: 30m, 1h.")],
    max_price: o.MaxPriceOption = None,
    yes: o.YesOption = False,
    secret: o.SecretOption = None,
) -> None:
    """Order more time for a rented machine, on the very same offer: at once where that has GPUs free, else when this lease is over."""
    with session.market() as market:
        found = market.job(job)
        limit = market.price(max_price, field="max-price") if max_price else None
        wanted = follow_on(found, market.session.market, seconds_from_text(time, field="for"), limit)
        draft = market.draft(replace(wanted.request, secrets=secrets_of(secret or [], variables())))
        session.say(_NOW if wanted.is_early else _LATER)
        say_draft(session, market, draft)
        require_consent(session, market, draft, is_given=yes or max_price is not None)
        with telling_refused(session, market):
            follower = market.sign(draft)
        assert isinstance(follower, Job), "one machine"
        if wanted.is_early:
            require_running(session, market, follower)
        session.answer(
            documents.job(follower, market.terms) | {"follows": found.id, "isEarly": wanted.is_early},
            tables.jobs([follower], market.terms),
            Text(
                f"sit at it when it runs: bourse ssh {follower.number}    move it along, and sign for it: bourse watch"
            ),
        )


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def end(
    session: CommandSession,
    job: JobArgument,
) -> None:
    """End a session on the chain, for good: what it ran is paid for, all else comes back."""
    with session.market() as market:
        next(market.steps(0))
        found = market.job(job)
        if not found.is_terminal:
            require_agreed_end(session, market, found)
            with cancelling(session, found):
                found.cancel()
        session.answer(documents.job(found, market.terms), tables.jobs([found], market.terms))


def _terms(idle_stop: str | None) -> SessionTerms:
    return SessionTerms(seconds_from_text(idle_stop, field="idle-stop") if idle_stop else Seconds(0))
