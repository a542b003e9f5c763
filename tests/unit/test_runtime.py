"""The job runtime: made once for a lock and an interpreter, complete or not at all, with nothing of this machine in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace.domain.errors import ToolMissing
from marketplace.provider.runtime import Runtime, load_runtime, make_runtime


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """A runtime without packages, made under a umask that would keep others out: no index is asked for anything."""
    place = tmp_path_factory.mktemp("runtime")
    (place / "lock.txt").write_text("# nothing\n")
    before = os.umask(0o077)
    try:
        return make_runtime(place / ".runtime", place / "lock.txt")
    finally:
        os.umask(before)


def test_a_missing_runtime_is_said_plainly(tmp_path: Path) -> None:
    """Whoever needs the runtime before set-up is told the one word that makes it."""
    with pytest.raises(ToolMissing, match="job runtime is missing: run `make setup`"):
        load_runtime(tmp_path)


def test_making_it_again_changes_nothing(made: Runtime) -> None:
    """The second time finds what the first time made; another lock makes another runtime and leaves the first."""
    place = made.folder.parent.parent
    before = made.folder.stat()
    again = make_runtime(place / ".runtime", place / "lock.txt")

    assert again == made == load_runtime(place / ".runtime")
    assert again.folder.stat() == before
    assert sorted(path.name for path in made.folder.parent.iterdir()) == sorted([made.folder.name, "current"])


def test_the_interpreter_brings_nothing_installed(made: Runtime) -> None:
    """The standard library is there, compiled for where jobs see it; what was installed beside it is not."""
    library = made.python / sys.platlibdir / f"python{made.version}"

    assert list((library / "json").glob("__pycache__/decoder.*.pyc"))
    assert not {"site-packages", "dist-packages", "test", "idlelib"} & {path.name for path in library.iterdir()}
    assert b"/opt/python/" in next((library / "json" / "__pycache__").glob("decoder.*.pyc")).read_bytes()
    assert str(made.folder).encode() not in next((library / "json" / "__pycache__").glob("decoder.*.pyc")).read_bytes()


def test_the_interpreter_works_where_it_was_put(made: Runtime) -> None:
    """The copy runs on its own libraries and finds its own standard library, extension modules included."""
    script = "import sys, ssl, sqlite3, ctypes, zlib; print(sys.prefix, *sys.path)"
    environment = {"LD_LIBRARY_PATH": str(made.python / "lib")} if made.has_libraries else {}
    words = [str(made.python / "bin" / "python"), "-I", "-c", script]
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)

    assert all(path.startswith(str(made.python)) for path in ran.stdout.split())


def test_everybody_can_read_it(made: Runtime) -> None:
    """The sandbox's user, who is nobody, can read all of it, whatever the umask of who ran set-up."""
    paths = [path for path in made.folder.rglob("*") if not path.is_symlink()]

    assert len(paths) > 500
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in [made.folder, *paths])
    assert all(path.stat().st_mode & 0o011 == 0o011 for path in paths if path.is_dir())


def test_a_runtime_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A lock that cannot be installed is an error with the reason, and half a runtime is never found later."""
    (tmp_path / "lock.txt").write_text("no valid requirement at all\n")
    with pytest.raises(ToolMissing, match=r"(?s)job runtime.*pip.*no valid requirement"):
        make_runtime(tmp_path / ".runtime", tmp_path / "lock.txt")

    assert list((tmp_path / ".runtime").iterdir()) == []
