"""Python packages that a job brings along: wheels only, by hashes, unpacked here and sent with its inputs.

pip does it, in the client's own environment and with its settings: the provider needs no index, and the job no network. A
folder of packages is made once for each requirements file and Python, below the home, and used again. Whatever is ordered
with them (jobs, sessions, calls) goes through here when it is drafted.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from marketplace.client.request import JobRequest
from marketplace.domain.errors import InvalidField, ToolMissing
from marketplace.domain.limits import MIB
from marketplace.domain.spec import JOB_IN

PACKAGES: Final = ".packages"
"""What the folder is called in /job/in."""
PLATFORMS: Final = (*(f"manylinux_2_{glibc}_x86_64" for glibc in (28, 27, 26, 24, 17, 12, 5)), "manylinux2014_x86_64")
"""What wheels may be for: the C library of any Linux since 2018, whatever machine this is."""
KEPT: Final = 4
"""Folders of packages, the last used ones; older ones are made again when they are wanted."""
PIP_SECONDS: Final = 1_800
_SAID_LETTERS: Final = 1_000
_INCLUDES: Final = re.compile(r"^\s*(-r|-c|--requirement|--constraint)\b", re.MULTILINE)
_GUARD: Final = """\
import os, sys
if sys.version_info[:2] != {version}:
    os.write(2, b"--pip: the packages sent along are for Python {name}, and this one is %d.%d\\n" % sys.version_info[:2])
    os._exit(1)
"""

Say = Callable[[str], None]


def with_packages(request: JobRequest, made: Path, say: Say = lambda _: None) -> JobRequest:
    """The same request, with the packages of its requirements file, if it has one, before all others that its Python finds.

    ``made`` is where folders of packages lie. Raises InvalidField, ToolMissing.
    """
    if request.pip is None:
        return request
    folder = packages_of(request.pip, made, say)
    path = f"{JOB_IN}/{PACKAGES}"
    told = request.env.get("PYTHONPATH")
    env = {**request.env, "PYTHONPATH": f"{path}:{told}" if told else path}
    return replace(request, pip=None, files={**request.files, PACKAGES: folder}, env=env)


def packages_of(requirements: Path, made: Path, say: Say = lambda _: None) -> Path:
    """The folder with what the file names, made unless it is there. Raises InvalidField, ToolMissing."""
    content = _read(requirements)
    version = sys.version_info[:2]
    parts = (content, f"{version}".encode(), "\0".join(PLATFORMS).encode())
    place = made / hashlib.sha256(b"\0\0".join(parts)).hexdigest()[:32]
    if place.exists():
        os.utime(place)
        return place
    made.mkdir(parents=True, exist_ok=True)
    making = Path(mkdtemp(prefix="making-", dir=made))
    try:
        say(f"fetching the wheels that {requirements} names")
        _install(requirements, making)
        guard(making, version)
        _keep(making, place)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    _forget_old(made)
    return place


def guard(folder: Path, version: tuple[int, int]) -> None:
    """Have a Python of another version say so and end, where some of the packages are compiled for this one."""
    if next(folder.rglob("*.cpython-*.so"), None) is not None:
        text = _GUARD.format(version=version, name=".".join(map(str, version)))
        (folder / "sitecustomize.py").write_text(text)


def _read(requirements: Path) -> bytes:
    try:
        content = requirements.read_bytes()
    except OSError as exc:
        raise InvalidField("pip", f"{requirements} cannot be read: {exc.strerror}") from exc
    if len(content) > MIB:
        raise InvalidField("pip", f"{requirements} has more than {MIB} bytes")
    if _INCLUDES.search(content.decode(errors="replace")):
        raise InvalidField("pip", f"{requirements} includes another file: name all packages in one (pip-compile does)")
    return content


def _install(requirements: Path, into: Path) -> None:
    """pip's own checks: each package pinned and hashed, what they need too, and nothing built."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    words = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile",
        "--require-hashes", "--only-binary", ":all:", *platforms, "--target", str(into), "--requirement", str(requirements),
    ]  # fmt: skip
    try:
        ran = subprocess.run(words, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)
    except subprocess.TimeoutExpired as exc:
        raise InvalidField("pip", f"pip did not end within {PIP_SECONDS} s") from exc
    if "No module named pip" in ran.stderr:
        raise ToolMissing("pip", f"install it for {sys.executable}: --pip has it fetch the wheels")
    if ran.returncode:
        raise InvalidField("pip", f"pip refuses {requirements}: {ran.stderr.strip()[-_SAID_LETTERS:]}")
    # Their first line names this machine's Python; `python -m` works without them.
    shutil.rmtree(into / "bin", ignore_errors=True)


def _keep(making: Path, place: Path) -> None:
    """Where somebody else has made the same folder meanwhile, theirs is as good."""
    try:
        making.rename(place)
    except OSError:
        if not place.exists():
            raise


def _forget_old(folder: Path) -> None:
    made = [place for place in folder.iterdir() if not place.name.startswith("making-")]
    for place in sorted(made, key=lambda place: place.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(place, ignore_errors=True)
