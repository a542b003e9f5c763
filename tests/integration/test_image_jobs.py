"""Jobs whose root is a container image, in the real sandbox: what they may do to it, and that it opens no way out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from examples.host_image import layer_of
from marketplace.domain.keeping import SessionTerms
from marketplace.provider.executors.base import EndReason, ExecutionRequest, JobImage
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.executors.entrance import Program
from tests.integration.bubblewrap_escapes import ATTEMPTS, canaries
from tests.integration.bubblewrap_jobs import ROOT, Ran, await_log, executor_at, left_of, prepared, run
from tests.integration.bubblewrap_ordinary import ORDINARY_USER
from tests.integration.image_escapes import ImageExecutor, foreign, report_of, rooted, tried_beside, with_tools
from tests.integration.test_enter import output


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> BubblewrapExecutor:
    return executor_at(tmp_path_factory.mktemp("agent"), find_cgroups())


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> JobImage:
    return with_tools(tmp_path_factory.mktemp("tools"))


def in_image(request: ExecutionRequest, used: JobImage) -> ExecutionRequest:
    return replace(request, image=used)


def ran_in(executor: BubblewrapExecutor, place: Path, used: JobImage, *command: str, **limits: int) -> Ran:
    return run(executor, in_image(prepared(place, *command, **limits), used))


def test_an_image_without_a_shell_starts(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """A root with one program in it is enough: the gate brings its own shell, and its environment is the image's and the spec's."""
    bare = rooted(tmp_path / "bare", layer_of(["env"]))
    assert not (bare.root / "bin/sh").exists()
    request = replace(prepared(tmp_path, "env"), env={"HIDDEN": "2", "LD_PRELOAD": ""})
    ran = run(executor, in_image(request, bare))
    seen = dict(line.partition("=")[::2] for line in ran.log.splitlines())

    assert (ran.result.ended, ran.result.exit_code) == (EndReason.EXITED, 0), ran.log
    assert seen.items() >= {"FROM_IMAGE": "1", "HIDDEN": "2", "HOME": "/root", "LD_PRELOAD": ""}.items()
    assert left_of(request, find_cgroups()) == []


def test_a_program_that_the_image_lacks_is_an_honest_failure(
    executor: BubblewrapExecutor, tools: JobImage, tmp_path: Path
) -> None:
    """Programs are looked for in the image, never on the machine."""
    assert Path("/usr/bin/env").exists()
    assert ran_in(executor, tmp_path, tools, "env").result.exit_code == 127


def test_a_job_changes_its_own_copy(executor: BubblewrapExecutor, tools: JobImage, tmp_path: Path) -> None:
    """All of the root is the job's to write, as the user that the image names; what it changes is gone with its lease."""
    script = "id -u; pwd; cat own; rm own; mkdir /new; echo 1 > /usr/new; echo 2 > /etc/hosts; cat /etc/passwd >> /srv/x; cat /usr/new"
    ran = ran_in(executor, tmp_path, tools, "sh", "-c", script)

    assert ran.log.splitlines()[:3] == ["4711", "/srv", "the image's"]
    assert ran.log.splitlines()[-1] == "1"
    assert sorted(path.name for path in (tools.root / "srv").iterdir()) == ["own"]
    assert not (tools.root / "new").exists()
    assert (ran.request.changes / "upper" / "new").is_dir()
    assert "127.0.0.1" in ran_in(executor, tmp_path, tools, "cat", "/etc/hosts").log


def test_a_job_with_inputs_begins_with_them(executor: BubblewrapExecutor, tools: JobImage, tmp_path: Path) -> None:
    """Files that are sent along are in the working folder, whatever the image says."""
    request = prepared(tmp_path, "cat", "sent", files={"sent": "sent along\n"})

    assert run(executor, in_image(request, tools)).log == "sent along\n"


FILLED = {
    "named files": "open('/srv/large', 'wb').write(bytes(200 << 20)); import time; time.sleep(60)",
    "a file without a name": "import os, time; f = open('/srv/x', 'wb'); os.unlink('/srv/x'); f.write(bytes(200 << 20)); time.sleep(60)",
}


@pytest.mark.parametrize("script", FILLED.values(), ids=FILLED)
def test_what_a_job_changes_is_its_disk(
    script: str, executor: BubblewrapExecutor, tools: JobImage, tmp_path: Path
) -> None:
    """Whatever it writes anywhere in its root counts against the order's disk."""
    ran = ran_in(executor, tmp_path, tools, "python3", "-c", script, disk_mib=64)

    assert ran.result.ended in (EndReason.DISK_LIMIT, EndReason.EXITED), ran.log
    assert ran.result.ended is EndReason.DISK_LIMIT or "File too large" in ran.log


def test_an_image_opens_no_way_out(executor: BubblewrapExecutor, tools: JobImage, tmp_path: Path) -> None:
    """All attempts to get out of the sandbox fail from an image as they do from the job runtime."""
    with canaries(tmp_path) as facts:
        files = {"attempts.py": ATTEMPTS.read_text(), "facts.json": json.dumps(facts)}
        request = in_image(prepared(tmp_path, "python3", "attempts.py", files=files), tools)
        ran = run(executor, request)

    assert {name: how for name, how in foreign(report_of(request)).items() if how} == {}, ran.log
    assert not Path("/planted").exists()
    assert str(sys.prefix) not in ran.log


def test_a_session_in_an_image_opens_no_way_out(tools: JobImage, tmp_path: Path) -> None:
    """Nor do they work for what has entered a session that runs in an image."""
    found = foreign(tried_beside(ImageExecutor(tmp_path, find_cgroups(), tools), tmp_path))

    assert {name: how for name, how in found.items() if how} == {}


def test_secrets_are_in_memory_over_an_image_too(executor: BubblewrapExecutor, tools: JobImage, tmp_path: Path) -> None:
    """They are the image's user's, and lie neither in the image nor in what its job has changed of it."""
    request = replace(prepared(tmp_path, "sh", "-c", "cat /job/secrets/TOKEN"), secrets={"TOKEN": b"hush-value"})
    ran = run(executor, in_image(request, tools))

    assert (ran.result.exit_code, ran.log) == (0, "hush-value")
    files = [
        path
        for place in (tmp_path, tools.root)
        for path in place.rglob("*")
        if path.is_file() and path != ran.request.log
    ]
    assert [path for path in files if b"hush-value" in path.read_bytes()] == []


def test_a_session_needs_nothing_of_its_image(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """The gate alone keeps it, in an image without a shell; left, it ends well."""
    bare = rooted(tmp_path / "bare", layer_of(["env"]))
    request = replace(prepared(tmp_path, "env"), command=(), session=SessionTerms(1))
    ran = run(executor, in_image(request, bare))

    assert (ran.result.ended, ran.result.exit_code, ran.log) == (EndReason.EXITED, 0, "")


def test_a_session_is_in_the_image(executor: BubblewrapExecutor, tools: JobImage, tmp_path: Path) -> None:
    """What enters a job with an image is its user, in its root, and has as little."""
    request = in_image(
        prepared(tmp_path, "python3", "-c", "import time; print('waiting', flush=True); time.sleep(60)"), tools
    )
    execution = executor.start(request)
    try:
        await_log(request, execution)
        line = "id -u; cat /srv/own; echo 1 > /srv/from-a-session; while read -r l; do case $l in Cap*) echo $l; esac; done < /proc/self/status"
        text, error, code = output(execution.entrance().run(Program(("sh", "-c", line))))
    finally:
        executor.reap(request.lease)
        execution.leave()

    assert (code, error) == (0, ""), text + error
    assert text.splitlines()[:2] == ["4711", "the image's"]
    assert [word.split()[1].strip("0") for word in text.splitlines()[2:]] == [""] * 5
    assert (request.changes / "upper/srv/from-a-session").exists()


ORDINARY = """
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from tests.integration.bubblewrap_ordinary import become_ordinary
from tests.integration.bubblewrap_jobs import ROOT
become_ordinary([Path(sys.base_prefix), ROOT])
from marketplace.provider.executors.removal import remove
from tests.integration.image_escapes import layer, item, layer_of, rooted
from tests.integration.test_image_jobs import ran_in
from tests.integration.bubblewrap_jobs import executor_at
place = Path(sys.argv[1])
used = rooted(place / "image", layer_of(["sh", "id", "rm", "mkdir", "cat"]), layer(item("srv/own", content=b"1")))
script = "id -u; rm -r /srv; mkdir /srv; echo 2 > /srv/own; cat /srv/own"
ran = ran_in(executor_at(place, None), place, used, "sh", "-c", script)
said = ran.log.split()
assert remove(ran.request.folder)
print(said, ran.result.exit_code, (used.root / "srv/own").read_text())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="this run is by an ordinary user already")
def test_an_agent_without_root_runs_images() -> None:
    """Unpacking, the overlay root and its removal need no right on the machine."""
    with TemporaryDirectory() as place:
        os.chown(place, ORDINARY_USER, ORDINARY_USER)
        words = [sys.executable, "-B", "-c", ORDINARY, place]
        ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert ran.stdout == "['0', '2'] 0 1\n", ran.stderr[-2000:]
