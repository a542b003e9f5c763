"""Jobs and calls as futures of ``concurrent.futures``, on a real chain and gateway; the provider runs what it was sent, or lies."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.chain import verbs
from marketplace.client import CallTerms, Job, JobExecutor, JobReason, JobState
from marketplace.client.executor import in_order
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.bundles import bundle_outputs
from marketplace.domain.errors import (
    InvalidField,
    JobFailed,
    Refused,
    RemoteError,
    ResultRefused,
)
from marketplace.domain.ids import sha256_of
from marketplace.domain.results import Output
from marketplace.domain.units import PricePerGpuHour, Seconds
from marketplace.domain.unpacking import unpack_bundle
from tests.integration.client.conftest import Desk, Gateway, Play
from tests.integration.client.test_packages import hashed, wheel, written
from tests.integration.gateway.conftest import PROVIDER

SOON = 60.0


@pytest.fixture
def executor(desk: Desk, play: Play) -> Iterator[JobExecutor]:
    """Calls are jobs of a minute; what a test leaves is not waited for."""
    executor = JobExecutor(desk.market, CallTerms(play.request(command=("python",), max_time=Seconds(60))))
    yield executor
    executor.abandon()


def honest(folder: Path, env: Mapping[str, str] | None = None) -> None:
    """What the sandbox does: run the worker where the inputs are, with the job's variables."""
    script = "import runpy, sys; sys.exit(runpy.run_path('.bourse/call_worker.py')['main']('.bourse', '../out'))"
    subprocess.run([sys.executable, "-c", script], cwd=folder / "in", env=env, check=False, timeout=SOON)


def serve(desk: Desk, play: Play, job: Job, work: Callable[[Path], None] = honest) -> None:
    """Open the job's lease, do its work as this provider does, and hand in what lies in ``out`` then."""
    play.gateway.open(desk.market.book.order(job.orders[-1]).signed, play.offer)
    play.pass_time(5)
    folder = play.folder / f"served-{next(play.salts)}"
    (folder / "out").mkdir(parents=True)
    for sent in job.work.inputs:
        content = b"".join(play.api.fetch_blob(part, lease=job.orders[-1]) for part in sent.parts)
        unpack_bundle(content, folder / "in", Allowance(1 << 30))
    work(folder)
    bundle, (result, blobs) = bundle_outputs(folder / "out", Allowance(1 << 30)).content(), play.result()
    result = replace(result, outputs=(Output("/job/out", len(bundle), (sha256_of(bundle),)),))
    for blob in (bundle, blobs[1]):
        play.api.put_blob(blob)
    receipt = play.receipt(job, 3, result)
    signature = PROVIDER.sign_receipt(receipt, play.gateway.domain)
    play.api.post_receipt(receipt.lease, receipt, "provider", signature, result)


def test_functions_are_called_through_an_executor(desk: Desk, play: Play, executor: JobExecutor) -> None:
    """``map`` yields in order what the functions return on the provider's machine, and raises what they raise there."""
    answers = executor.map(lambda one, other: one // other, (7, 8), (2, 0))
    for job in desk.market.jobs():
        serve(desk, play, job)

    assert isinstance(executor, Executor)
    assert next(answers) == 3
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        next(answers)


def test_a_decorated_function_is_a_job_each_time_it_is_called(desk: Desk, play: Play) -> None:
    """With the terms of its decorator; called locally it is what it was, and closing the market ends what waits."""

    @desk.market.remote(gpu="RTX4090", max_price="3", max_time="1m", memory_mib=64)
    def half(value: float) -> float:
        return value / 2

    future, left = half.submit(3.0), half.submit(5.0)
    serve(desk, play, future.job)

    assert future.result(SOON) == 1.5 == half.local(3.0)
    assert (future.job.name, future.job.spec.resources.memory_mib) == ("half", 64)
    desk.market.close()
    with pytest.raises(JobFailed, match="not watched any more"):
        left.result(SOON)


def test_a_function_brings_its_packages_along(desk: Desk, play: Play, tmp_path: Path) -> None:
    """As a decorated function and through an executor alike: the packages of the requirements file lie where the job's Python looks."""

    def word() -> str:
        import mini  # type: ignore[import-not-found]

        return str(mini.WORD)

    requirements = written(tmp_path, hashed(wheel(tmp_path)))
    decorated = desk.market.remote(gpu="RTX4090", max_price="3", max_time="1m", pip=str(requirements))(word)
    executor = JobExecutor(desk.market, CallTerms(play.request(command=("python",), pip=requirements)))
    for future in (decorated.submit(), executor.submit(word)):
        (_, _, place) = future.job.work.env["PYTHONPATH"].rpartition("/job/in/")
        serve(desk, play, future.job, lambda folder, at=place: honest(folder, {"PYTHONPATH": str(folder / "in" / at)}))  # type: ignore[misc]

        assert future.result(SOON) == "mini was brought along"
    executor.abandon()


def test_a_decorator_takes_gpus_as_the_command_line_does_and_any_image(desk: Desk) -> None:
    """By memory, with the image as its name says; an option that no job has is refused where the function is written."""
    image = f"blob@sha256:{'0' * 64}"
    request = desk.market.remote(gpu="80GB", max_price="1", image=image, python=("python3",))(len).terms.request

    assert (request.image, request.command, request.vram_mib) == (image, ("python3",), 76_293)
    assert "H100-SXM-80GB" in request.gpus_of
    assert "RTX4090" not in request.gpus_of
    with pytest.raises(TypeError, match="memroy"):
        desk.market.remote(gpu="80GB", max_price="1", memroy=1)


def test_a_future_is_cancelled_before_and_while_it_runs(desk: Desk, play: Play, executor: JobExecutor) -> None:
    """Its order is withdrawn, or its lease ended, when ``cancel`` returns; who waits for it is told."""
    waiting, running = executor.submit(len, "a"), executor.submit(len, "b")
    play.open(desk, running.job)
    assert (waiting.running(), running.running()) == (False, True)

    assert waiting.cancel()
    assert running.cancel()
    assert running.cancel(), "a second time it still is"

    assert wait([waiting, running], SOON).done == {waiting, running}
    assert not play.gateway.market.lease_of(running.job.orders[0]).status.is_live
    for future in (waiting, running):
        with pytest.raises(CancelledError):
            future.result()
        assert future.job.wait(SOON) is JobState.CANCELLED


def test_what_a_provider_has_claimed_cannot_be_cancelled(
    desk: Desk, play: Play, gateway: Gateway, executor: JobExecutor
) -> None:
    """The work is done and will be paid: the future says so, and has its result still to come."""
    future = executor.submit_job(play.request())
    play.open(desk, future.job)
    play.pass_time(10)
    result, _ = play.result()
    receipt = play.receipt(future.job, 8, result)
    gateway.send(
        PROVIDER, verbs.claim(gateway.book.market, play.order_of(desk, future.job), Seconds(8), receipt.result)
    )

    assert not future.cancel()
    assert not future.cancelled()


def test_shutting_down_cancels_what_does_not_run_yet(desk: Desk, play: Play, executor: JobExecutor) -> None:
    """What runs is waited for, and nothing more is taken."""
    waiting, running = executor.submit_job(play.request()), executor.submit_job(play.request())
    play.open(desk, running.job)
    play.pass_time(5)
    play.hand_in(running.job, 3)

    executor.shutdown(cancel_futures=True)

    assert waiting.cancelled()
    assert running.result(0).exit_code == 0
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit_job(play.request())


def test_shutting_down_need_not_wait(desk: Desk, play: Play, executor: JobExecutor) -> None:
    """The executor looks after what it has until that is over."""
    future = executor.submit_job(play.request())
    executor.shutdown(wait=False)
    assert not future.done()

    play.open(desk, future.job)
    play.pass_time(5)
    play.hand_in(future.job, 3)

    assert future.result(SOON).used_seconds == 3


def test_answers_are_waited_for_as_long_as_is_said(desk: Desk, play: Play, executor: JobExecutor) -> None:
    """After that it is TimeoutError; ``map`` then ends what is left, which nobody would read."""
    with pytest.raises(TimeoutError):
        executor.submit_job(play.request()).result(timeout=0)
    with pytest.raises(TimeoutError):
        next(executor.map(len, ("a", "b"), timeout=0))

    *_, first, second = desk.market.jobs()
    assert {first.wait(SOON), second.wait(SOON)} == {JobState.CANCELLED}


def test_a_row_that_cannot_be_paid_for_ends_those_before_it(desk: Desk, play: Play, executor: JobExecutor) -> None:
    """Nobody pays for half of a ``map`` whose answers nobody gets."""
    cheap = play.request()
    dear = replace(cheap, max_price=PricePerGpuHour(desk.market.balance().free + 1), max_time=Seconds(3600))

    with pytest.raises(Refused, match="free"):
        in_order(executor.submit_job, [(cheap, dear)], None)

    assert [job.wait(SOON) for job in desk.market.jobs()] == [JobState.CANCELLED]


def lying(content: bytes) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        (folder / "out" / "answer.json").write_bytes(content)

    return work


def huge(folder: Path) -> None:
    (folder / "out" / "big").write_bytes(bytes(1 << 20))


def idle(folder: Path) -> None:
    """Leaves nothing."""


@pytest.mark.parametrize(
    ("work", "error", "words"),
    [
        (lying(b'{"version": 1, "kind": "pickle"}'), ResultRefused, "not trusted"),
        (lying(b"[" * 100_000), ResultRefused, "is not JSON"),
        (lying(b'{"version": 1, "kind": "value", "value": 1, "arrays": 1}'), ResultRefused, "0.npy: is missing"),
        (huge, ResultRefused, "at most"),
        (idle, JobFailed, "left no answer: job, exited, exit code 0"),
    ],
    ids=["pickled", "deep", "without its array", "huge", "none"],
)
def test_what_a_liar_sends_back_is_refused_with_its_reason(
    desk: Desk, play: Play, work: Callable[[Path], None], error: type[Exception], words: str
) -> None:
    """Verified and paid for is only that these are the provider's bytes; what is no answer raises, and runs nothing here."""
    executor = JobExecutor(desk.market)
    future = executor.call(CallTerms(play.request(command=("python",)), most_bytes=1 << 19), len, "abc")

    serve(desk, play, future.job, work)

    with pytest.raises(error, match=words):
        future.result(SOON)
    executor.shutdown()


def test_a_client_that_is_stopped_says_so_to_who_waits(desk: Desk, play: Play, executor: JobExecutor) -> None:
    """No future is waited for in vain; the job itself goes on."""
    future = executor.submit_job(play.request())
    threading.Timer(0, desk.market.stop.set).start()

    with pytest.raises(JobFailed, match="stopped"):
        future.result(SOON)
    assert future.job.history[-1].reason is JobReason.ORDER_SIGNED


def test_an_executor_without_terms_takes_jobs_only(desk: Desk) -> None:
    """A call has to be some job, and pays something: nothing is assumed."""
    executor = JobExecutor(desk.market)
    with pytest.raises(InvalidField, match="CallTerms"):
        executor.submit(len, "abc")
    executor.shutdown()
