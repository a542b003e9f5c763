"""Jobs as futures, for programs that think in ``concurrent.futures``."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import TracebackType

from marketplace.client.job import Job
from marketplace.client.market import Market
from marketplace.client.request import JobRequest
from marketplace.client.story import JobResult
from marketplace.domain.errors import JobFailed, MarketplaceError
from marketplace.domain.states import JobState

_WITH_RESULT = frozenset({JobState.SUCCEEDED, JobState.FAILED})
_IDLE_SECONDS = 3600.0


class JobExecutor:
    """Submits requests to a market and hands out futures of their verified results.

    with JobExecutor(market) as executor:
        futures = [executor.submit(request) for request in requests]
        best = max(futures, key=lambda future: score(future.result()))

    A job that ran has a result whatever its exit code; one that was never placed, lost or cancelled raises JobFailed.
    One thread moves all jobs along; it ends with the executor, which waits for what was submitted.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._waiting: dict[str, tuple[Job, Future[JobResult]]] = {}
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._watch, name="bourse-executor", daemon=True)
        self._thread.start()

    def __enter__(self) -> JobExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    def submit(self, request: JobRequest) -> Future[JobResult]:
        """Sign and post an order; raise at once what the gateway refuses it for."""
        job, future = self._market.submit(request), Future[JobResult]()
        future.set_running_or_notify_cancel()
        with self._changed:
            self._waiting[job.id] = (job, future)
            self._changed.notify()
        return future

    def shutdown(self) -> None:
        """Wait until every job is over."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _watch(self) -> None:
        while self._has_work():
            try:
                for _ in self._market.steps(_IDLE_SECONDS):
                    self._resolve()
                    if not self._waiting:
                        break
            except MarketplaceError as exc:
                self._fail_all(exc)
            if self._market.stop.is_set():
                self._fail_all(JobFailed("of this executor", "is not watched any more: the client was stopped"))

    def _has_work(self) -> bool:
        """Wait for a job; False when there is none and none will come."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._is_closing)
            return bool(self._waiting)

    def _resolve(self) -> None:
        for job, future in list(self._waiting.values()):
            if job.is_terminal:
                with self._changed:
                    del self._waiting[job.id]
                _answer(job, future)

    def _fail_all(self, error: MarketplaceError) -> None:
        with self._changed:
            left, self._waiting = list(self._waiting.values()), {}
        for _, future in left:
            future.set_exception(error)


def _answer(job: Job, future: Future[JobResult]) -> None:
    if job.state in _WITH_RESULT:
        future.set_result(job.result())
    else:
        last = job.history[-1]
        future.set_exception(JobFailed(job.id, f"{job.state.value}: {last.note or last.reason.value}"))
