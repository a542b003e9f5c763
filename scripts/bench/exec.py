"""`make bench PART=exec`: how fast somebody sits at a job: OpenSSH, a relay, an agent and a sandbox on this machine."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.deep.figures import Measured, Number, write_figures
from tests.integration.test_seats import Seated, relaying, sitting_at, tool

BYTES = 300 << 20
ECHOES = 300
COMMAND = "make bench PART=exec"


def main() -> None:
    """Measure; write docs/figures.json unless ``--quick`` asks for a look only."""
    with relaying() as (url, relay), TemporaryDirectory() as place, sitting_at(url, relay, Path(place)) as seated:
        values: dict[str, Number] = {
            "exec.ssh_mb_per_second": round(min(_outwards(seated), _inwards(seated)), 1),
            "exec.ssh_echo_ms": round(_echo_ms(seated), 2),
        }
    for name, value in values.items():
        print(f"{name} {value}")
    if "--quick" not in sys.argv:
        write_figures(Measured(values, {}), COMMAND)


def _outwards(seated: Seated) -> float:
    """Megabytes a second out of the job, the connection's beginning included."""
    began = time.monotonic()
    done = seated.ssh(f"head -c {BYTES} /dev/zero")
    assert len(done.stdout) == BYTES
    return BYTES / 1e6 / (time.monotonic() - began)


def _inwards(seated: Seated) -> float:
    """Megabytes a second into the job."""
    began = time.monotonic()
    done = seated.ssh("wc -c", input=bytes(BYTES))
    assert int(done.stdout) == BYTES
    return BYTES / 1e6 / (time.monotonic() - began)


def _echo_ms(seated: Seated) -> float:
    """The median time of one byte to a `cat` in the job and back, in milliseconds."""
    words = [tool("ssh"), *seated.options, "job", "cat"]
    times = []
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as cat:
        assert cat.stdin is not None
        assert cat.stdout is not None
        for _ in range(ECHOES):
            began = time.perf_counter()
            cat.stdin.write(b"x")
            assert cat.stdout.read(1) == b"x"
            times.append(time.perf_counter() - began)
        cat.stdin.close()
    return statistics.median(times) * 1000


if __name__ == "__main__":
    main()
