"""Several processes behind one listening socket: started before anything is opened, started again when they die, drained together."""

from __future__ import annotations

import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkProcess

import structlog

from marketplace.daemon import Stop
from marketplace.supervisor import die_with_supervisor
from marketplace.watchdog import EXIT_STATUS

LOOK_SECONDS = 0.5
BACKLOG = 2_048

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Serve = Callable[[socket.socket], None]


def serve_by_workers(count: int, host: str, port: int, serve: Serve) -> int:
    """Serve until SIGTERM or SIGINT, by so many processes; the exit status of all of them together.

    The connections that wait belong to all: none is lost with a worker that dies. One that was killed, or hung, is replaced; one that ends by
    itself has found that it cannot serve, and nor could the others: then all end.
    """
    stop = Stop().on_signals()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=BACKLOG) as listener:
        workers = [_Worker(serve, listener) for _ in range(count)]
        while not stop.wait(LOOK_SECONDS):
            dead = [worker for worker in workers if not worker.is_alive]
            if not all(worker.is_replaceable for worker in dead):
                break
            for worker in dead:
                structlog.get_logger().warning("gateway.worker_died", pid=worker.pid)
                workers[workers.index(worker)] = _Worker(serve, listener)
    for worker in workers:
        worker.ask_to_stop()
    stop.done()
    return max(worker.wait() for worker in workers)


class _Worker:
    """One process, forked: it has what its parent has read, and opens everything else itself."""

    def __init__(self, serve: Serve, listener: socket.socket) -> None:
        self._process: ForkProcess = multiprocessing.get_context("fork").Process(target=_work, args=(serve, listener))
        self._is_asked = False
        with _signals_held():
            self._process.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @property
    def is_replaceable(self) -> bool:
        """Whether it was killed, or gave itself up because it hung."""
        return (self._process.exitcode or 0) < 0 or self._process.exitcode == EXIT_STATUS

    def wait(self) -> int:
        """Its exit status, once it has ended: 0 too where it ended at our word before it had anything to drain, 1 for any other signal."""
        self._process.join()
        status = self._process.exitcode or 0
        if status < 0:
            return 0 if self._is_asked and status == -signal.SIGTERM else 1
        return status

    def ask_to_stop(self) -> None:
        self._is_asked = True
        self._process.terminate()


@contextmanager
def _signals_held() -> Iterator[None]:
    """A signal waits meanwhile, also for the process that is forked: what its parent would do on it is not for it to do."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(serve: Serve, listener: socket.socket) -> None:
    """Until it has its own way with signals, one ends it, also one that has come since it was forked."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    die_with_supervisor()
    serve(listener)
