"""`bourse run`: a command on somebody's GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marketplace.chain.checksums import address_from_text
from marketplace.cli import run_options as o
from marketplace.cli.following import require_free, run_alone, run_nodes, say_draft, telling_refused
from marketplace.cli.offers import MIN_RELIABILITY
from marketplace.cli.plans import require_consent, say_warm, show_plan, with_asked_price
from marketplace.cli.secret_options import secrets_of
from marketplace.cli.session import ACCOUNT, JSON, KEY, CommandSession, with_session
from marketplace.cli.streaming import uploading
from marketplace.client import Draft, Job, JobGroup, JobRequest, Market
from marketplace.client.gpu_choices import gpus_chosen
from marketplace.client.images import resolved
from marketplace.client.packages import PACKAGES
from marketplace.client.request import NO_TIME, files_named
from marketplace.config import variables
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address
from marketplace.domain.images import HOST_IMAGE
from marketplace.domain.units import Bps, GpuCount, seconds_from_text
from marketplace.ssh_keys import own_public_key, public_key_in

app = typer.Typer()


@app.command(context_settings={"allow_interspersed_args": False})
@with_session(JSON, KEY, ACCOUNT)
def run(
    session: CommandSession,
    gpu: o.GpuOption,
    max_time: o.MaxTimeOption,
    file: o.FileOption = None,
    max_price: o.MaxPriceOption = None,
    command: o.CommandArgument = None,
    image: o.ImageOption = HOST_IMAGE,
    entrypoint: o.EntrypointOption = False,
    gpus: o.GpusOption = 1,
    nodes: o.NodesOption = 1,
    inputs: o.InputOption = None,
    output: o.OutputOption = None,
    pip: o.PipOption = None,
    env: o.EnvOption = None,
    region: o.RegionOption = None,
    prefer_region: o.PreferRegionOption = None,
    vram: o.VramOption = 0,
    cpus: o.CpusOption = 1,
    memory: o.MemoryOption = 1024,
    disk: o.DiskOption = 1024,
    min_time: o.MinTimeOption = None,
    min_bond: o.MinBondOption = 0,
    min_reliability: Annotated[int, MIN_RELIABILITY] = 0,
    tip: o.TipOption = "0",
    expires_in: o.ExpiresInOption = "10m",
    retries: o.RetriesOption = 1,
    on_silence: o.SilenceOption = o.Silence.ELSEWHERE,
    opener: o.OpenerOption = None,
    arbiter: o.ArbiterOption = None,
    seal: o.SealOption = False,
    secret: o.SecretOption = None,
    egress: o.EgressOption = None,
    egress_mib: o.EgressMibOption = 1024,
    ssh: o.SshOption = False,
    ssh_key: o.SshKeyOption = None,
    name: o.NameOption = "",
    wait: o.WaitOption = True,
    dry_run: o.DryRunOption = False,
    yes: o.YesOption = False,
) -> None:
    """Run a command on somebody's GPUs: upload, sign, wait and print its output as it comes, verify, download, and print the receipt.

    A file below this folder that the command names, by a relative path, is added to the job's inputs. With --nodes it runs on
    several machines at once, each of which finds its place in BOURSE_NODE_RANK and BOURSE_NODES; when one fails, the others
    are ended. Without --max-price the limit is what the cheapest offer asks that can serve it now: shown, and asked for.
    """
    require_free(output)
    words = _words(command, entrypoint=entrypoint)
    files, choice = files_named(words, Path.cwd()), gpus_chosen(gpu, vram)
    with session.market() as market:
        request = JobRequest(
            command=words, image=resolved(image, session.say), entrypoint="image" if entrypoint else "none", gpus_of=choice.classes, name=name, gpus=GpuCount(gpus),
            max_price=market.price(max_price or "0", field="max-price"), max_time=seconds_from_text(max_time, field="max-time"),
            inputs=inputs, files=_not_in(inputs, files), pip=pip, env=_env_of(env or []), regions=tuple(region or ()),
            prefer_regions=tuple(prefer_region or ()), vram_mib=choice.vram_mib, cpus=cpus, memory_mib=memory, disk_mib=disk, tip=market.amount(tip, field="tip"), min_bond_bps=Bps(min_bond),
            min_reliability_bps=min_reliability, min_time=seconds_from_text(min_time, field="min-time") if min_time else NO_TIME,
            expires_in=seconds_from_text(expires_in, field="expires-in"), retries=retries, on_silence=on_silence.value,
            opener=_role(opener, "opener"), arbiter=_role(arbiter, "arbiter"), sealed=seal, ssh_keys=ssh_keys_of(session.settings.home, ssh_key or [], is_own=ssh),
            secrets=secrets_of(secret or [], variables()),
            egress=tuple(egress or ()), egress_mib=egress_mib,
        )  # fmt: skip
        if max_price is None:
            request = with_asked_price(session, market, request)
        draft = market.draft(request, nodes if nodes > 1 else None, session.say)
        if dry_run:
            show_plan(session, market, draft)
            return
        say_draft(session, market, draft)
        say_warm(session, market, draft)
        require_consent(session, market, draft, is_given=yes or max_price is not None)
        submitted = _signed(session, market, draft)
        if isinstance(submitted, JobGroup):
            run_nodes(session, market, submitted, output, wait=wait)
        else:
            run_alone(session, market, submitted, output, wait=wait)


def _signed(session: CommandSession, market: Market, draft: Draft) -> Job | JobGroup:
    for file in draft.request.files.keys() - {PACKAGES}:
        session.say(f"sending {file} along: the command names it")
    with telling_refused(session, market), uploading(session, draft) as line:
        return market.sign(draft, line.show)


def _words(command: list[str] | None, *, entrypoint: bool) -> tuple[str, ...]:
    if not command and not entrypoint:
        raise InvalidField("command", "must name a program, after --")
    return tuple(command or ())


def ssh_keys_of(home: Path, files: list[Path], *, is_own: bool) -> tuple[str, ...]:
    """The public keys in these files, and this home's own if wanted, each once."""
    own = [own_public_key(home)] if is_own else []
    return tuple(dict.fromkeys([*own, *map(public_key_in, files)]))


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
