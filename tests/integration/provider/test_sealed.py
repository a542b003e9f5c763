"""Jobs that are sealed, have secrets, connect out, or keep a machine, through the real gateway, agent and SDK."""

from __future__ import annotations

import fnmatch
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from marketplace.client import Job, JobRequest, JobState, Market
from marketplace.client.journal import JobJournal
from marketplace.client.session import ClientSession
from marketplace.client.trust import TrustRoots
from marketplace.domain import events as e
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.states import ServingState
from marketplace.domain.units import PricePerGpuHour, Seconds
from marketplace.provider.agent import ProviderAgent
from tests.integration.provider.stage import ARBITER, CLIENT, FUNDS, INVENTORY, OPENER, PRICE, PROVIDER, Stage

SECRETS = ("hush-command", "hush-env", "hush-input", "hush-log", "hush-output", "hush-name")
SCRIPT = """
import os
# hush-command
print(open('told.txt').read() + os.environ['TOKEN'], 'hush-' + 'log')
open('/job/out/made', 'w').write('hush-' + 'output')
os.symlink('made', '/job/out/hush-name')
"""


@pytest.fixture
def market(stage: Stage) -> Iterator[Market]:
    book = JobJournal(stage.folder / "journal" / "jobs.sqlite")
    roots = TrustRoots(OPENER.address, ARBITER.address)
    yield Market(ClientSession(CLIENT, stage.market, stage.client_api, book, stage.folder / "results"), roots)
    book.close()


def sealed_request(stage: Stage) -> JobRequest:
    (stage.folder / "inputs").mkdir()
    (stage.folder / "inputs" / "told.txt").write_text("hush-input ")
    return JobRequest(
        command=("python", "-c", SCRIPT), gpus_of=("RTX4090",), max_price=PricePerGpuHour(PRICE), max_time=Seconds(120),
        inputs=stage.folder / "inputs", env={"TOKEN": "hush-env"}, memory_mib=256, disk_mib=64, sealed=True, retries=0,
    )  # fmt: skip


def opened(stage: Stage, market: Market, agent: ProviderAgent, request: JobRequest) -> Job:
    """The job, with its lease freshly opened on the agent's offer."""
    job = market.submit(request)
    stage.open(market.book.order(job.orders[-1]).signed, stage.listed(agent))
    return job


def everything_at_the_gateway(stage: Stage) -> bytes:
    """All that its operator has: blobs, journal, Redis."""
    redis = stage.gateway.board._redis
    rows = [redis.call("DUMP", name) or b"" for name in redis.call("KEYS", "*")]
    return b"".join(
        [*everything_below(stage.folder / "blobs"), *everything_below(stage.folder, "operator.sqlite*"), *rows]
    )


def everything_below(folder: Path, names: str = "*") -> list[bytes]:
    """What is in the files there are. One that goes away meanwhile, as an upload's first name does, is there under its last."""
    found = []
    for place, _, files in os.walk(folder):
        for path in (Path(place, name) for name in fnmatch.filter(files, names)):
            with suppress(FileNotFoundError):
                found.append(path.read_bytes() if path.is_file() else b"")
    return found


def test_a_sealed_job_runs_and_only_its_parties_have_read_it(stage: Stage, market: Market) -> None:
    """Command, environment, input, log, output and the name of what was left out are nowhere at the gateway."""
    agent = stage.agent()
    job = opened(stage, market, agent, sealed_request(stage))

    def each() -> None:
        agent.step()
        next(market.steps(0))

    lease = job.orders[-1]
    stage.clock.until(lambda: stage.status(lease) is LeaseStatus.CLOSED and job.is_terminal, "it is paid", each=each)

    assert job.state is JobState.SUCCEEDED
    assert stage.events(e.LeaseSettled, lease)
    (file,) = job.download(stage.folder / "out")
    assert file.read_text() == "hush-output"
    log = "".join(job.logs())
    assert log.startswith("hush-input hush-env hush-log\n")
    assert "[provider] not delivered: /job/out/hush-name: is a symbolic link" in log
    assert "".join(job.logs(follow=True)) == log
    assert job.explain().command == ("python", "-c", SCRIPT)
    kept = everything_at_the_gateway(stage)
    assert lease.encode() in kept
    assert [secret for secret in SECRETS if secret.encode() in kept] == []
    assert [secret for secret in SECRETS if secret.encode() in stage.client_api.outputs(lease).content] == []


def test_secrets_reach_the_job_and_nobody_else(stage: Stage, market: Market) -> None:
    """Files that the job reads; nothing that a gateway, the client's journal or the provider's disk has holds a value."""
    agent = stage.agent()
    script = "print(open('/job/secrets/TOKEN').read()[::-1])"
    request = JobRequest(
        command=("python", "-c", script), gpus_of=("RTX4090",), max_price=PricePerGpuHour(PRICE), max_time=Seconds(120),
        memory_mib=256, disk_mib=64, secrets={"TOKEN": b"hush-value"}, retries=0,
    )  # fmt: skip
    job = opened(stage, market, agent, request)

    def each() -> None:
        agent.step()
        next(market.steps(0))
        assert [content for content in everything_below(stage.folder) if b"hush-value" in content] == []

    stage.clock.until(lambda: job.is_terminal, "it is over", each=each)

    assert job.state is JobState.SUCCEEDED
    assert "".join(job.logs()) == "eulav-hsuh\n"
    assert b"hush-value" not in everything_at_the_gateway(stage)


def test_a_job_connects_out_where_its_provider_offers_it(stage: Stage, market: Market) -> None:
    """By the order's list and within its MiB; what went through stands at the end of the log."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"127.0.0.1:{server.getsockname()[1]}"
        agent = stage.agent(inventory=f'{INVENTORY}\n[egress]\nmost_mib = 2\nlocal = ["{target}"]\n')
        script = (
            "import socket; s = socket.create_connection(('127.0.0.1', 3128), 20)\n"
            f"s.sendall(b'CONNECT {target} HTTP/1.1\\r\\n\\r\\nhello'); print(s.makefile().readline().strip())"
        )
        request = JobRequest(
            command=("python", "-c", script), gpus_of=("RTX4090",), max_price=PricePerGpuHour(PRICE), max_time=Seconds(120),
            memory_mib=256, disk_mib=64, egress=(target,), egress_mib=1, retries=0,
        )  # fmt: skip
        stage.listed(agent)
        job = opened(stage, market, agent, request)

        def each() -> None:
            agent.step()
            next(market.steps(0))

        stage.clock.until(lambda: job.is_terminal, "it is over", each=each)

    assert job.state is JobState.SUCCEEDED
    log = "".join(job.logs())
    assert log.startswith("HTTP/1.1 200 Connected\n")
    assert "5 bytes went through its way out" in log


def test_a_session_is_paid_until_its_time_is_up(stage: Stage, market: Market) -> None:
    """It has no command, runs for all that it paid for, and has done well then; what was left in it is delivered."""
    agent = stage.agent()
    request = JobRequest(
        command=(), session=SessionTerms(), gpus_of=("RTX4090",), max_price=PricePerGpuHour(PRICE), max_time=Seconds(12),
        memory_mib=256, disk_mib=64, retries=0,
    )  # fmt: skip
    job = opened(stage, market, agent, request)

    def each() -> None:
        agent.step()
        next(market.steps(0))

    stage.clock.until(lambda: job.is_terminal, "its time is up", each=each)

    assert (job.state, job.result().used_seconds) == (JobState.SUCCEEDED, 12)
    assert job.work.command == ()


def test_without_its_key_a_sealed_job_is_given_back_in_time(stage: Stage, market: Market) -> None:
    """A client that hands no key over, or is away, costs its provider no bond."""
    agent = stage.agent()
    lease = opened(stage, market, agent, sealed_request(stage)).orders[-1]
    stage.until(agent, lambda: stage.journal(agent).servings(ServingState.CLOSED), "it is over")

    (closed,) = stage.journal(agent).servings(ServingState.CLOSED)
    assert closed.note.startswith("LeaseDeclined; declined: key_not_delivered")
    assert len(stage.events(e.LeaseDeclined, lease)) == 1
    assert stage.market.balance_of(PROVIDER.address) == FUNDS
