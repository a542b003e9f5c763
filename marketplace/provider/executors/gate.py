"""The gate behind which a job waits until nothing can part its sandbox from its supervisor any more.

It is this machine's own shell. In the sandbox of an image, which may have none, that shell stands with its loader and its
libraries in a folder that is mounted for it, and runs by that loader: nothing of the image is needed to start its job.

Variables that a loader or a shell obeys (LD_PRELOAD) are the job's, and set only when the gate is open: before, they would let
a job run in front of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from marketplace.domain.errors import ToolMissing

GATE_AT: Final = "/job/gate"
"""Where the sandbox of an image has the gate."""

_SCRIPT: Final = 'read -r _ && while [ "$1" != -- ]; do export "$1"; shift; done && shift && exec "$@" </dev/null'
"""It waits for a line from the supervisor, and becomes the job; or ends, if the supervisor is gone."""
_KEEPING: Final = "read -r _ && read -r _; exit 0"
"""It waits for that line, and for the gate to be closed."""
_HELD_BACK: Final = re.compile(r"LD_|GLIBC_|ENV$|BASH_|SHELLOPTS$|IFS$|PS4$")
_SHELL: Final = Path("/bin/sh")
_LOADER: Final = "loader"


def make_gate(folder: Path) -> Path:
    """Copy the shell and what it needs into the folder, unless they are there; return it. Raises ToolMissing."""
    if (folder / "sh").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(mkdtemp(prefix="gate-", dir=folder.parent))
    for source, name in _needed():
        shutil.copyfile(source, building / name)
        (building / name).chmod(0o755)
    building.chmod(0o755)
    try:
        building.rename(folder)
    except OSError:
        shutil.rmtree(building)  # another agent's process was first
    return folder


def gated(command: tuple[str, ...], environment: Mapping[str, str], *, is_in_image: bool) -> list[str]:
    """The job's command behind the gate. A program that is not there makes the shell say so, and end with 127. Without a command there is
    the gate alone, until it is closed.
    """
    shell = [f"{GATE_AT}/{_LOADER}", "--library-path", GATE_AT, f"{GATE_AT}/sh"] if is_in_image else [str(_SHELL)]
    if not command:
        return [*shell, "-c", _KEEPING]
    held = [f"{name}={value}" for name, value in environment.items() if is_held_back(name)]
    return [*shell, "-c", _SCRIPT, "job", *held, "--", *command]


def is_held_back(name: str) -> bool:
    """Whether a variable is set only when the gate is open."""
    return _HELD_BACK.match(name) is not None


def _needed() -> list[tuple[str, str]]:
    """The shell, its loader and its libraries, each with the name that it gets."""
    told = subprocess.run(["ldd", os.path.realpath(_SHELL)], capture_output=True, text=True, check=False).stdout
    libraries = re.findall(r"(\S+) => (/\S+) \(0x", told)
    loader = re.findall(r"^\s+(/\S+) \(0x", told, re.MULTILINE)
    if len(loader) != 1:
        raise ToolMissing("a shell of the GNU C library", "container images need /bin/sh to be one that ldd can read")
    return [(str(_SHELL), "sh"), (loader[0], _LOADER), *((path, name) for name, path in libraries)]
