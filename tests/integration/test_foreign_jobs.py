"""Jobs that nobody here wrote: a single static program as an image, and other people's packages with their own tests, sent along as wheels."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

from marketplace.client.packages import PACKAGES, with_packages
from marketplace.client.request import JobRequest
from marketplace.domain.units import PricePerGpuHour, Seconds
from marketplace.provider.executors.base import EndReason
from marketplace.provider.executors.cgroups import find_cgroups
from tests.integration.bubblewrap_jobs import executor_at, prepared, run
from tests.integration.image_escapes import rooted
from tests.unit.provider.image_layers import item, layer

STATIC = Path("/sbin/ldconfig")
"""Linked statically wherever there is a C library."""
BLAS = (
    "import time, numpy as np; a = np.random.default_rng(1).random((1024, 1024)); began = time.perf_counter(); b = a @ a; "
    "print(round(2 * 1024**3 / (time.perf_counter() - began) / 1e9, 1), 'GFLOP/s', np.allclose(b[0], [a[0] @ a[:, n] for n in range(1024)]), np.__file__)"
)
SUITE = 'python3 -c "$BLAS" && cd /tmp && exec python3 -m unittest -q regex.tests.test_regex'


def wheel_of(name: str, folder: Path) -> str:
    """Pack an installed package into a wheel again, in that folder; the line of a requirements file that names it."""
    found = distribution(name)
    place = folder / f"{name}-{found.version}-cp311-cp311-manylinux_2_17_x86_64.whl"
    with ZipFile(place, "w", ZIP_STORED) as archive:
        for file in found.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                archive.write(str(file.locate()), str(file))
    return f"{name}=={found.version} --hash=sha256:{hashlib.sha256(place.read_bytes()).hexdigest()}\n"


def test_a_static_program_and_nothing_else(tmp_path: Path) -> None:
    """An image may be one program without a shell, a library or an account: it runs, and has its exit code."""
    alone = rooted(tmp_path / "image", layer(item("program", content=STATIC.resolve().read_bytes(), mode=0o755)))
    executor = executor_at(tmp_path, find_cgroups())
    said = [
        run(executor, replace(prepared(tmp_path, *words), image=alone))
        for words in (("/program", "--version"), ("/program", "--no-such-option"), ("sh", "-c", "true"))
    ]

    assert [ran.result.ended for ran in said] == [EndReason.EXITED] * 3
    assert said[0].log.startswith("ldconfig ("), said[0].log
    assert [ran.result.exit_code for ran in said] == [0, 64, 127]


def test_packages_from_elsewhere_with_their_own_tests(tmp_path: Path) -> None:
    """Wheels that were sent along come before the job runtime's: they multiply matrices by their own BLAS, and pass their own test suite."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    lines = [wheel_of(name, wheels) for name in ("numpy", "regex")]
    (wheels / "requirements.txt").write_text(f"--no-index\n--find-links {wheels}\n{''.join(lines)}")
    wanted = JobRequest(
        command=("sh", "-c", SUITE),
        gpus_of=("T4",),
        max_price=PricePerGpuHour(1),
        max_time=Seconds(60),
        env={"BLAS": BLAS},
        pip=wheels / "requirements.txt",
    )
    sent = with_packages(wanted, tmp_path / "packages")
    request = prepared(tmp_path, *sent.command, env=sent.env, disk_mib=512)
    shutil.copytree(sent.files[PACKAGES], request.inputs / PACKAGES)
    ran = run(executor_at(tmp_path, find_cgroups()), request)

    assert ran.result.exit_code == 0, ran.log[-2000:]
    assert f"GFLOP/s True /job/in/{PACKAGES}/numpy/" in ran.log
    assert "OK" in ran.log.splitlines()[-1]
