"""Becomes a process of a running sandbox: joins what bounds the job, then its namespaces, and gives up all that the job does not have.

Run as a program of its own (``python -I -S enter.py PLAN CONTROL``), because what it does it does to itself. Nothing of
the package is imported; it has the standard library, a plan in JSON on the handle PLAN, and an empty environment.
CONTROL is a socket of packets to the agent. ``entrance`` is the agent's side of both.

The order is what makes it safe:

1. The job's groups first, while we still may; so everything from here on counts as the job's. Then, as root, the job's
   user, for good: nothing of the machine's root is left in a process that the sandbox can come near. Then its bounds.
2. *Not dumpable*, before the sandbox is joined, and without our command line, which has paths of the machine: what looks
   at us through /proc finds nothing to read.
3. All namespaces in one call, or none. Whoever joins a user namespace has every capability in it. So nothing of the
   job's is touched, run or read before all of them are gone again, which ``humble`` makes sure of by looking.
4. Only children are in the sandbox's process namespace. The child that stays (the *keeper*) starts the program in a
   session of its own, and ends that when the agent says so, or is gone. We ourselves end at once.

Once mounts have changed nothing can be imported any more: all of it is imported here.
"""

import ctypes
import fcntl
import json
import os
import resource
import select
import shlex
import signal
import socket
import struct
import sys
import termios
import time
import warnings  # noqa: F401  os.execvpe imports it when the mounts have changed
from collections.abc import Callable
from typing import Any, NoReturn

SHELLS = ("/bin/bash", "/bin/sh")
HANG_UP_SECONDS = 1.0
"""Between SIGHUP and SIGKILL."""
NAME = b"bourse-session"
"""What a keeper is called on its command line."""
PACKET_BYTES = 4096
_ROUNDS = 3
"""What forks while it is looked for is found by the next look; what forks without end is bounded with the job."""

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_NEW_ALL = _NEW_USER | _NEW_NET | 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000
"""And mounts, groups, names, System V objects and processes."""
_PR_SET_DUMPABLE, _PR_GET_SECCOMP, _PR_SET_SECCOMP, _PR_CAPBSET_READ, _PR_CAPBSET_DROP = 4, 21, 22, 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 38, 39, 47, 4
_FILTERED = 2
_CAPABILITIES = 64
_CAPABILITY_VERSION = 0x20080522
_NOT_FOUND, _NOT_RUNNABLE, _SIGNALLED = 127, 126, 128

_libc = ctypes.CDLL(None, use_errno=True)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _FilterProgram(ctypes.Structure):
    _fields_ = (("instructions", ctypes.c_ushort), ("program", ctypes.c_void_p))


def main(plan: dict[str, Any], control: socket.socket, program: Callable[[], None] | None = None) -> NoReturn:
    """Follow the plan. ``program`` is run inside instead of the plan's command: it was imported before."""
    try:
        bound(plan)
        if plan["is_network_only"]:
            join(plan["first"], _NEW_USER | _NEW_NET)
            humble(bytes.fromhex(plan["filter"]), *plan["inside"])
            lend_sockets(control, plan["first"])
            os._exit(0)
        join(plan["first"], _NEW_ALL)
        if os.fork() == 0:
            keep(plan, control, program)
    except OSError as exc:
        say(control, f"failed {exc}")
        os._exit(1)
    os._exit(0)


def bound(plan: dict[str, Any]) -> None:
    """Take on what bounds the job: its groups, its user, its limits, and to go first when the machine is out of memory."""
    for entrance in plan["entrances"]:
        with open(entrance, "w") as file:
            file.write("0\n")
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000\n")
    if plan["user"] is not None:
        os.setgroups([])
        os.setresgid(plan["user"], plan["user"], plan["user"])
        os.setresuid(plan["user"], plan["user"], plan["user"])
    hide()
    # What the job was started with, of the sandbox's first process, which is our user's.
    for name in (name for name in dir(resource) if name.startswith("RLIMIT_")):
        number = getattr(resource, name)
        _, most = resource.getrlimit(number)
        soft, hard = resource.prlimit(plan["pid"], number)
        resource.setrlimit(number, (least(soft, most), least(hard, most)))
    os.setpriority(os.PRIO_PROCESS, 0, max(os.getpriority(os.PRIO_PROCESS, pid) for pid in (0, plan["pid"])))


def hide() -> None:
    """Let nobody look into this process, and name it anew: everybody may read command lines."""
    called("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    begin_at, end_at = int(fields[45]), int(fields[46])  # arg_start and arg_end, counted from the third field
    ctypes.memset(begin_at, 0, end_at - begin_at)
    ctypes.memmove(begin_at, NAME, min(len(NAME), end_at - begin_at - 1))


def least(value: int, most: int) -> int:
    """The smaller bound."""
    return min((bound for bound in (value, most) if bound != resource.RLIM_INFINITY), default=resource.RLIM_INFINITY)


def join(first: int, namespaces: int) -> None:
    """Join these namespaces of the sandbox's first process, which ``first`` is a handle of; it fails if that has ended."""
    called("setns", first, namespaces)


def humble(program: bytes, user: int, group: int) -> None:
    """Give up every right that the job does not have, and look whether all are gone. ``user``, ``group``: the job's, as the sandbox numbers them."""
    for capability in range(_CAPABILITIES):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails for those that this kernel does not have
    called("prctl", _PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    called("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)  # a change of user may have set it anew
    header = _CapabilityHeader(_CAPABILITY_VERSION, 0)
    called("capset", ctypes.byref(header), (ctypes.c_uint32 * 6)())
    called("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    filtered = ctypes.create_string_buffer(program, len(program))
    words = _FilterProgram(len(program) // 8, ctypes.cast(filtered, ctypes.c_void_p))
    called("prctl", _PR_SET_SECCOMP, _FILTERED, ctypes.byref(words), 0, 0)
    if held := rights_left(user, group):
        raise PermissionError(f"still has {held}: nothing is run")


def rights_left(user: int, group: int) -> str:
    """Name what is left of the rights that joining gave; empty when the process has no more than the job."""
    header, sets = _CapabilityHeader(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    called("capget", ctypes.byref(header), sets)
    left = {
        "capabilities": any(sets),
        "a bounding set": any(_libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1 for number in range(_CAPABILITIES)),
        "a way to new privileges": _libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1,
        "no filter": _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) != _FILTERED,
        "another user": {*os.getresuid()} != {user} or {*os.getresgid()} != {group},
    }
    return ", ".join(what for what, is_left in left.items() if is_left)


def lend_sockets(control: socket.socket, first: int) -> None:
    """For each byte that the agent sends (4 or 6) hand it a TCP socket of this network, until it or the job is gone."""
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.register(first, select.POLLIN)
    say(control, "entered")
    while True:
        ready = {handle for handle, _ in waiting.poll()}
        if first in ready:
            return  # or this process would keep the network of a job that is over
        asked = control.recv(1)
        if not asked:
            return
        family = socket.AF_INET6 if asked == b"6" else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as lent:
                socket.send_fds(control, [b"socket"], [lent.fileno()])
        except OSError as exc:
            say(control, f"failed {exc}")


def keep(plan: dict[str, Any], control: socket.socket, program: Callable[[], None] | None) -> NoReturn:
    """Be the keeper: start the program in a session of its own, tell how it ended, and end it when the agent says so."""
    try:
        humble(bytes.fromhex(plan["filter"]), *plan["inside"])
        terminal = os.openpty() if plan["terminal"] else None  # of the sandbox's own /dev/pts: it has a name in there
        member = os.fork()
        if member == 0:
            begin(plan, terminal, program)
        handles = [] if terminal is None else [terminal[0]]
        socket.send_fds(control, [b"entered"], handles)
        os.closerange(0, 3)
        for handle in terminal or ():
            os.close(handle)
        attend(control, member)
    except OSError as exc:
        say(control, f"failed {exc}")
    os._exit(0)


def begin(plan: dict[str, Any], terminal: tuple[int, int] | None, program: Callable[[], None] | None) -> NoReturn:
    """Become the program. An agent that was started with & ignores SIGINT, and so would all that it starts: none is ignored."""
    os.setsid()
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)
    try:
        os.chdir(plan["folder"])
        if terminal is not None:
            fcntl.ioctl(terminal[1], termios.TIOCSWINSZ, struct.pack("HHHH", *plan["terminal"], 0, 0))
            fcntl.ioctl(terminal[1], termios.TIOCSCTTY, 0)
            for handle in (0, 1, 2):
                os.dup2(terminal[1], handle)
        os.closerange(3, 1 << 30)
        if program is not None:
            program()
            os._exit(0)
        words = plan["words"] or shell_words(plan["line"])
        os.execvpe(words[0], words, plan["variables"])
    except OSError as exc:
        os.write(2, f"{plan['words'] or plan['line'] or 'a shell'}: {exc.strerror}\n".encode())
        os._exit(_NOT_FOUND if isinstance(exc, FileNotFoundError) else _NOT_RUNNABLE)


def shell_words(line: str | None) -> list[str]:
    """A shell, or a line for one. An image without a shell still runs a line of plain words."""
    shell = next((path for path in SHELLS if os.access(path, os.X_OK)), None)
    if line is None:
        return [shell or SHELLS[-1]]
    if shell is not None:
        return [shell, "-c", line]
    try:
        return shlex.split(line) or [SHELLS[-1]]
    except ValueError:
        return [line]


def attend(control: socket.socket, member: int) -> None:
    """Tell how the session's first process ended; until then do what the agent says: send a signal, or end the session."""
    handle = os.pidfd_open(member)
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.register(handle, select.POLLIN)
    while True:
        ready = {ready for ready, _ in waiting.poll()}
        if control.fileno() in ready:
            said = control.recv(PACKET_BYTES).decode(errors="replace").split()
            if said[:1] == ["signal"]:
                signal_group(member, int(said[1]))
            else:  # "end" or "hang-up"; or nothing, because the agent is gone
                end_session(member, is_gentle=said != ["end"])
                if said != ["end"]:
                    return  # what ignores the hang-up was asked to stay with the job
        elif handle in ready:
            code = os.waitstatus_to_exitcode(os.waitpid(member, 0)[1])
            say(control, f"ended {code if code >= 0 else _SIGNALLED - code}")
            return


def signal_group(member: int, number: int) -> None:
    """Signal the group of the session's first process, as a terminal would."""
    try:
        os.killpg(member, number)
    except (OSError, ValueError):
        pass  # it has ended


def end_session(session: int, *, is_gentle: bool) -> None:
    """Kill all of it. Gently: hang up first, and spare what ignores that: it has been told to outlive its terminal (nohup)."""
    if is_gentle:
        hung_up = [os.pidfd_open(pid) for pid in members_of(session) if signalled(pid, signal.SIGHUP, signal.SIGCONT)]
        until = time.monotonic() + HANG_UP_SECONDS
        for handle in hung_up:
            ended = select.poll()
            ended.register(handle, select.POLLIN)
            ended.poll(max(0.0, until - time.monotonic()) * 1000)
    for _ in range(_ROUNDS):
        for pid in members_of(session):
            if not is_gentle or not ignores_hang_up(pid):
                signalled(pid, signal.SIGKILL)


def members_of(session: int) -> list[int]:
    """The processes of a session, as far as the sandbox's /proc shows them: a shell's jobs have groups of their own."""
    return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if session_of(pid) == session]


def session_of(pid: int) -> int:
    """The session of a process; 0 where it has ended."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def ignores_hang_up(pid: int) -> bool:
    """Whether a process ignores SIGHUP."""
    try:
        with open(f"/proc/{pid}/status") as file:
            line = next((line for line in file if line.startswith("SigIgn:")), "SigIgn: 0")
    except OSError:
        return False
    return bool(int(line.split()[1], 16) & 1)


def signalled(pid: int, *numbers: int) -> bool:
    """Signal a process; False where it has ended."""
    try:
        for number in numbers:
            os.kill(pid, number)
    except OSError:
        return False
    return True


def say(control: socket.socket, text: str) -> None:
    """Tell the agent, unless it is gone."""
    try:
        control.send(text.encode()[:PACKET_BYTES])
    except OSError:
        pass


def called(name: str, *arguments: Any) -> None:
    """Call the C library; raise what went wrong."""
    if getattr(_libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def told(arguments: list[str]) -> tuple[dict[str, Any], socket.socket]:
    """The plan and the line to the agent, from the handles that the last two words name."""
    with open(int(arguments[-2]), "rb") as file:
        plan: dict[str, Any] = json.load(file)
    return plan, socket.socket(fileno=int(arguments[-1]))


if __name__ == "__main__":
    main(*told(sys.argv))
