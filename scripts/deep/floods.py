"""How long honest requests take while a crowd of strangers' connections is in the way, beside how long they take when it is quiet."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Sequence

from marketplace import wiring
from marketplace.client import Job, JobRequest, Market
from marketplace.domain.units import Seconds, TokenUnits
from scripts.deep.faults import version
from scripts.deep.figures import ROOT, Measured
from scripts.deep.kills import running_network
from scripts.deep.tools import NotHeld, say

KINDS = ("streams", "heads", "uploads", "readers", "pipelines")
REQUESTS = 150
CROWD_SECONDS = 45
MOST_RATIO, ALWAYS_FINE_SECONDS = 5.0, 0.25
"""An honest request in a hundred may take five times as long as when it is quiet, or a quarter of a second."""


def floods() -> Measured:
    """A network, a job with a log, and one crowd after the other. Raises NotHeld where honest requests take too long."""
    with running_network() as network:
        market = wiring.open_market(network.settings)
        try:
            job = _with_log(market)
            quiet = _slowest_of_a_hundred(market, job)
            say("floods", f"quiet: {quiet * 1000:.0f} ms")
            found = {kind: _beside(kind, market, job) for kind in KINDS}
        finally:
            market.close()
    wrongs = [
        f"{kind}: {seconds:.3f} s, {quiet:.3f} s when it is quiet"
        for kind, seconds in found.items() if seconds > max(MOST_RATIO * quiet, ALWAYS_FINE_SECONDS)
    ]  # fmt: skip
    if wrongs:
        raise NotHeld("\n".join(wrongs))
    return Measured(
        {"floods.honest_p99_ratio": round(max(found.values()) / quiet, 1)},
        {"compute-bourse": version(), "python": sys.version.split()[0]},
    )  # fmt: skip


def _with_log(market: Market) -> Job:
    market.deposit(TokenUnits(10_000_000))
    request = JobRequest(
        command=("python", "-c", "print('epoch', 1)"), gpus_of=("RTX4090",), max_price=market.price("0.40"), max_time=Seconds(120),
        cpus=1, memory_mib=256, disk_mib=64,
    )  # fmt: skip
    job = market.submit(request)
    job.wait(timeout=120)
    return job


def _beside(kind: str, market: Market, job: Job) -> float:
    """What the slowest one in a hundred took while this crowd was there."""
    domain, now = market.terms, market.chain.head().timestamp
    words = [kind, market.api.base_url, domain.market, str(domain.chain_id), str(now), str(CROWD_SECONDS)]
    crowd = subprocess.Popen([sys.executable, "-m", "scripts.deep.crowd", *words], cwd=ROOT)
    try:
        _slowest_of_a_hundred(market, job)  # while it gathers
        seconds = _slowest_of_a_hundred(market, job)
    finally:
        crowd.terminate()
        crowd.wait(30)
    say("floods", f"{kind}: {seconds * 1000:.0f} ms")
    return seconds


def _slowest_of_a_hundred(market: Market, job: Job) -> float:
    """Seconds, of logs, offers, leases and uploads in turn."""
    lease, took = job.orders[-1], list[float]()
    for number in range(REQUESTS):
        begun = time.perf_counter()
        match number % 4:
            case 0:
                market.api.log(lease)
            case 1:
                market.api.offers()
            case 2:
                market.api.lease(lease)
            case _:
                market.api.put_blob(f"{begun} {number}".encode() * 1_000)
        took.append(time.perf_counter() - begun)
    return _percentile(took, 99)


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
