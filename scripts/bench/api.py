"""`python -m scripts.bench.api`: what the gateway costs beside FastAPI with nothing behind it. Less than two minutes.

Both servers run at once, one worker each, and are asked in turn, in short runs, by the same crowd of connections: a machine that is busy with
other things is so for both. A ratio is the median of those of the turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.pool import Pool
from multiprocessing.process import BaseProcess
from statistics import median
from threading import Event
from time import monotonic

import httpx
import psutil

from marketplace.devnet import free_ports
from scripts.bench import api_words as w
from scripts.bench.api_load import Answered, ask, request
from scripts.bench.api_servers import Said, run_bare, run_gateway
from scripts.bench.api_stage import ApiStage, running_api_stage
from scripts.bench.versions import versions_of
from scripts.deep import tables
from scripts.deep.figures import Measured, Number, write_figures

TURNS = 7
ORDERS, OFFERS, BLOBS, READS = 1_500, 6_000, 3_000, 2_000
"""Requests of one turn to one server."""
QUICK = 5
LIBRARIES = ("fastapi", "redis", "sqlalchemy", "uvicorn")
READY_SECONDS = 180
PROCESSES = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is up."""

    port: int
    process: BaseProcess
    crowd: Pool
    """Who asks it: one process."""

    def answer(self, requests: Sequence[bytes]) -> tuple[Answered, float]:
        """What the crowd was answered, and the milliseconds of processor that one answer took."""
        before = self._processor_seconds()
        answered = self.crowd.apply(ask, (self.port, requests, w.CONNECTIONS))
        return answered, 1_000 * (self._processor_seconds() - before) / len(requests)

    def _processor_seconds(self) -> float:
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)


def main(arguments: list[str]) -> int:
    """Measure, print, and write unless only a look was asked for."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.api", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the requests; print only")
    parser.add_argument("--part", choices=("orders", "offers", "blobs", "reads"), help="only this one; print only")
    options = parser.parse_args(arguments)
    divisor = QUICK if options.quick else 1
    values: dict[str, Number] = {}
    with running_api_stage() as stage, _both(stage) as (ours, bare):
        if options.part in (None, "orders"):
            ratio, per_second = _compared("orders", ours, bare, lambda: _new_orders(stage, ORDERS // divisor), 201)
            values |= {w.ORDERS_RATIO: ratio, w.ORDERS_PER_SECOND: round(per_second)}
        if options.part in (None, "offers"):
            offers = [request("GET", "/v1/offers")] * (OFFERS // divisor)
            values[w.OFFERS_RATIO], _ = _compared("offers", ours, bare, lambda: offers, 200)
        if options.part in (None, "blobs"):
            blobs = [request("GET", f"/v1/blobs/{stage.file}")] * (BLOBS // divisor)
            values[w.BLOB_RATIO], _ = _compared("blobs", ours, bare, lambda: blobs, 200)
        if options.part in (None, "reads"):
            values[w.READS_RATIO] = min(_read_ratio(path, ours, bare, READS // divisor) for path in stage.reads)
    for key, value in values.items():
        print(f"{value:>10,}  {w.words()[key]}{'  (below its bar)' if w.missed(key, value) else ''}")
    if not (options.quick or options.part):
        write_figures(Measured(values, versions_of(LIBRARIES)), w.COMMAND)
        tables.main([])
    return 0


def _read_ratio(path: str, ours: Server, bare: Server, count: int) -> float:
    reads = [request("GET", path)] * count
    ratio, _ = _compared(path.partition("?")[0], ours, bare, lambda: reads, 200)
    return ratio


def _new_orders(stage: ApiStage, count: int) -> Sequence[bytes]:
    """Between two turns the indexer takes in what came in the last one: it has a core of its own where a market is in earnest."""
    stage.catch_up()
    return stage.order_requests(count)


def _compared(
    name: str, ours: Server, bare: Server, requests: Callable[[], Sequence[bytes]], status: int
) -> tuple[float, float]:
    """The share of the bare server's answers a second that the gateway gives, and how many that is. Raises ValueError for an answer of another status."""
    shares, rates = [], []
    for turn in range(TURNS + 1):
        asked = requests()
        (there, bare_ms), (here, our_ms) = bare.answer(asked), ours.answer(asked)
        if {*there.statuses, *here.statuses} != {status}:
            raise ValueError(f"{name}: answered {there.statuses} by the bare server, {here.statuses} by the gateway")
        told = f"{name}: {here.per_second:7,.0f} a second beside {there.per_second:7,.0f}, {our_ms:.3f} ms of processor beside {bare_ms:.3f}"
        print(f"        {told}{'' if turn else ' (to warm up)'}", flush=True)
        if turn:
            shares.append(here.per_second / there.per_second)
            rates.append(here.per_second)
    return round(median(shares), 2), median(rates)


@contextmanager
def _both(stage: ApiStage) -> Iterator[tuple[Server, Server]]:
    """The gateway and the bare server, which says what the gateway says."""
    with ExitStack() as at_end:
        crowd = at_end.enter_context(PROCESSES.Pool(1))
        ours = at_end.enter_context(_server(crowd, run_gateway, stage.behind))
        with httpx.Client(base_url=f"http://127.0.0.1:{ours.port}", trust_env=False, timeout=60) as http:
            (example,) = stage.order_requests(1)
            order = http.post(
                "/v1/orders", content=example.partition(b"\r\n\r\n")[2], headers={"Content-Type": "application/json"}
            )
            reads = {path.partition("?")[0]: http.get(path).content for path in stage.reads}
            said = Said(order.content, http.get("/v1/offers").content, stage.path_of(stage.file), reads)
        yield ours, at_end.enter_context(_server(crowd, run_bare, said, stage.behind.redis_url))


@contextmanager
def _server(crowd: Pool, run: Callable[..., None], *given: object) -> Iterator[Server]:
    """A process that serves; asked to stop at the end."""
    (port,) = free_ports(1)
    process = PROCESSES.Process(target=run, args=(*given, port))
    process.start()
    try:
        deadline, pause = monotonic() + READY_SECONDS, Event()
        while not _is_up(port):
            if not process.is_alive() or monotonic() > deadline:
                raise RuntimeError("a server of the bench does not come up")
            pause.wait(0.05)
        yield Server(port, process, crowd)
    finally:
        process.terminate()
        process.join()


def _is_up(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/live", trust_env=False)
    except httpx.TransportError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
