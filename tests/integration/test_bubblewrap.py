"""The real sandbox: what jobs can do, and everything of the host that they try to reach and cannot.

One job tries every way out and writes down what came of each; a test asks about each. Where that does no harm, the same
attempts are made outside, too, and succeed: so a failure inside is the sandbox's doing, not a slip in the attempt.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.bundles import Bundle, bundle_outputs
from marketplace.provider.executors.base import EndReason, open_files_for, processes_for
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from tests.integration.bubblewrap_bombs import BOMBS
from tests.integration.bubblewrap_escapes import ATTEMPTS, ESCAPES, attempted, by_options, canaries, names
from tests.integration.bubblewrap_jobs import ROOT, executor_at, prepared, run

CANARY = f"canary-{uuid4().hex}"

TRAINING = """
import json
from joblib import Parallel, delayed
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

if __name__ == "__main__":
    x, seen, y, wanted = train_test_split(*load_digits(return_X_y=True), random_state=0)
    # BLAS and OpenMP; then threads; then processes, with shared memory and semaphores
    models = [KNeighborsClassifier(3), RandomForestClassifier(60, n_jobs=2, random_state=0)]
    scores = [model.fit(x, y).score(seen, wanted) for model in models]
    assert Parallel(n_jobs=2)(delayed(pow)(n, 2) for n in range(4)) == [0, 1, 4, 9]
    json.dump({"accuracy": min(scores)}, open("/job/out/scores.json", "w"))
    print("trained")
"""


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> BubblewrapExecutor:
    return executor_at(tmp_path_factory.mktemp("agent"), find_cgroups())


def test_the_sandbox_works_here(executor: BubblewrapExecutor) -> None:
    """The preflight, which an agent runs before it offers anything, passes."""
    executor.preflight()


def test_a_training_runs_and_delivers(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """scikit-learn with OpenMP and joblib's processes trains on digits below the system-call filter."""
    request = prepared(tmp_path, "python", "train.py", files={"train.py": TRAINING}, memory_mib=2048)
    ran = run(executor, request)

    assert (ran.result.ended, ran.result.exit_code) == (EndReason.EXITED, 0), ran.log
    assert "trained" in ran.log
    assert json.loads((request.outputs / "scores.json").read_text())["accuracy"] > 0.95
    assert bundled(request.outputs).entries


ENDS = {
    "exit 0": 0,
    "exit 3": 3,
    "exit 125": 125,
    "exit 137": 137,
    "exit 255": 255,
    "kill -TERM $$": 143,
    "kill -KILL $$": 137,
    "kill -ABRT $$": 134,
    "no-such-program": 127,
}


@pytest.mark.parametrize(("script", "code"), ENDS.items(), ids=ENDS)
def test_exit_codes_come_through(script: str, code: int, executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """The job's own exit code, or 128 and the signal it died of, is the result's."""
    ran = run(executor, prepared(tmp_path, "sh", "-c", script))

    assert (ran.result.ended, ran.result.exit_code) == (EndReason.EXITED, code)


def test_a_program_that_is_not_there_is_an_honest_failure(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """A command that cannot be started fails, and the log says so; words that look like options stay the job's."""
    for word in ("no-such-program", "--share-net"):
        ran = run(executor, prepared(tmp_path, word, "/", "/job/out"))

        assert ran.result.exit_code in (2, 127)
        assert word.strip("-")[:2] in ran.log


def test_the_log_is_both_streams_in_order(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """stdout and stderr arrive as they were written, through reopened /dev/stdout as well, and stdin is empty."""
    ran = run(executor, prepared(tmp_path, "sh", "-c", "echo 1; echo 2 >&2; echo 3 > /dev/stdout; cat; echo 4"))

    assert ran.log == "1\n2\n3\n4\n"


def test_the_environment_is_the_spec_and_a_few_more(
    executor: BubblewrapExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job finds what its spec says, thread counts that fit its CPUs, and nothing from the agent."""
    monkeypatch.setenv("SECRET", CANARY)
    ran = run(executor, prepared(tmp_path, "env", env={"OMP_NUM_THREADS": "1", "MODE": "a b\n=c", "LD_PRELOAD": ""}))
    names = {line.split("=")[0] for line in ran.log.splitlines()}

    assert CANARY not in ran.log
    assert "MODE=a b\n=c\n" in ran.log
    assert "OMP_NUM_THREADS=1\n" in ran.log
    assert "OPENBLAS_NUM_THREADS=2\n" in ran.log
    assert names - {"OMP_NUM_THREADS", "MODE", "", "LD_PRELOAD"} <= {
        *("PATH", "HOME", "LANG", "PWD", "PYTHONUNBUFFERED", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"),
        *("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT", "PYTHON_CPU_COUNT"),
    }


def test_a_job_finds_itself_by_name(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """Frameworks look up their own host's name when they start, and bind to what they find: loopback."""
    script = "import socket as s; a = s.gethostbyname(s.gethostname()); print(a); s.create_server((a, 0))"
    ran = run(executor, prepared(tmp_path, "python", "-c", script))

    assert (ran.result.exit_code, ran.log) == (0, "127.0.0.1\n")


def test_files_and_processes_follow_the_resources(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """What a job may have open and start grows with its CPUs and its memory, and is what the kernel enforces."""
    assert processes_for(2, 4096) < processes_for(64, 4096) < processes_for(64, 262_144)
    assert open_files_for(1, 1024) >= 4096
    ran = run(executor, prepared(tmp_path, "sh", "-c", "ulimit -n", open_files=5_000))

    assert ran.log == "5000\n"


def test_a_log_that_is_too_large_keeps_head_and_tail(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """A job that prints more than is kept runs to its end; the log has its beginning, its end, and what is missing."""
    script = "for n in range(100_000): print(n)"
    ran = run(executor, prepared(tmp_path, "python", "-c", script, log_bytes=10_000))
    kept = ran.result.log

    assert (ran.result.ended, ran.result.exit_code) == (EndReason.EXITED, 0)
    assert kept is not None
    assert ran.log.startswith("0\n1\n2\n")
    assert ran.log.endswith("\n99998\n99999\n")
    assert f"\n[sandbox] {kept.missing_bytes} bytes of the log are missing here\n" in ran.log
    assert ran.request.log.stat().st_size == kept.bytes <= 10_000


def test_temporary_folders_are_bounded(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """/tmp and /dev/shm are memory, and no larger than half the job's each."""
    script = "import os; print(*(os.statvfs(p).f_blocks * os.statvfs(p).f_frsize >> 20 for p in ('/tmp', '/dev/shm')))"
    ran = run(executor, prepared(tmp_path, "python", "-c", script, memory_mib=64))

    assert ran.log == "32 32\n"


def test_tracebacks_show_no_path_of_the_host(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """Compiled modules name the paths inside, so that a job's log tells nothing about the machine."""
    script = "import json, numpy; print(json.loads.__code__.co_filename, numpy.roll.__wrapped__.__code__.co_filename)"
    named = run(executor, prepared(tmp_path, "python", "-c", script)).log.split()
    failed = run(executor, prepared(tmp_path, "python", "-c", "import json; json.loads('{')")).log

    assert [Path(name).parts[:3] for name in named] == [("/", "opt", "python"), ("/", "opt", "runtime")]
    assert 'File "/opt/python/lib/' in failed
    assert str(ROOT) not in failed


def test_the_outputs_are_the_agents(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """Whatever permissions the job leaves, the agent can read and bundle its outputs; setuid does not survive."""
    script = "cd /job/out; mkdir d; echo x > d/f; chmod 000 d/f d; cp /bin/true s; chmod 6755 s"
    ran = run(executor, prepared(tmp_path, "sh", "-c", script))

    assert ran.result.exit_code == 0, ran.log
    assert (ran.request.outputs / "d" / "f").read_text() == "x\n"
    assert not (ran.request.outputs / "s").stat().st_mode & 0o6000
    assert not bundled(ran.request.outputs).left_out


def bundled(outputs: Path) -> Bundle:
    """The outputs as the agent bundles them."""
    return bundle_outputs(outputs, Allowance(1 << 20))


LEFT_IN_OUTPUTS = {
    "a link to a secret": "ln -s /etc/passwd /job/out/x",
    "a link to the agent's log": "ln -s ../log /job/out/x",
    "a link to a folder": "ln -s / /job/out/x",
    "a fifo": "mkfifo /job/out/x",
}


@pytest.mark.parametrize("script", LEFT_IN_OUTPUTS.values(), ids=LEFT_IN_OUTPUTS)
def test_what_a_job_leaves_for_the_agent_is_left_out(script: str, executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """Links and fifos in the outputs are left out by name when the agent bundles them."""
    ran = run(executor, prepared(tmp_path, "sh", "-c", script))

    assert ran.result.exit_code == 0, ran.log
    assert [one.path for one in bundled(ran.request.outputs).left_out] == ["x"]


def test_a_name_like_an_option_is_a_name(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """A file called -rf is bundled like any other."""
    ran = run(executor, prepared(tmp_path, "sh", "-c", "touch /job/out/-rf"))

    assert b"-rf" in bundled(ran.request.outputs).content()


# Ways out


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    with canaries(tmp_path_factory.mktemp("host")) as facts:
        yield facts


@pytest.fixture(scope="module")
def inside(
    executor: BubblewrapExecutor, facts: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str | None]:
    """What came of each attempt in the sandbox: how it got through, or None."""
    return attempted(executor, facts, tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def outside(facts: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What came of the harmless attempts on the host itself."""
    place = tmp_path_factory.mktemp("outside")
    (place / "facts.json").write_text(json.dumps(facts))
    subprocess.run([sys.executable, ATTEMPTS, "harmless"], cwd=place, check=True, timeout=60, env={"PATH": "/usr/bin"})
    return json.loads((place / "report.json").read_text())


@pytest.mark.parametrize("name", names())
def test_no_way_out(name: str, inside: dict[str, str | None]) -> None:
    """The attempt got the job nothing."""
    assert inside[name] is None, f"{name}: got through by {inside[name]}"


@pytest.mark.parametrize("name", names(harmless_only=True))
def test_the_attempt_would_work_outside(name: str, outside: dict[str, str | None]) -> None:
    """The same code does get through where there is no sandbox."""
    assert outside[name] is not None


def test_words_that_look_like_options_are_the_jobs(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """Neither a command nor an environment says anything to the sandbox, or to what surrounds it."""
    assert by_options(executor, tmp_path) is None


def test_the_list_of_escapes_is_complete() -> None:
    """Each way out that is tried has its place on the list, and each place is tried."""
    listed = [name for names_of in ESCAPES.values() for name in names_of]

    assert [title.split()[0] for title in ESCAPES] == [f"E{number}" for number in range(1, 33)]
    assert sorted(listed) == sorted({*names(), *BOMBS, *ESCAPES["E32 options for the sandbox"]})
