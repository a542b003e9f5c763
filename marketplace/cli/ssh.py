"""`bourse ssh` and what stands on it: exec, cp, forward, ssh-config. OpenSSH does the work; we lead it there.

Each calls ssh with the same options: our ProxyCommand (`bourse ssh-proxy`), which looks up the job's lease on the chain,
checks the host key, writes it into a known_hosts file of the job's own, and passes the bytes through the gateway's relay.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from marketplace import wiring
from marketplace.cli.jobs import JobArgument
from marketplace.cli.session import ACCOUNT, KEY, CommandSession, with_session
from marketplace.client import Job, Market
from marketplace.client.ssh import carry, known_hosts_line, machine_of, write_known_host
from marketplace.domain.errors import InvalidField, ToolMissing
from marketplace.ssh_keys import OWN_KEY

app = typer.Typer()

WordsArgument = Annotated[list[str] | None, typer.Argument(help="A command, after --; without one, a shell.")]
PortArgument = Annotated[str, typer.Argument(help="A port of the job's localhost, or HERE:THERE.")]
_PASS_ON = {"allow_interspersed_args": False}


@app.command(context_settings=_PASS_ON)
@with_session(KEY, ACCOUNT)
def ssh(
    session: CommandSession,
    job: JobArgument,
    command: WordsArgument = None,
) -> None:
    """Sit at a running job's machine: a shell, or one command whose exit code is ours."""
    reach = _Reach(session)
    _run(["ssh", *reach.options(job), "--", reach.name(job), *_line(command)])


@app.command(context_settings=_PASS_ON)
@with_session(KEY, ACCOUNT)
def exec(  # noqa: A001  the word that everybody types
    session: CommandSession,
    job: JobArgument,
    command: Annotated[list[str], typer.Argument(help="The command, after --.", metavar="-- COMMAND…")],
) -> None:
    """Run a command beside a running job: no terminal, its output and its exit code as they are."""
    reach = _Reach(session)
    _run(["ssh", "-T", *reach.options(job), "--", reach.name(job), *_line(command)])


@app.command()
@with_session(KEY, ACCOUNT)
def cp(
    session: CommandSession,
    source: Annotated[str, typer.Argument(help="A file or folder here, or JOB:PATH.")],
    target: Annotated[str, typer.Argument(help="Where to: a path here, or JOB:PATH.")],
) -> None:
    """Copy files to or from a running job. Paths in a job begin in /job/in."""
    jobs = {job for job, path in (_place(source), _place(target)) if job}
    if len(jobs) != 1:
        raise InvalidField("source", "exactly one of the two must be JOB:PATH")
    (job,) = jobs
    reach = _Reach(session)
    places = [f"{reach.name(job)}:{path}" if of else path for of, path in map(_place, (source, target))]
    _run(["scp", "-r", "-p", "-q", *reach.options(job), "--", *places])


@app.command()
@with_session(KEY, ACCOUNT)
def forward(
    session: CommandSession,
    job: JobArgument,
    port: PortArgument,
) -> None:
    """Make a port of a running job one of this machine's 127.0.0.1. Ctrl-C ends it."""
    here, there = ports_of(port)
    reach = _Reach(session)
    print(f"http://127.0.0.1:{here} is port {there} of {reach.name(job)}", file=sys.stderr)
    ports = ["-N", "-L", f"127.0.0.1:{here}:localhost:{there}", "-o", "ExitOnForwardFailure=yes"]
    _run(["ssh", *ports, *reach.options(job), "--", reach.name(job)])


@app.command()
@with_session(KEY, ACCOUNT)
def ssh_config(
    session: CommandSession,
    job: JobArgument,
) -> None:
    """Print a block for ~/.ssh/config: then ssh, scp, sftp, rsync and editors reach the job by that name."""
    reach = _Reach(session)
    print(f"Host {reach.name(job)}")
    for name, value in reach.settings(job).items():
        print(f"  {name} {value}")


@app.command()
@with_session(KEY, ACCOUNT)
def ssh_proxy(
    session: CommandSession,
    job: JobArgument,
) -> None:
    """Lead ssh to a job: its ProxyCommand, not for typing."""
    reach = _Reach(session)
    with reach.market() as market:
        found = market.job(job)
        machine = machine_of(found, market.session.market, market.api)
        write_known_host(reach.known_hosts(found.id), known_hosts_line(host_name_of(found), machine.host_key))
        if why := carry(machine, market.api):
            print(why, file=sys.stderr)  # ssh shows what its ProxyCommand says


class _Reach:
    """One command's way to jobs."""

    def __init__(self, session: CommandSession) -> None:
        self._session = session
        self._jobs: dict[str, Job] = {}

    def market(self) -> _Opened:
        """Without looking after earlier transactions: each connection opens it."""
        self._session.settings.require("keystore", "keystore_password_file")
        return _Opened(wiring.open_market(self._session.settings, account=self._session.account))

    def name(self, job: str) -> str:
        """By what ssh calls it."""
        return host_name_of(self._found(job))

    def known_hosts(self, identifier: str) -> Path:
        return self._session.settings.home.absolute() / "ssh" / f"known_hosts-{identifier[2:18]}"

    def settings(self, job: str) -> dict[str, str]:
        """What OpenSSH is told about it. The folder, because a development network is found from there."""
        found = self._found(job)
        options = [f"{name}={value}" for name, value in self._session.given.items() if value]
        proxy = shlex.join([sys.executable, "-m", "marketplace.cli.main", "ssh-proxy", *options, found.id])
        there = shlex.quote(f"cd {shlex.quote(str(Path.cwd()))} && exec {proxy}").replace("%", "%%")
        told = {
            "User": "job", "HostKeyAlias": host_name_of(found), "UserKnownHostsFile": file_word(self.known_hosts(found.id)),
            "GlobalKnownHostsFile": "/dev/null", "StrictHostKeyChecking": "yes", "UpdateHostKeys": "no",
            "CheckHostIP": "no", "ServerAliveInterval": "20", "ProxyCommand": f"sh -c {there}",
        }  # fmt: skip
        own = self._session.settings.home.absolute() / OWN_KEY
        return told | ({"IdentityFile": file_word(own)} if own.is_file() else {})

    def options(self, job: str) -> list[str]:
        """The same as options of a command."""
        return [word for name, value in self.settings(job).items() for word in ("-o", f"{name}={value}")]

    def _found(self, job: str) -> Job:
        if job not in self._jobs:
            with self.market() as market:
                self._jobs[job] = market.job(job)
        return self._jobs[job]


class _Opened:
    """A market that is closed in the end."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def __enter__(self) -> Market:
        return self._market

    def __exit__(self, *_: object) -> None:
        self._market.close()


def file_word(file: Path) -> str:
    """A file's name as OpenSSH takes it in an option, whatever blanks and per cent signs are in it."""
    return f'"{file}"'.replace("%", "%%")


def host_name_of(job: Job) -> str:
    """By what ssh and browsers call a job."""
    return f"job-{job.id[2:14]}"


def ports_of(said: str) -> tuple[int, int]:
    """This machine's port and the job's, of PORT or HERE:THERE. Raises InvalidField."""
    here, _, there = said.rpartition(":")
    numbers = (here or there, there)
    if not all(number.isdecimal() and 0 < int(number) < 1 << 16 for number in numbers):
        raise InvalidField("port", "must be PORT or HERE:THERE, each from 1 to 65535")
    return int(numbers[0]), int(numbers[1])


def _place(word: str) -> tuple[str, str]:
    """The job and the path of JOB:PATH; no job for a path of this machine."""
    job, colon, path = word.partition(":")
    return (job, path) if colon and "/" not in job and job else ("", word)


def _line(command: Sequence[str] | None) -> list[str]:
    """The words as one line for the shell that is there: each arrives as it was typed here."""
    words = list(command or ())
    words = words[1:] if words[:1] == ["--"] else words  # which stays where the job's name comes before it
    return [shlex.join(words)] if words else []


def _run(words: list[str]) -> NoReturn:
    """Have OpenSSH do it, and end as it does."""
    if shutil.which(words[0]) is None:
        raise ToolMissing(words[0], "install OpenSSH's client (Debian: apt install openssh-client)")
    try:
        code = subprocess.run(words, check=False).returncode
    except KeyboardInterrupt:
        code = 130
    raise typer.Exit(code if code >= 0 else 128 - code)
