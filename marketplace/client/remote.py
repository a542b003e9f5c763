"""Functions that are called on somebody else's GPU: what ``Market.remote`` makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

from marketplace.client.calls import CallTerms
from marketplace.client.executor import JobExecutor, JobFuture, in_order

P = ParamSpec("P")
T = TypeVar("T")


class RemoteFunction(Generic[P, T]):
    """A function, each call of which is a job.

    train(0.1)             waits, and returns what it returned
    train.submit(0.1)      a future
    train.map([0.1, 1])    all at once; yields what they return, in order
    train.local(0.1)       here
    """

    def __init__(self, function: Callable[P, T], terms: CallTerms, executor: Callable[[], JobExecutor]) -> None:
        update_wrapper(self, function)
        self.local, self.terms, self._executor = function, terms, executor

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Raise RemoteError where it raised, JobFailed where it did not run, ResultRefused where its answer is not read."""
        return self.submit(*args, **kwargs).result()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> JobFuture[T]:
        """Raise at once what the order is refused for."""
        return self._executor().call(self.terms, self.local, *args, **kwargs)

    def map(self, *iterables: Iterable[Any], timeout: float | None = None) -> Iterator[T]:
        """As ``concurrent.futures.Executor.map``: what is left when the iterator ends or fails is cancelled."""
        return in_order(self.submit, iterables, timeout)
