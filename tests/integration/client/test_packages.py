"""Packages that a job brings along: which requirements files are taken, and what a job's Python finds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Barrier
from zipfile import ZipFile

import pytest

from marketplace.client.packages import KEPT, PACKAGES, guard, packages_of, with_packages
from marketplace.client.request import JobRequest
from marketplace.domain.errors import InvalidField
from marketplace.domain.units import PricePerGpuHour, Seconds

REQUEST = JobRequest(command=("python",), gpus_of=("T4",), max_price=PricePerGpuHour(1), max_time=Seconds(60))


def wheel(folder: Path, name: str = "mini", needs: str = "") -> Path:
    """A wheel by hand: one module, which says what it is."""
    place = folder / f"{name}-1.0-py3-none-any.whl"
    told = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + (f"Requires-Dist: {needs}\n" if needs else "")
    with ZipFile(place, "w") as archive:
        archive.writestr(f"{name}.py", f"WORD = '{name} was brought along'\n")
        archive.writestr(f"{name}-1.0.dist-info/METADATA", told)
        archive.writestr(
            f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{name}-1.0.dist-info/RECORD", f"{name}.py,,\n")
    return place


def hashed(file: Path, name: str = "mini") -> str:
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


def written(folder: Path, text: str) -> Path:
    """A requirements file that finds its wheels in this folder, and nowhere else."""
    (folder / "requirements.txt").write_text(f"--no-index\n--find-links {folder}\n{text}")
    return folder / "requirements.txt"


def test_a_job_finds_what_it_brought_along(tmp_path: Path) -> None:
    """The packages are a folder of its inputs that comes before what its own PYTHONPATH says; made once, they are used again."""
    requirements = written(tmp_path, hashed(wheel(tmp_path)))
    wanted = replace(REQUEST, pip=requirements, env={"PYTHONPATH": "/mine"})
    made = with_packages(wanted, tmp_path / "made")
    (folder,) = made.files.values()
    (tmp_path / "mini-1.0-py3-none-any.whl").unlink()
    said = subprocess.run(
        [sys.executable, "-c", "import mini; print(mini.WORD)"],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )

    assert made.pip is None
    assert made.env == {"PYTHONPATH": f"/job/in/{PACKAGES}:/mine"}
    assert said.stdout == "mini was brought along\n"
    assert packages_of(requirements, tmp_path / "made") == folder
    assert with_packages(REQUEST, tmp_path / "made") is REQUEST


def test_two_may_make_the_same_folder_at_once(tmp_path: Path) -> None:
    """Whoever comes second uses what the first has made, and leaves nothing beside it."""
    requirements, made = written(tmp_path, hashed(wheel(tmp_path))), tmp_path / "made"
    together = Barrier(2, timeout=60)

    def meet() -> None:
        together.wait()

    with ThreadPoolExecutor() as both:
        found = both.map(lambda _: packages_of(requirements, made, lambda _: meet()), range(2))
        first, second = found

    assert first == second
    assert list(made.iterdir()) == [first]


REFUSED = {
    "without a hash": ("mini==1.0\n", "hash"),
    "another hash": (f"mini==1.0 --hash=sha256:{'0' * 64}\n", "DO NOT MATCH"),
    "not pinned": (f"mini --hash=sha256:{'0' * 64}\n", "=="),
    "another file": ("-r more.txt\n", "includes another file"),
    "a source": (f"source==1.0 --hash=sha256:{'0' * 64}\n", "No matching distribution"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, why: str, tmp_path: Path) -> None:
    """Packages without hashes, with other ones, not pinned, from files elsewhere, or to be built: each with pip's own reason, and nothing is left."""
    wheel(tmp_path)
    with tarfile.open(tmp_path / "source-1.0.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("source-1.0/setup.py")
        member.size = 1
        tar.addfile(member, BytesIO(b"\n"))
    with pytest.raises(InvalidField, match=why):
        packages_of(written(tmp_path, text), tmp_path / "made")

    assert not list((tmp_path / "made").glob("*"))


def test_what_a_package_needs_must_be_named(tmp_path: Path) -> None:
    """A requirements file that leaves out what its packages need is refused here, and not found out by a job that is paid for."""
    file = wheel(tmp_path, needs="other>=1")
    with pytest.raises(InvalidField, match="other"):
        packages_of(written(tmp_path, hashed(file)), tmp_path / "made")


def test_compiled_packages_say_which_python_they_are_for(tmp_path: Path) -> None:
    """A Python of another version ends with a sentence; packages that run on any have no such guard."""
    guard(tmp_path, (3, 99))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "fast.cpython-399-x86_64-linux-gnu.so").touch()
    guard(tmp_path, (3, 99))
    ran = subprocess.run(
        [sys.executable, "-c", "pass"], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )

    assert (ran.returncode, "are for Python 3.99, and this one is 3." in ran.stderr) == (1, True)


def test_folders_of_packages_do_not_pile_up(tmp_path: Path) -> None:
    """Those that were used last are kept."""
    made = []
    file = wheel(tmp_path)
    for number in range(KEPT + 1):
        made.append(packages_of(written(tmp_path, hashed(file) + "#\n" * number), tmp_path / "made"))
        os.utime(made[-1], (number, number))

    assert [place.exists() for place in made] == [False] + [True] * KEPT
