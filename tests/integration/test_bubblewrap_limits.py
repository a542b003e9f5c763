"""Limits of the real sandbox: each way to use too much ends with its reason, and nothing of the job is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from marketplace.provider.executors.base import EndReason, Limits
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import Cgroup, CgroupParent, find_cgroups
from tests.integration.bubblewrap_bombs import BOMBS, DAEMON, ONE_FILE, STUBBORN, python, survived
from tests.integration.bubblewrap_jobs import PATIENCE_SECONDS, await_log, executor_at, left_of, prepared, run


@pytest.fixture(params=["cgroups", "watch"])
def cgroups(request: pytest.FixtureRequest) -> CgroupParent | None:
    """Every limit is tried with the kernel's groups, where this user may make some, and with watching alone."""
    if request.param == "watch":
        return None
    found = find_cgroups()
    if found is None or not {"memory", "pids"} <= found.folders.keys():
        pytest.skip("this user may not make cgroups here")
    return found


@pytest.fixture
def executor(cgroups: CgroupParent | None, tmp_path: Path) -> BubblewrapExecutor:
    return executor_at(tmp_path / "agent", cgroups)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_with_its_reason(
    name: str, executor: BubblewrapExecutor, cgroups: CgroupParent | None, tmp_path: Path
) -> None:
    """A job that wants too much is ended, the record says why and what was seen, and nothing of it is left."""
    assert survived(BOMBS[name], executor, cgroups, tmp_path) is None


def test_a_single_file_stops_at_the_disk_limit(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """However fast one file grows, it never gets more than one MiB past the limit."""
    ran = run(executor, prepared(tmp_path, *python(ONE_FILE), disk_mib=40, memory_mib=64))

    assert ran.result.ended is EndReason.DISK_LIMIT, ran.log
    assert (ran.request.inputs / "f").stat().st_size <= 41 << 20


def test_a_fork_bomb_runs_out_of_processes(
    executor: BubblewrapExecutor, cgroups: CgroupParent | None, tmp_path: Path
) -> None:
    """Forking is refused near the limit, the job's own end is reported, and no child survives it."""
    body = """
import os, time
count = 1
try:
    while True:
        if os.fork() == 0:
            time.sleep(600)
        count += 1
except BlockingIOError:
    print(count)
"""
    ran = run(executor, prepared(tmp_path, *python(body), processes=40))

    assert ran.result.ended is EndReason.EXITED
    if os.geteuid() == 0:
        assert 36 <= int(ran.log) <= 40
    else:  # without groups, the other threads of the agent's own user are counted with the job's
        assert int(ran.log) <= 300
    assert left_of(ran.request, cgroups) == []


def test_a_daemonised_grandchild_does_not_survive(
    executor: BubblewrapExecutor, cgroups: CgroupParent | None, tmp_path: Path
) -> None:
    """A process that forked twice, left the session, closed its files and ignores signals ends with the job."""
    ran = run(executor, prepared(tmp_path, *python(DAEMON)))

    assert (ran.result.ended, ran.result.exit_code) == (EndReason.EXITED, 0), ran.log
    assert left_of(ran.request, cgroups) == []


def test_time_up_is_told_before_it_is_enforced(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """A job that obeys SIGTERM may write its last checkpoint; the reason is the time limit all the same."""
    script = "trap 'echo saved > /job/out/checkpoint; exit 9' TERM; while :; do sleep 0.1; done"
    ran = run(executor, prepared(tmp_path, "sh", "-c", script, wall_seconds=1))

    assert (ran.result.ended, ran.result.exit_code) == (EndReason.TIME_LIMIT, 9), ran.log
    assert (ran.request.outputs / "checkpoint").read_text() == "saved\n"


def test_kill_ends_a_job_that_will_not_go(
    executor: BubblewrapExecutor, cgroups: CgroupParent | None, tmp_path: Path
) -> None:
    """kill() needs no cooperation, may be called again and too early, and is the reason in the record."""
    request = prepared(tmp_path, *STUBBORN)
    execution = executor.start(request)
    execution.kill()
    execution.kill()
    result = execution.wait(PATIENCE_SECONDS)
    execution.kill()

    assert result is not None
    assert (result.ended, result.exit_code) == (EndReason.KILLED, 137)
    assert execution.poll() == result
    assert left_of(request, cgroups) == []


def test_kill_lets_a_job_save_what_it_has(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """SIGTERM comes before SIGKILL at the agent's word, too: what the job writes then is there, and its exit code counts."""
    script = "trap 'echo saved > /job/out/checkpoint; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    request = prepared(tmp_path, "sh", "-c", script, grace_seconds=60)
    execution = executor.start(request)
    await_log(request, execution)
    execution.kill()
    result = execution.wait(PATIENCE_SECONDS)

    assert result is not None
    assert (result.ended, result.exit_code) == (EndReason.KILLED, 0)
    assert (request.outputs / "checkpoint").read_text() == "saved\n"


def test_the_record_says_what_was_enforced(
    executor: BubblewrapExecutor, cgroups: CgroupParent | None, tmp_path: Path
) -> None:
    """The result names the means behind each limit: the kernel's groups only where there were any."""
    ran = run(executor, prepared(tmp_path, "true"))
    means = dict(line.split(":") for line in ran.result.enforcement)

    assert means.keys() == {"cpu", "disk", "log", "memory", "network", "processes", "system-calls", "time"}
    assert means["memory"].startswith("cgroup-v" if cgroups else "watch")
    assert means["processes"].startswith("cgroup-v" if cgroups else "rlimit")


def test_what_a_job_uses_is_told_while_it_runs(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """Its processors' time, also that of what has ended in there, and the memory that it holds; nothing once it is over."""
    body = """
import subprocess, sys, time
subprocess.run([sys.executable, '-c', 'import time\\nwhile time.process_time() < 0.5: pass'], check=True)
held = bytearray(100 << 20)
print('holding', flush=True)
time.sleep(600)
"""
    request = prepared(tmp_path, *python(body), memory_mib=256)
    execution = executor.start(request)
    await_log(request, execution)
    used = execution.used()
    execution.kill()
    execution.wait(PATIENCE_SECONDS)

    assert used is not None
    assert 500 <= used.cpu_milliseconds < 60_000
    assert 100 <= used.memory_mib <= 256
    assert execution.used() is None


def test_reap_ends_what_an_agent_left(
    executor: BubblewrapExecutor, cgroups: CgroupParent | None, tmp_path: Path
) -> None:
    """Another agent's life finds the sandbox by the lease alone, ends it and removes its groups; twice is harmless."""
    request = prepared(tmp_path, *STUBBORN)
    execution = executor.start(request)
    await_log(request, execution)
    executor.reap("another-lease", execution.pid)

    assert execution.poll() is None
    executor.reap(request.lease)
    assert left_of(request, None) == []
    assert execution.wait(PATIENCE_SECONDS) is not None
    executor.reap(request.lease, os.getpid())  # a pid that is somebody else's by now, namely ours
    assert left_of(request, cgroups) == []


def test_reap_empties_a_group_that_was_left(tmp_path: Path) -> None:
    """A group with processes in it, of an agent that died in the middle of starting a job, is emptied and removed."""
    cgroups = find_cgroups()
    if cgroups is None:
        pytest.skip("this user may make no control groups")
    request = prepared(tmp_path, "true")
    cgroup = cgroups.make(request.lease, request.limits)
    child = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
    for entrance in cgroup.entrances:
        Path(entrance).write_text(str(child))
    executor_at(tmp_path, cgroups).reap(request.lease)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert left_of(request, cgroups) == []


def test_several_jobs_at_once_do_not_meet(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """Jobs that run side by side see their own files and processes only."""
    body = """
import os
open('/job/out/mine', 'x')
print(sum(name.isdigit() for name in os.listdir('/proc')), os.listdir('/job/out'))
"""
    executions = [executor.start(prepared(tmp_path, *python(body))) for _ in range(4)]
    results = [execution.wait(PATIENCE_SECONDS) for execution in executions]

    assert [result.exit_code for result in results if result] == [0, 0, 0, 0]
    assert {file.read_text() for file in tmp_path.glob("lease-*/log")} == {"2 ['mine']\n"}


SETTINGS = {
    1: {
        "pids.max": "18",
        "memory.limit_in_bytes": str(64 << 20),
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "300000",
    },
    2: {"pids.max": "18", "memory.max": str(64 << 20), "cpu.max": "300000 100000"},
}


@pytest.mark.parametrize("version", SETTINGS)
def test_both_versions_of_groups_get_the_same_limits(version: int, tmp_path: Path) -> None:
    """Memory in bytes, the job's processes and bubblewrap's two, CPUs as a share of a period: each version's own files."""
    limits = Limits(cpus=3, memory_mib=64, disk_mib=1, processes=16, wall_seconds=1, log_bytes=1)
    Cgroup(version, dict.fromkeys(("memory", "pids", "cpu"), tmp_path)).apply(limits)

    assert {file.name: file.read_text().strip() for file in tmp_path.iterdir()} == SETTINGS[version]
