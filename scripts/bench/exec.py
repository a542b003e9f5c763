"""`make bench PART=exec`: how fast somebody sits at a job, and a job with an image starts: OpenSSH, relay, agent's parts, sandbox, this machine."""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from examples.host_image import layer_of, python_layer, write_image
from marketplace.domain.ids import Sha256
from marketplace.domain.images import BLOB_REGISTRY, ImageName
from marketplace.images.manifests import Descriptor
from marketplace.provider.executors.base import JobImage
from marketplace.provider.executors.bubblewrap import FIRST_JOB_USER, BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.executors.sandbox import image_user
from marketplace.provider.images.cache import CachedImage, ImageCache
from marketplace.provider.images.pulling import ImagePuller, Pull
from scripts.bench.exec_words import COMMAND, HOST_SECONDS, SSH_ECHO, SSH_RATE, UNPACK_RATE, WARM_SECONDS, missed
from scripts.deep import tables
from scripts.deep.figures import Measured, Number, write_figures
from tests.integration.bubblewrap_jobs import executor_at, prepared, run
from tests.integration.test_ssh import JobBySsh, job_by_ssh, relaying, tool

BYTES = 200 << 20
TRIES = 3
"""Of each rate, of which the best counts: whatever else this machine does only takes away."""
ECHOES = 300
STARTS = 9
NOTHING_TO_DO = ("python3", "-c", "pass")


def main() -> int:
    """Measure; write docs/figures.json unless ``--quick`` asks for a look only. 1 where a bar was missed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    values: dict[str, Number] = {}
    with TemporaryDirectory() as place:
        values |= _images(Path(place))
    with relaying() as (url, relay), TemporaryDirectory() as place, job_by_ssh(url, relay, Path(place)) as reached:
        values |= _by_ssh(reached, Path(place))
    for name, value in values.items():
        print(f"{name} {value}")
    if "--quick" not in sys.argv:
        write_figures(Measured(values, {"python": platform.python_version()}), COMMAND)
        tables.main([])
    slow = missed(values)
    print(*(f"{key} misses its bar" for key in slow), sep="\n", end="\n" if slow else "")
    return 1 if slow else 0


# -- images -----------------------------------------------------------------------------------------------------------


class FolderBlobs:
    """An image's files as they lie in a folder: what a puller would have fetched."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs" / "sha256"

    def manifest(self, digest: Sha256) -> bytes:
        return (self._blobs / digest).read_bytes()

    def fetch(self, blob: Descriptor, folder: Path, spend: Callable[[int], None]) -> None:
        spend(blob.size)
        (folder / blob.sha256).hardlink_to(self._blobs / blob.sha256)


def _images(place: Path) -> dict[str, Number]:
    """Pull one of two packed layers, the job runtime's Python and programs of this machine, then run nothing in it."""
    digest = write_image(place / "image", [layer_of(["sh", "cat"]), python_layer()]).removeprefix("sha256:")
    rates = []
    for number in range(TRIES):
        began = time.monotonic()
        pulled = _pulled(place / f"agent-{number}", Sha256(digest), FolderBlobs(place / "image"))
        rates.append(pulled.record.bytes / 1e6 / (time.monotonic() - began))
    executor = executor_at(place, find_cgroups())
    rounds = [(_start(executor, place, None), _start(executor, place, pulled.for_job())) for _ in range(STARTS)]
    return {
        UNPACK_RATE: round(max(rates), 1),
        HOST_SECONDS: round(statistics.median(host for host, _ in rounds), 3),
        WARM_SECONDS: round(statistics.median(warm for _, warm in rounds), 3),
    }


def _pulled(home: Path, digest: Sha256, source: FolderBlobs) -> CachedImage:
    """By the agent's own puller: every hash checked, the disk told to keep it."""
    (home / "servings" / "bench").mkdir(parents=True)
    cache = ImageCache(home / "images", home / "servings", 1 << 33, image_user(FIRST_JOB_USER))
    wanted = Pull(ImageName(BLOB_REGISTRY, "", digest), "bench", source, lambda _: None)
    pulled = ImagePuller(cache).pull(wanted)
    assert pulled is not None, "nobody else pulls"
    return pulled


def _start(executor: BubblewrapExecutor, place: Path, image: JobImage | None) -> float:
    """Seconds from the start to the end of a job that does nothing."""
    request = replace(prepared(place, *NOTHING_TO_DO), image=image)
    began = time.monotonic()
    ran = run(executor, request)
    took = time.monotonic() - began
    assert ran.result.exit_code == 0, ran.log
    executor.reap(request.lease)
    return took


# -- ssh --------------------------------------------------------------------------------------------------------------


def _by_ssh(reached: JobBySsh, place: Path) -> dict[str, Number]:
    (place / "zeros").touch()
    with (place / "zeros").open("r+b") as file:
        file.truncate(BYTES)
    rates = [min(_outwards(reached), _inwards(reached, place / "zeros")) for _ in range(TRIES)]
    return {SSH_RATE: round(max(rates), 1), SSH_ECHO: round(_echo_ms(reached), 2)}


def _outwards(reached: JobBySsh) -> float:
    """Megabytes a second out of the job, the connection's beginning included. Agent's and relay's parts share this process with us: `wc` reads."""
    began = time.monotonic()
    words = [tool("ssh"), *reached.options, "job", f"head -c {BYTES} /dev/zero"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as ssh:
        counted = subprocess.run(["wc", "-c"], stdin=ssh.stdout, capture_output=True, check=True).stdout
    assert int(counted) == BYTES
    return BYTES / 1e6 / (time.monotonic() - began)


def _inwards(reached: JobBySsh, zeros: Path) -> float:
    """Megabytes a second into the job."""
    began = time.monotonic()
    words = [tool("ssh"), *reached.options, "job", "wc -c"]
    with zeros.open("rb") as file:
        done = subprocess.run(words, stdin=file, capture_output=True, check=True)
    assert int(done.stdout) == BYTES
    return BYTES / 1e6 / (time.monotonic() - began)


def _echo_ms(reached: JobBySsh) -> float:
    """The median time of one byte to a `cat` in the job and back, in milliseconds."""
    words = [tool("ssh"), *reached.options, "job", "cat"]
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
    sys.exit(main())
