"""Many jobs in images, and many machines that somebody sits at; then a look at what is left of them. There must be nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psutil

from examples.host_image import layer_of, write_image
from marketplace.domain.ids import Sha256
from marketplace.domain.images import BLOB_REGISTRY, ImageName
from marketplace.provider.executors.base import EndReason, Execution, ExecutionRequest
from marketplace.provider.executors.bubblewrap import FIRST_JOB_USER, BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.executors.removal import remove
from marketplace.provider.executors.sandbox import image_user
from marketplace.provider.images.cache import ImageCache
from marketplace.provider.images.pulling import ImagePuller, Pull
from scripts.bench.exec import FolderBlobs
from tests.integration.bubblewrap_jobs import PATIENCE_SECONDS, executor_at, left_of, prepared
from tests.integration.test_ssh import job_by_ssh, relaying

IMAGE_SCRIPT: Final = "echo 1 > /new; cat /etc/passwd >> /new; mkdir /tmp/x; sleep 60 & {rest}"
ENDS: Final[dict[EndReason, str]] = {
    EndReason.EXITED: "exit 0",
    EndReason.KILLED: "trap '' TERM; echo up; while :; do sleep 60; done",
    EndReason.TIME_LIMIT: "while :; do sleep 60; done",
}
"""How a job comes to each end; it leaves a process and changed files behind in all of them."""


@dataclass(frozen=True)
class Held:
    """What this process and this machine hold on behalf of jobs."""

    descriptors: int
    mounts: int
    children: tuple[str, ...]
    files: frozenset[str]
    """Below the agent's folder."""

    def more_than(self, before: Held) -> list[str]:
        """What was not there before, in words."""
        grown = {name: getattr(self, name) - getattr(before, name) for name in ("descriptors", "mounts")}
        counted = [f"{count} {name}" for name, count in grown.items() if count > 0]
        children = [] if len(self.children) <= len(before.children) else [f"children {self.children}"]
        return [*counted, *children, *(f"file {name}" for name in sorted(self.files - before.files))]


def held_at(place: Path) -> Held:
    """All of it, now."""
    return Held(
        descriptors=len(os.listdir("/proc/self/fd")),
        mounts=len(Path("/proc/self/mountinfo").read_text().splitlines()),
        children=tuple(f"{child.name()} ({child.status()})" for child in psutil.Process().children(recursive=True)),
        files=frozenset(str(path.relative_to(place)) for path in place.rglob("*") if "/trees/" not in str(path)),
    )


class ImageJobs:
    """Jobs in one image, as an agent runs them: found in its cache, held for a serving, run to one of three ends, cleared away."""

    def __init__(self, place: Path) -> None:
        self._executor, self._servings = executor_at(place, find_cgroups()), place / "servings"
        self._servings.mkdir()
        digest = write_image(place / "image", [layer_of(["sh", "cat", "mkdir", "sleep"])])
        self._source, self._name = FolderBlobs(place / "image"), ImageName(BLOB_REGISTRY, "", Sha256(digest[7:]))
        self._puller = ImagePuller(ImageCache(place / "images", self._servings, 1 << 30, image_user(FIRST_JOB_USER)))

    def run(self, number: int) -> list[str]:
        """One of them; what is left of it, and whether it ended otherwise."""
        wanted = list(ENDS)[number % len(ENDS)]
        line = IMAGE_SCRIPT.format(rest=ENDS[wanted])
        request = prepared(
            self._servings, "sh", "-c", line, wall_seconds=1 if wanted is EndReason.TIME_LIMIT else 60, grace_seconds=1
        )
        image = self._puller.pull(Pull(self._name, request.lease, self._source, lambda _: None))
        assert image is not None, "nobody else pulls"
        execution = self._executor.start(replace(request, image=image.for_job()))
        if wanted is EndReason.KILLED:
            _until(lambda: request.log.exists() and bool(request.log.stat().st_size), execution)
            execution.kill()
        result = execution.wait(PATIENCE_SECONDS)
        left = [] if result and result.ended is wanted else [f"a job ended otherwise: {result}"]
        return left + _cleared(self._executor, execution, request)


def sat_at(place: Path, number: int) -> list[str]:
    """One machine that somebody sits at, through a relay and a server of its own; what is left of it."""
    with relaying() as (url, relay), job_by_ssh(url, relay, place, server="") as reached:
        said = reached.ssh(f"echo {number}; sleep 60 >/dev/null 2>&1 & exit 3")
    left = [] if (said.stdout, said.returncode) == (b"%d\n" % number, 3) else [f"ssh: {said}"]
    while not remove(reached.request.folder):
        pass
    return left + left_of(reached.request, find_cgroups())


def _until(is_so: Callable[[], bool], execution: Execution) -> None:
    for _ in range(PATIENCE_SECONDS * 20):
        if is_so() or execution.wait(0.05) is not None:
            return
    raise AssertionError("the job says nothing")


def _cleared(executor: BubblewrapExecutor, execution: Execution, request: ExecutionRequest) -> list[str]:
    """Clear a job away as an agent does when its serving is over; what is left of it."""
    executor.reap(request.lease)
    execution.leave()
    while not remove(request.folder):
        pass
    return left_of(request, find_cgroups())


def leaks(place: Path, image_jobs: int, sessions: int) -> list[str]:
    """Run them; all that is left afterwards, in words. The first of each only warms up: what is made once may stay."""
    for name in ("jobs", "sessions"):
        (place / name).mkdir()
    jobs = ImageJobs(place / "jobs")
    found = [*jobs.run(0), *sat_at(place / "sessions", 0)]
    before = held_at(place)
    for number in range(1, image_jobs + 1):
        found += jobs.run(number)
    for number in range(1, sessions + 1):
        found += sat_at(place / "sessions", number)
    return found + held_at(place).more_than(before)
