"""The job runtime: the Python that jobs with ``"image": "host"`` see, and the only one.

Set-up makes it from a hashed lock: a copy of the base interpreter with its standard library and nothing that was ever
installed beside it, and a virtual environment with the locked packages. Sandboxes mount both read-only at fixed paths,
so a job finds the same on every provider; the host's own site-packages are not hidden from it, they are not there.

A copy, because an interpreter below somebody's home cannot be mounted without its neighbours, and because the sandbox's
user may not be allowed to walk to it. Byte code is compiled here: a read-only mount cannot keep what jobs compile.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from marketplace.domain.errors import ToolMissing

PYTHON_AT: Final = "/opt/python"
"""Where a sandbox mounts ``Runtime.python``."""
ENVIRONMENT_AT: Final = "/opt/runtime"
"""Where a sandbox mounts ``Runtime.environment``; its ``bin`` comes first on a job's PATH."""
SYSTEM_LIBRARIES: Final = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/")
"""Libraries from here are seen by every sandbox; all others that the interpreter needs are copied beside it."""

_LAYOUT: Final = "2"
"""Change it when the layout below changes, so that older runtimes are built anew."""
_CURRENT: Final = "current"
_RECORD: Final = "runtime.json"
_LEFT_OUT: Final = (
    "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3",
    "__pycache__", "config-*", "*.a", "_tkinter*", "sitecustomize.py", "EXTERNALLY-MANAGED",
)  # fmt: skip
"""Of the standard library: what was installed into it, what draws windows, what tests or builds Python itself."""
_ETC: Final = {
    "passwd": "job:x:65534:65534:job:/tmp:/bin/sh\n",
    "group": "job:x:65534:\n",
    "hosts": "127.0.0.1 localhost job\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
"""The whole of a sandbox's /etc. There is no resolv.conf and no certificate: there is no network either; but a job that
looks up its own name, as many frameworks do when they start, finds itself."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime on disk. ``version`` is Python's (3.11); ``has_libraries``: its loader must search python/lib."""

    folder: Path
    version: str
    has_libraries: bool

    @property
    def python(self) -> Path:
        """The interpreter and its standard library, to be mounted at PYTHON_AT."""
        return self.folder / "python"

    @property
    def environment(self) -> Path:
        """The virtual environment with the locked packages, to be mounted at ENVIRONMENT_AT."""
        return self.folder / "environment"

    @property
    def etc(self) -> Path:
        """The few files of /etc that a job sees."""
        return self.folder / "etc"


def load_runtime(path: Path) -> Runtime:
    """Find the runtime that set-up made in ``path`` (the repository's ``.runtime``), or say how to make it."""
    folder = (path / _CURRENT).resolve()
    try:
        record = json.loads((folder / _RECORD).read_bytes())
        return Runtime(folder, record["version"], record["has_libraries"])
    except (OSError, ValueError, KeyError) as exc:
        raise ToolMissing("job runtime", "run `make setup`") from exc


def make_runtime(path: Path, lock: Path) -> Runtime:
    """Make the runtime for this interpreter and this lock below ``path``, unless it is there; then return it.

    It is built aside and renamed when complete, so nobody ever sees half of one. Runtimes of older locks stay until
    ``make clean``: a job that is running may have them mounted.
    """
    folder = path / _digest(lock)
    if not folder.exists():
        path.mkdir(parents=True, exist_ok=True)
        building = Path(mkdtemp(prefix="building-", dir=path))
        try:
            _build(building, lock)
            _rename(building, folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    _point(path / _CURRENT, folder.name)
    return load_runtime(path)


def _digest(lock: Path) -> str:
    parts = (_LAYOUT, sys.version, sys.base_prefix, lock.read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _rename(building: Path, folder: Path) -> None:
    try:
        building.rename(folder)
    except OSError:
        # Somebody else finished the same runtime first: theirs is as good as ours.
        if not (folder / _RECORD).exists():
            raise


def _point(link: Path, name: str) -> None:
    """Make the link lead to ``name`` in one step, so that it always leads somewhere."""
    if link.is_symlink() and os.readlink(link) == name:
        return
    fresh = link.with_name(f"{link.name}.{os.getpid()}")
    fresh.symlink_to(name)
    fresh.replace(link)


def _build(folder: Path, lock: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    has_libraries = _copy_interpreter(folder / "python", version)
    _make_environment(folder / "environment", version, lock)
    _make_etc(folder / "etc")
    _compile(folder / "python", PYTHON_AT)
    _compile(folder / "environment", ENVIRONMENT_AT)
    (folder / _RECORD).write_text(json.dumps({"version": version, "has_libraries": has_libraries}) + "\n")
    _open_to_all(folder)


def _copy_interpreter(python: Path, version: str) -> bool:
    """Copy the base interpreter, its standard library and libraries no system folder has; True if there are any."""
    (python / "bin").mkdir(parents=True)
    interpreter = python / "bin" / f"python{version}"
    shutil.copy2(Path(sys.executable).resolve(), interpreter)
    for name in ("python", "python3"):
        (python / "bin" / name).symlink_to(interpreter.name)
    library = Path(sys.platlibdir) / f"python{version}"
    shutil.copytree(Path(sys.base_prefix) / library, python / library, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    needed = _libraries([interpreter, *(python / library / "lib-dynload").glob("*.so")])
    (python / "lib").mkdir(exist_ok=True)
    for path in needed:
        shutil.copy2(path, python / "lib" / path.name)
    return bool(needed)


def _libraries(binaries: Sequence[Path]) -> list[Path]:
    """Ask the loader which libraries outside the system's folders the binaries would be given here."""
    listed = _run(["ldd", *map(str, binaries)])
    paths = set(re.findall(r"=> (/\S+) \(0x", listed))
    return [Path(path) for path in sorted(paths) if not path.startswith(SYSTEM_LIBRARIES)]


def _make_environment(environment: Path, version: str, lock: Path) -> None:
    """Lay out a virtual environment whose home is where the sandbox will have the interpreter, not where it is here."""
    (environment / "bin").mkdir(parents=True)
    for name in ("python", "python3", f"python{version}"):
        (environment / "bin" / name).symlink_to(f"{PYTHON_AT}/bin/python{version}")
    settings = f"home = {PYTHON_AT}/bin\ninclude-system-site-packages = false\nversion = {version}\n"
    (environment / "pyvenv.cfg").write_text(settings)
    packages = environment / "lib" / f"python{version}" / "site-packages"
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--no-deps"]
    trusted = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(lock), "--target", str(packages)]
    _run([sys.executable, "-m", "pip", *install, *trusted])
    # Their first line names this machine's interpreter; `python -m` works without them.
    shutil.rmtree(packages / "bin", ignore_errors=True)


def _make_etc(etc: Path) -> None:
    etc.mkdir()
    for name, content in _ETC.items():
        (etc / name).write_text(content)
    (etc / "alternatives").mkdir()  # where Debian's links from /usr/bin lead through; the sandbox mounts the host's


def _compile(folder: Path, at: str) -> None:
    """Compile all modules as if they lay where jobs see them: tracebacks then show no path of this machine.

    Unchecked: the source cannot change below a read-only mount. Packages' own tests are left as they are.
    """
    moved = ["-s", str(folder), "-p", at, "--invalidation-mode", "unchecked-hash", "-x", "/tests?/"]
    _run([sys.executable, "-m", "compileall", "-qq", "-j", "0", *moved, str(folder)], may_fail=True)


def _open_to_all(folder: Path) -> None:
    """Let every user read, whatever the umask was: the sandbox's user is not ours when set-up ran as root."""
    for here, _, files in os.walk(folder):
        os.chmod(here, 0o755)
        for path in (Path(here) / file for file in files):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _run(command: Sequence[str], *, may_fail: bool = False) -> str:
    """Run a tool of set-up; ``may_fail`` where an exit code is no verdict (a stray module that does not compile)."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as exc:
        raise ToolMissing(command[0], "the job runtime cannot be made without it") from exc
    if ran.returncode and not may_fail:
        raise ToolMissing("job runtime", f"`{' '.join(command[:4])} …` failed: {ran.stderr.strip()[-2000:]}")
    return ran.stdout
