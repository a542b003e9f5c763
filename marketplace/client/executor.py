"""Jobs and calls as futures, for programs that think in ``concurrent.futures``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from marketplace.client.answers import read_answer
from marketplace.client.calls import CallTerms, pack
from marketplace.client.job import Job
from marketplace.client.job_summary import JobResult
from marketplace.client.request import JobRequest
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import InvalidField, InvalidTransition, JobFailed, MarketplaceError
from marketplace.domain.states import JobState

T = TypeVar("T")

_WITH_RESULT = frozenset({JobState.SUCCEEDED, JobState.FAILED})
_IDLE_SECONDS = 3600.0


class TakesJobs(Protocol):
    """As much of a market as futures need."""

    @property
    def stop(self) -> threading.Event:
        """Set: nothing is watched any more."""

    def submit(self, request: JobRequest) -> Job:
        """Draft and sign."""

    def steps(self, timeout: float | None = None) -> Iterator[BlockRef]:
        """Move all jobs along."""


class JobFuture(Future[T], Generic[T]):
    """What will come of a job. It can be cancelled as long as the job is not over: its order is withdrawn, or its lease ended."""

    def __init__(self, job: Job, read: Callable[[Job], T]) -> None:
        super().__init__()
        self.job = job
        self._read = read
        self._deciding = threading.Lock()

    def running(self) -> bool:
        """Whether a lease of the job is open. The future itself waits until it is over, so that it can be cancelled until then."""
        return not self.done() and self.job.state is JobState.RUNNING

    def cancel(self) -> bool:
        """End the job on the chain, and be cancelled once it is: a transaction. What ran by then is paid for.

        False where it is over, or its provider has claimed its pay; raise a ChainError where the chain cannot be told.
        """
        with self._deciding:
            if self.done() or self.job.is_terminal:
                return self.cancelled()
            try:
                if not self.job.call_off():
                    return False
            except InvalidTransition:
                return False
            super().cancel()
            return not self.set_running_or_notify_cancel()

    def take(self) -> None:
        """Read what came of the job, which is over."""
        with self._deciding:
            if self.cancelled() or not self.set_running_or_notify_cancel():
                return
        try:
            self.set_result(self._value())
        except (MarketplaceError, OSError) as exc:
            self.set_exception(exc)

    def give_up(self, error: MarketplaceError) -> None:
        """Nobody looks at the job any more."""
        with self._deciding:
            if not self.done():
                self.set_exception(error)

    def _value(self) -> T:
        if self.job.state in _WITH_RESULT:
            return self._read(self.job)
        last = self.job.history[-1]
        raise JobFailed(self.job.id, f"{self.job.state.value}: {last.note or last.reason.value}")


class JobExecutor(Executor):
    """An executor of ``concurrent.futures`` whose calls are jobs of a market.

    like = JobRequest(command=("python",), gpus_of=("RTX4090",), max_price=market.price("0.40"), max_time=Seconds(600))
    with JobExecutor(market, CallTerms(like)) as executor:
        losses = list(executor.map(train, (0.1, 0.01)))

    with JobExecutor(market) as executor:                      jobs instead of calls
        futures = [executor.submit_job(request) for request in requests]

    A job that ran has a result whatever its exit code; one that was never placed, lost or cancelled raises JobFailed.
    One thread moves all jobs along; it ends with the executor, which waits for what was submitted.
    """

    def __init__(self, market: TakesJobs, terms: CallTerms | None = None) -> None:
        self._market, self._terms = market, terms
        self._waiting: dict[str, JobFuture[Any]] = {}
        self._changed = threading.Condition()
        self._is_closing = self._is_abandoned = False
        self._thread = threading.Thread(target=self._watch, name="bourse-executor", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> JobFuture[T]:
        """Call the function on somebody's machine; raise at once what its order is refused for, or InvalidField where it cannot be sent."""
        if self._terms is None:
            raise InvalidField(
                "terms", "are missing: JobExecutor(market, CallTerms(request)) says as which jobs to call"
            )
        return self.call(self._terms, fn, *args, **kwargs)

    def call(self, terms: CallTerms, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> JobFuture[T]:
        """The same on these terms."""
        with TemporaryDirectory(prefix="bourse-") as folder:
            return self._submit(pack(terms, fn, args, kwargs, Path(folder)), lambda job: read_answer(job, terms))

    def submit_job(self, request: JobRequest) -> JobFuture[JobResult]:
        """Sign and post an order; raise at once what the gateway refuses it for."""
        return self._submit(request, Job.result)

    def map(
        self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[T]:
        """As ``concurrent.futures`` has it; every call is a job of its own, whatever ``chunksize`` says."""
        return in_order(lambda *arguments: self.submit(fn, *arguments), iterables, timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; with ``cancel_futures`` call off what does not run yet. ``wait`` until every job is over.

        Without waiting its thread goes on until they are; jobs that outlive the program are looked after by the next one that opens this home.
        """
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if cancel_futures:
            for future in list(self._waiting.values()):
                if not future.running():
                    future.cancel()
        if wait:
            self._thread.join()

    def abandon(self) -> None:
        """Stop looking: what is not over raises JobFailed. The jobs themselves go on."""
        with self._changed:
            self._is_closing = self._is_abandoned = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _submit(self, request: JobRequest, read: Callable[[Job], T]) -> JobFuture[T]:
        if self._is_closing:
            # What ``concurrent.futures`` says and its users catch.
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = JobFuture(self._market.submit(request), read)
        with self._changed:
            self._waiting[future.job.id] = future
            self._changed.notify()
        return future

    def _watch(self) -> None:
        why: MarketplaceError = JobFailed("of this executor", "is not watched any more: the client was stopped")
        try:
            while self._has_work():
                try:
                    self._look()
                except MarketplaceError as exc:
                    self._give_up(exc)
                if self._market.stop.is_set() or self._is_abandoned:
                    self._give_up(why)
        finally:
            self._give_up(why)  # whatever ends this thread: nobody waits for it in vain

    def _look(self) -> None:
        for _ in self._market.steps(_IDLE_SECONDS):
            for future in list(self._waiting.values()):
                if future.job.is_terminal:
                    with self._changed:
                        del self._waiting[future.job.id]
                    future.take()
            if not self._waiting or self._is_abandoned:
                return

    def _has_work(self) -> bool:
        """Wait for a job; False when there is none and none will come."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._is_closing)
            return bool(self._waiting)

    def _give_up(self, error: MarketplaceError) -> None:
        with self._changed:
            left, self._waiting = list(self._waiting.values()), {}
        for future in left:
            future.give_up(error)


def in_order(
    submit: Callable[..., JobFuture[T]], iterables: Sequence[Iterable[Any]], timeout: float | None
) -> Iterator[T]:
    """Submit a call for each row of the iterables, now, and yield what they return, in order. Raise TimeoutError after ``timeout`` seconds.

    Whatever ends it, also the submitting, ends what is left: nobody pays for answers that nobody will read.
    """
    deadline = None if timeout is None else monotonic() + timeout
    futures: list[JobFuture[T]] = []
    try:
        futures.extend(submit(*row) for row in zip(*iterables, strict=False))
    except BaseException:
        _cancel(futures)
        raise
    return _results(futures, deadline)


def _results(futures: list[JobFuture[T]], deadline: float | None) -> Iterator[T]:
    try:
        while futures:
            answer = futures[0].result(None if deadline is None else max(0.0, deadline - monotonic()))
            del futures[0]
            yield answer
    finally:
        _cancel(futures)


def _cancel(futures: Iterable[JobFuture[Any]]) -> None:
    for future in futures:
        future.cancel()
