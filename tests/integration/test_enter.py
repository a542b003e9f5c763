"""Programs that enter a running sandbox beside its job: what they have, what they cannot do, and when they end."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from marketplace.domain.ssh import EntryReason, EntryRefused
from marketplace.provider.executors.base import ExecutionRequest
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.executors.entrance import Entrance, JobSession, Program, Terminal
from marketplace.provider.executors.usage import numbers_of, processes_in, sandboxes_of
from tests.integration.bubblewrap_escapes import ATTEMPTS, canaries, names
from tests.integration.bubblewrap_jobs import PATIENCE_SECONDS, ROOT, await_log, executor_at, left_of, prepared

UNTIL_TOLD = ("sh", "-c", "echo up; while [ ! -e /job/in/go ]; do sleep 0.05; done")
LISTENING = (
    "import socket, time; s = socket.create_server(('127.0.0.1', 8080)); print('up', flush=True)\n"
    "while True: c, _ = s.accept(); c.sendall(c.recv(100).upper()); c.close()"
)

NEXT_PROMPT = rb"\^C\s+\S*[$#] "
"""After a Ctrl-C: with the signal, a terminal drops what was typed and not read yet."""


@contextmanager
def running(at: Path, *command: str, **more: object) -> Iterator[tuple[ExecutionRequest, Entrance]]:
    """A job that runs, and the way into it."""
    executor = executor_at(at, find_cgroups())
    request = prepared(at, *(command or UNTIL_TOLD), **more)
    execution = executor.start(request)
    try:
        await_log(request, execution)
        yield request, execution.entrance()
    finally:
        executor.reap(request.lease)
        execution.leave()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ExecutionRequest, Entrance]]:
    with running(tmp_path_factory.mktemp("agent"), env={"MODE": "fast"}) as found:
        yield found


def output(session: JobSession) -> tuple[str, str, int | None]:
    """All that a session without a terminal prints to both, and its code."""
    os.close(session.pipes[0])
    texts = []
    for handle in session.pipes[1:]:
        with open(handle, "rb") as stream:
            texts.append(stream.read().decode())
    code = session.wait(PATIENCE_SECONDS)
    session.close()
    return texts[0], texts[1], code


def shut(session: JobSession) -> None:
    """Hang up, and close all of it."""
    session.close()
    for handle in session.pipes or (session.terminal,):
        os.close(handle)


def said(entrance: Entrance, line: str) -> str:
    """What a line for a shell prints in there."""
    text, error, code = output(entrance.run(Program(line=line)))

    assert (error, code) == ("", 0)
    return text


def read_until(handle: int, wanted: bytes) -> bytes:
    """Read a terminal until it has shown what fits this pattern."""
    seen, deadline = b"", time.monotonic() + PATIENCE_SECONDS
    while not re.search(wanted, seen):
        ready, _, _ = select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, seen
        try:
            seen += os.read(handle, 4096)
        except OSError as exc:
            raise AssertionError(seen) from exc
    return seen


def is_over(pid: int) -> bool:
    """Wait until a process of the machine has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([handle], [], [], PATIENCE_SECONDS)
    os.close(handle)
    return bool(ready)


def outer(word: str) -> int:
    """The machine's number of the process that has this last word on its command line, as soon as there is one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for process in psutil.process_iter(["cmdline"]):
            if (process.info["cmdline"] or [""])[-1] == word:
                return process.pid
    raise AssertionError(f"nothing has {word}")


def first_beside(pid: int) -> int:
    """The first process of the sandbox that the process is in."""
    inside = os.readlink(f"/proc/{pid}/ns/pid")
    numbered = [one for one in psutil.pids() if numbers_of(str(one))[1:] == ["1"]]
    return next(one for one in numbered if os.readlink(f"/proc/{one}/ns/pid") == inside)


def test_what_enters_has_no_more_than_the_job(job: tuple[ExecutionRequest, Entrance]) -> None:
    """Its user is nobody, without any capability, with no way to new privileges, below the job's filter, in its network and groups."""
    request, entrance = job
    status = dict(
        line.split(":\t", 1) for line in said(entrance, "cat /proc/self/status").splitlines() if ":\t" in line
    )

    assert status["Uid"].split() == status["Gid"].split() == ["65534"] * 4
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
    assert said(entrance, "cd /sys/class/net 2>/dev/null; cat /proc/net/dev | tail -n +3 | cut -d: -f1").split() == [
        "lo"
    ]
    assert said(entrance, "pwd; echo $MODE; umask").split() == ["/job/in", "fast", "0022"]
    assert said(entrance, "ls /proc/self/fd").split() == ["0", "1", "2", "3"]  # the last is the folder that ls reads
    assert said(entrance, "ulimit -Hn; ulimit -Hc").split() == [str(request.limits.open_files), "0"]


def test_what_enters_counts_as_the_jobs(tmp_path: Path) -> None:
    """It is in the groups of its job and among its processes, and is as near to be ended when the machine has no memory left."""
    cgroups = find_cgroups()
    with running(tmp_path) as (request, entrance):
        session = entrance.run(Program(words=("sleep", "271.25")))
        pid = outer("271.25")

        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"
        assert pid in processes_in(first_beside(pid))
        for folder in cgroups.of(request.lease).folders.values() if cgroups else ():
            assert str(pid) in (folder / "cgroup.procs").read_text().split()
        shut(session)
        assert is_over(pid)


@pytest.mark.parametrize(("line", "code"), [("exit 3", 3), ("kill -KILL $$", 137), ("exec no-such", 127), (":", 0)])
def test_exit_codes_of_what_enters(line: str, code: int, job: tuple[ExecutionRequest, Entrance]) -> None:
    """A session's code is its program's own, or 128 and the signal."""
    assert output(job[1].run(Program(line=line)))[2] == code


def test_a_program_that_is_not_there(job: tuple[ExecutionRequest, Entrance]) -> None:
    """Words that name no program end with 127 and a sentence, as in a shell."""
    text, error, code = output(job[1].run(Program(words=("no-such-program",))))

    assert (text, code) == ("", 127)
    assert "No such file" in error


def test_streams_are_apart_and_input_arrives(job: tuple[ExecutionRequest, Entrance]) -> None:
    """stdin goes in, stdout and stderr come out by themselves, also through /dev/stdout."""
    session = job[1].run(Program(line="cat; echo err >&2; echo again > /dev/stdout"))
    os.write(session.pipes[0], b"typed\n")

    assert output(session) == ("typed\nagain\n", "err\n", 0)


def test_a_terminal_of_the_jobs_own(job: tuple[ExecutionRequest, Entrance]) -> None:
    """A terminal has a name in there, the size that it is told, and passes Ctrl-C on although the agent ignores it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        session = job[1].run(Program(terminal=Terminal("xterm-256color", 44, 132)))
    finally:
        signal.signal(signal.SIGINT, before)
    terminal = session.terminal
    os.write(terminal, b"tty; stty size; echo $TERM\n")

    assert b"/dev/pts/" in (seen := read_until(terminal, b"xterm-256color\r\n"))
    assert b"44 132" in seen
    session.resize(50, 100)
    os.write(terminal, b"stty size\n")
    read_until(terminal, b"50 100")
    os.write(terminal, b"sleep 1000.25\n")
    outer("1000.25")
    os.write(terminal, b"\x03")
    read_until(terminal, NEXT_PROMPT)
    os.write(terminal, b"echo still $((40 + 2))\n")
    read_until(terminal, b"still 42")
    os.write(terminal, b"exit 5\n")
    assert session.wait(PATIENCE_SECONDS) == 5
    shut(session)


def test_a_session_ends_as_a_whole(tmp_path: Path) -> None:
    """Ending kills also what ignores SIGTERM and SIGHUP, and a shell's jobs in groups of their own."""
    with running(tmp_path) as (_, entrance):
        script = "set -m; trap '' TERM HUP; sleep 311.5 & echo up; wait"
        session = entrance.run(Program(line=script))
        assert os.read(session.pipes[1], 10) == b"up\n"
        pid = outer("311.5")
        session.end()

        assert session.wait(PATIENCE_SECONDS) == 137
        assert is_over(pid)
        shut(session)


def test_hanging_up_spares_what_ignores_it(tmp_path: Path) -> None:
    """Closing ends the session's processes, and leaves to the job what was told to ignore a hang-up (nohup)."""
    with running(tmp_path) as (_, entrance):
        session = entrance.run(Program(line="nohup sleep 312.5 >/dev/null 2>&1 & sleep 313.5 & echo up; wait"))
        assert os.read(session.pipes[1], 10) == b"up\n"
        stays, goes = outer("312.5"), outer("313.5")
        shut(session)

        assert is_over(goes)
        assert Path(f"/proc/{stays}").exists()


def test_a_session_ends_with_its_job(tmp_path: Path) -> None:
    """When the job exits, what sits beside it is gone, its code says so, nothing is left, and nobody enters any more."""
    with running(tmp_path) as (request, entrance):
        session = entrance.run(Program(words=("sleep", "1000")))
        network = entrance.network.listen(9000)
        (request.inputs / "go").touch()

        assert session.wait(PATIENCE_SECONDS) == 137
        shut(session)
        network.close()
        execution = executor_at(tmp_path, find_cgroups()).adopt(request.lease)
        assert execution is not None
        result = execution.wait(PATIENCE_SECONDS)
        assert result is not None
        assert result.exit_code == 0
        assert left_of(request, find_cgroups()) == []
        for enter in (lambda: entrance.run(Program(line="true")), lambda: entrance.network.dial(9000)):
            with pytest.raises(EntryRefused) as refused:
                enter()
            assert refused.value.why is EntryReason.JOB_GONE


AGENT = """
import sys
from pathlib import Path
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.executors.entrance import Program
from tests.integration.bubblewrap_jobs import executor_at

execution = executor_at(Path(sys.argv[1]), find_cgroups()).adopt(sys.argv[2])
session = execution.entrance().run(Program(line="sleep 314.5 & echo up; wait"))
print("up", flush=True)
session.wait(300)
"""


def test_a_session_ends_with_its_agent(tmp_path: Path) -> None:
    """An agent that is killed takes its sessions along; the job goes on."""
    with running(tmp_path) as (request, entrance):
        words = [sys.executable, "-c", AGENT, str(tmp_path), request.lease]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as agent:
            assert agent.stdout is not None
            assert agent.stdout.readline() == b"up\n"
            pid = outer("314.5")
            agent.kill()

        assert is_over(pid)
        assert said(entrance, "echo on") == "on\n"


def test_no_way_out_from_a_session(tmp_path: Path) -> None:
    """Every way out of the sandbox that a job tries is tried through the entrance, and none works."""
    with canaries(tmp_path) as facts:
        files = {"attempts.py": ATTEMPTS.read_text(), "facts.json": json.dumps(facts)}
        with running(tmp_path, files=files) as (request, entrance):
            text, error, code = output(entrance.run(Program(words=("python", "attempts.py"))))
            assert code == 0, text + error
            found: dict[str, str | None] = json.loads((request.inputs / "report.json").read_text())

    assert found.keys() == set(names())
    assert {name: got for name, got in found.items() if got is not None} == {}


LOOK = """
import glob, os
for place in glob.glob("/proc/[0-9]*"):
    if not os.path.exists(f"{place}/cmdline"):
        continue  # number 1, which is covered
    name = open(f"{place}/cmdline").read().rstrip(chr(0))
    print(name)
    if name == "bourse-session":
        for what in ("fd", "fdinfo", "map_files"):
            try:
                print("SEEN", what, os.listdir(f"{place}/{what}"))
            except PermissionError:
                pass
        for what in ("environ", "mem", "maps", "exe", "cwd", "root"):
            try:
                print("SEEN", what, open(f"{place}/{what}", "rb").read(10))
            except OSError:
                pass
"""


def test_a_job_sees_nothing_of_what_holds_the_line(tmp_path: Path) -> None:
    """The process that keeps a session shows the job its name only: no handle, no memory, no path of the machine."""
    with running(tmp_path, files={"look.py": LOOK}) as (_, entrance):
        session = entrance.run(Program(words=("sleep", "1000")))
        seen = said(entrance, "python look.py")
        session.end()
        shut(session)

    assert seen.splitlines().count("bourse-session") == 2
    assert "SEEN" not in seen
    assert str(ROOT) not in seen


def test_sockets_of_the_jobs_network(tmp_path: Path) -> None:
    """dial reaches what the job listens on; listen takes what the job connects to; each no has its reason."""
    with running(tmp_path, "python", "-c", LISTENING) as (_, entrance):
        with entrance.network.dial(8080) as near:
            near.sendall(b"hello")
            assert near.recv(100) == b"HELLO"
        script = "import socket; c = socket.create_connection(('127.0.0.1', 3128)); print(c.recv(9).decode())"
        with entrance.network.listen(3128) as listener:
            session = entrance.run(Program(words=("python", "-c", script)))
            taken, _ = listener.accept()
            taken.sendall(b"from here")
            taken.close()
            assert output(session) == ("from here\n", "", 0)
        for call, why in (
            (entrance.network.dial, EntryReason.PORT_CLOSED),
            (entrance.network.listen, EntryReason.PORT_TAKEN),
        ):
            with pytest.raises(EntryRefused) as refused:
                call(8081 if why is EntryReason.PORT_CLOSED else 8080)
            assert refused.value.why is why
        with socket.create_server(("127.0.0.1", 0)) as ours, pytest.raises(EntryRefused):
            entrance.network.dial(ours.getsockname()[1])
        entrance.network.close()


def test_another_job_that_wears_the_mark_is_not_entered(tmp_path: Path) -> None:
    """A process of a job that calls itself another job's sandbox is taken for neither."""
    with running(tmp_path) as (request, entrance):
        victim = "lease-of-somebody-else"
        worn = entrance.run(Program(line=f"exec -a bourse-job:{victim} sleep 315.5"))
        pid = outer("315.5")
        marked = sandboxes_of(victim)
        assert [handle for handle in marked if os.path.exists(f"/proc/{pid}")]
        for handle in marked:
            os.close(handle)
        plan = json.loads((tmp_path / "records" / request.lease / "plan.json").read_text())
        plan["request"]["lease"] = victim
        (tmp_path / "records" / victim).mkdir()
        (tmp_path / "records" / victim / "plan.json").write_text(json.dumps(plan))
        stranger = executor_at(tmp_path, find_cgroups()).adopt(victim)
        assert stranger is not None
        with pytest.raises(EntryRefused) as refused:
            stranger.entrance().run(Program(line="true"))
        worn.end()
        shut(worn)
        stranger.leave()

    assert refused.value.why is EntryReason.JOB_GONE


ORDINARY = """
import json, os, sys
from pathlib import Path
from marketplace.provider.executors.entrance import Program
from tests.integration.bubblewrap_jobs import ROOT, executor_at
from tests.integration.bubblewrap_ordinary import become_ordinary
from tests.integration.test_enter import output, running

become_ordinary([Path(sys.base_prefix), ROOT])
with running(Path(sys.argv[1])) as (_, entrance):
    print(json.dumps(output(entrance.run(Program(line="grep -E '^(Uid|Cap|NoNew|Seccomp:)' /proc/self/status; tail -n +3 /proc/net/dev | cut -d: -f1")))))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="an agent that is not root is what all other tests are about then")
def test_an_agent_without_rights_enters_as_well() -> None:
    """Where the agent is an ordinary user, what enters has as little as where it is root."""
    with TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        words = [sys.executable, "-c", ORDINARY, place]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text, error, code = json.loads(done.stdout.splitlines()[-1])

    assert (error, code) == ("", 0)
    assert "Uid:\t65534\t65534\t65534\t65534" in text
    assert text.count("0000000000000000") == 5
    assert "NoNewPrivs:\t1\nSeccomp:\t2" in text
    assert text.split()[-1] == "lo"
