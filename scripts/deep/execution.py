"""Images, sessions and those who sit at them: random images for an hour, hundreds of jobs that may leave nothing, and every way out tried."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from marketplace.provider.executors.cgroups import CgroupParent, find_cgroups
from scripts.deep.figures import Measured, Number
from scripts.deep.tools import NotHeld, say
from tests.integration.bubblewrap_jobs import executor_at
from tests.integration.execution_soak import leaks
from tests.integration.image_escapes import (
    Found,
    ImageExecutor,
    foreign,
    tried_beside,
    tried_by_ssh,
    tried_in_image,
    with_tools,
)
from tests.unit.provider.image_fuzz import fuzz

MINUTES = "MINUTES"
"""What sets how long the fuzzer runs: an hour, where nothing is said."""
IMAGE_JOBS, SESSIONS = 300, 100


def execution() -> Measured:
    """All three, the long one last. Raises NotHeld for the first that does not hold."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    values = {**_escapes(), **_leaks(), **_fuzzed(60 * float(os.environ.get(MINUTES, "60")))}
    return Measured(values, {"python": platform.python_version()})


def _escapes() -> dict[str, Number]:
    """From jobs in images, with and without the kernel's groups; from what has entered a job, with and without an image; and by ssh."""
    cgroups, found = find_cgroups(), dict[str, Found]()
    for kind, groups in {"watch": None, "groups": cgroups}.items():
        if kind == "watch" or groups is not None:
            found |= {f"{name}, {kind}": ways for name, ways in _tried(groups).items()}
    with TemporaryDirectory() as place:
        found["ssh"] = tried_by_ssh(Path(place))
    tried = [(kind, name, got) for kind, ways in found.items() for name, got in ways.items()]
    through = [f"{kind}: {name}: {got}" for kind, name, got in tried if got is not None]
    say("exec", f"{len(tried)} ways out tried from {len(found)} places, {len(through)} got through")
    if through:
        raise NotHeld("\n".join(through))
    return {"exec.escapes_tried": len(tried), "exec.escapes": 0}


def _tried(cgroups: CgroupParent | None) -> dict[str, Found]:
    with TemporaryDirectory() as in_image, TemporaryDirectory() as beside, TemporaryDirectory() as both:
        used = with_tools(Path(both, "image"))
        return {
            "in an image": tried_in_image(Path(in_image), cgroups),
            "beside a job": tried_beside(executor_at(Path(beside), cgroups), Path(beside)),
            "beside a job in an image": foreign(tried_beside(ImageExecutor(Path(both), cgroups, used), Path(both))),
        }


def _leaks() -> dict[str, Number]:
    with TemporaryDirectory() as place:
        left = leaks(Path(place), IMAGE_JOBS, SESSIONS)
    say("exec", f"{IMAGE_JOBS} jobs in images and {SESSIONS} sessions left {len(left)} things behind")
    if left:
        raise NotHeld("\n".join(left))
    return {"exec.image_jobs": IMAGE_JOBS, "exec.sessions": SESSIONS, "exec.leaks": 0}


def _fuzzed(seconds: float) -> dict[str, Number]:
    """Raises NotHeld, naming seed and round, for the first image that does what it must not."""
    until, seed = time.monotonic() + seconds, int.from_bytes(os.urandom(4), "big")
    try:
        rounds, whole = fuzz(seed, lambda _: time.monotonic() < until)
    except AssertionError as exc:
        raise NotHeld(str(exc)) from exc
    say("exec", f"seed {seed}: {rounds} images, {whole} of them unpacked, no file of the host's touched")
    return {"exec.fuzzed_images": rounds, "exec.fuzz_escapes": 0}
