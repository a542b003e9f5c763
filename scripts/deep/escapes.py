"""Every way out of the sandbox that we know of, tried in real ones: with the kernel's groups, by watching alone, and without root."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from marketplace.provider.executors.bubblewrap import find_bwrap
from marketplace.provider.executors.cgroups import CgroupParent, find_cgroups
from scripts.deep.figures import ROOT, Measured
from scripts.deep.tools import NotHeld, run, say
from tests.integration.bubblewrap_escapes import all_tried
from tests.integration.bubblewrap_jobs import executor_at
from tests.integration.bubblewrap_ordinary import ORDINARY_USER

Found = dict[str, str | None]
ORDINARY_SECONDS = 900


def escapes() -> Measured:
    """Try them all. Raises NotHeld, naming those that got through."""
    found = {"watch": _here(None)}
    cgroups = find_cgroups()
    if cgroups is not None:
        found["groups"] = _here(cgroups)
    if os.geteuid() == 0:
        found["without root"] = _as_ordinary_user()
    tried = [(kind, name, got) for kind, ways in found.items() for name, got in ways.items()]
    through = [f"{kind}: {name}: {got}" for kind, name, got in tried if got is not None]
    say("escapes", f"{len(tried)} tried in {len(found)} kinds of sandbox, {len(through)} got through")
    if through:
        raise NotHeld("\n".join(through))
    return Measured(
        {"escapes.tried": len(tried), "escapes.succeeded": len(through)},
        {"bubblewrap": _bubblewrap_version(), "python": platform.python_version()},
    )


def _here(cgroups: CgroupParent | None) -> Found:
    with TemporaryDirectory() as place:
        return all_tried(executor_at(Path(place), cgroups), cgroups, Path(place))


def _as_ordinary_user() -> Found:
    with TemporaryDirectory() as place:
        os.chown(place, ORDINARY_USER, ORDINARY_USER)
        words = [sys.executable, "-B", "-m", "tests.integration.bubblewrap_ordinary", place]
        ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=ORDINARY_SECONDS)
    if ran.returncode != 0:
        raise NotHeld(f"without root: {ran.stderr[-2000:]}")
    found: Found = json.loads(ran.stdout)
    return found


def _bubblewrap_version() -> str:
    return run([find_bwrap(), "--version"], seconds=60).stdout.split()[1]
