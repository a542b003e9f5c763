"""Jobs that use too much, hide what they use, or will not end; and what each must come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from marketplace.provider.executors.base import EndReason
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import CgroupParent
from marketplace.provider.executors.removal import remove
from tests.integration.bubblewrap_jobs import left_of, prepared, run


@dataclass(frozen=True, slots=True)
class Bomb:
    """A command, how it must end, the limits that it is to meet, and the exit codes that may come of it."""

    command: tuple[str, ...]
    ended: EndReason
    limits: dict[str, Any] = field(default_factory=dict)
    exit_codes: tuple[int, ...] = (137,)


def python(body: str) -> tuple[str, ...]:
    return ("python", "-c", body)


MEMORY = "x = []\nwhile True: x.append(bytearray(b'x') * (1 << 22))"
CHILDREN = f"""
import os
for _ in range(3):
    if os.fork() == 0:
        exec({MEMORY!r})
os.wait()
"""
SHARED = """
file, kept = open('/dev/shm/f', 'wb', buffering=0), []
while True:
    try:
        file.write(bytes(1 << 20))
    except OSError:
        pass  # full: go on elsewhere
    kept.append(bytearray(b'x') * (1 << 20))
"""
DISK_FILL = "n = 0\nwhile True:\n n += 1; open(f'/job/out/{n}', 'wb').write(bytes(1 << 20))"
ONE_FILE = "f = open('/job/in/f', 'wb')\nwhile True: f.write(bytes(1 << 20))"
UNLINKED = """
import os
kept = []
while True:
    kept.append(open('/job/out/f', 'wb')); os.unlink('/job/out/f'); kept[-1].write(bytes(1 << 20)); kept[-1].flush()
"""
CLOSED = """
import os
n = 0
while True:
    n += 1
    os.makedirs(f'/job/out/{n}/inner')
    open(f'/job/out/{n}/inner/f', 'wb').write(bytes(1 << 20))
    os.chmod(f'/job/out/{n}/inner', 0); os.chmod(f'/job/out/{n}', 0)
"""
SPARSE = "import time\nfor n in range(9): open(f'/job/out/{n}', 'wb').truncate(3 << 20)\ntime.sleep(300)"
HARD_LINKS = """
import os, time
open('/job/out/f', 'wb').write(bytes(3 << 20))
for n in range(9): os.link('/job/out/f', f'/job/out/{n}')
time.sleep(300)
"""
TOO_DEEP = """
import os
os.chdir('/job/out')
for _ in range(2000): os.mkdir('d'); os.chdir('d')
"""
STUBBORN = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 60; done")
THIEF = """
import os, signal, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
own = os.open('/proc/self/fd/1', os.O_RDONLY)
def feed():
    while True: os.write(1, b'x')
threading.Thread(target=feed, daemon=True).start()
while True: os.read(own, 1 << 16)
"""
HOLDER = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
own = os.open('/proc/self/fd/1', os.O_RDONLY)
while True: os.write(1, b'x' * 4096); os.read(own, 4096)
"""
STOPPED = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
FLOOD = "import sys, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: sys.stdout.write('y' * 65536)"
FORKS = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
DAEMON = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_IGN)
        os.closerange(0, 64)
        open('/job/out/alive', 'w').close()
        while True:
            time.sleep(60)
    os._exit(0)
os.wait()
while not os.path.exists('/job/out/alive'):
    pass
"""
SMALL_DISK, SHORT = {"disk_mib": 20}, {"wall_seconds": 1, "grace_seconds": 1}

BOMBS: Final = {
    "memory of one process": Bomb(python(MEMORY), EndReason.MEMORY_LIMIT, {"memory_mib": 192}),
    "memory of several processes": Bomb(python(CHILDREN), EndReason.MEMORY_LIMIT, {"memory_mib": 192}),
    "memory through /dev/shm": Bomb(python(SHARED), EndReason.MEMORY_LIMIT, {"memory_mib": 192}),
    "disk by many files": Bomb(python(DISK_FILL), EndReason.DISK_LIMIT, SMALL_DISK, (137, 143)),
    "disk by files without a name": Bomb(python(UNLINKED), EndReason.DISK_LIMIT, SMALL_DISK, (137, 143)),
    "disk by files in closed folders": Bomb(python(CLOSED), EndReason.DISK_LIMIT, SMALL_DISK, (137, 143)),
    "disk by sparse files": Bomb(python(SPARSE), EndReason.DISK_LIMIT, SMALL_DISK, (143,)),
    "disk by hard links": Bomb(python(HARD_LINKS), EndReason.DISK_LIMIT, SMALL_DISK, (143,)),
    "two thousand nested folders": Bomb(python(TOO_DEEP), EndReason.FILES_LIMIT),
    "time, ignoring SIGTERM": Bomb(STUBBORN, EndReason.TIME_LIMIT, SHORT),
    "time, stealing from its own log": Bomb(python(THIEF), EndReason.TIME_LIMIT, SHORT),
    "time, taking back all that it prints": Bomb(python(HOLDER), EndReason.TIME_LIMIT, SHORT),
    "time, stopped": Bomb(python(STOPPED), EndReason.TIME_LIMIT, SHORT),
    "time, printing without end": Bomb(python(FLOOD), EndReason.TIME_LIMIT, SHORT),
    "time, forking without end": Bomb(python(FORKS), EndReason.TIME_LIMIT, SHORT | {"processes": 40}, (137, 143)),
    "a grandchild that wants to stay": Bomb(python(DAEMON), EndReason.EXITED, {}, (0,)),
}
"""What each must come to within the patience of a test; whatever it does, the supervisor and the agent go on."""


def survived(bomb: Bomb, executor: BubblewrapExecutor, cgroups: CgroupParent | None, place: Path) -> str | None:
    """Run it; say in what it got the better of the sandbox, None if it did not."""
    ran = run(executor, prepared(place, *bomb.command, **bomb.limits))
    result, limits = ran.result, ran.request.limits
    if result.ended is not bomb.ended or result.exit_code not in bomb.exit_codes:
        return f"it ended otherwise: {result}"
    if result.ended is not EndReason.EXITED and not result.evidence:
        return "nothing says what was seen of it"
    if left := left_of(ran.request, cgroups):
        return f"left behind: {left}"
    if ran.request.log.stat().st_size > limits.log_bytes:
        return "its log is larger than the limit"
    while not remove(ran.request.folder):
        pass
    return "its folder is still there" if ran.request.folder.exists() else None
