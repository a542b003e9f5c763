"""A job's SSH server, through a relay, with the programs of OpenSSH: what works, what is refused, and when it ends."""

from __future__ import annotations

import asyncio
import os
import pty
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import convert

from marketplace.api.fields import field_of
from marketplace.api.market import MarketAnswer
from marketplace.chain.signing import Key, SigningDomain
from marketplace.chain.statements import host_key_signer
from marketplace.cli.ssh import file_word
from marketplace.domain.errors import Forbidden
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.relaying import caller_path
from marketplace.domain.ssh import SignedHostKey
from marketplace.domain.units import UnixTime
from marketplace.provider.executors.base import Execution, ExecutionRequest
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.ssh.access import Speaker
from marketplace.provider.ssh.desk import SshDesk
from marketplace.relay.server import Relay
from marketplace.ssh_keys import own_public_key
from tests.integration.bubblewrap_jobs import PATIENCE_SECONDS, ROOT, await_log, executor_at, left_of, prepared
from tests.integration.test_enter import NEXT_PROMPT, outer, read_until
from tests.ports import free_port

LEASE = Bytes32("0x" + "5e" * 32)
MARKET = SigningDomain(31337, Address("0x" + "11" * 20))
SERVER = (
    "import http.server, os; os.chdir('/job/out'); print('up', flush=True)\n"
    "http.server.ThreadingHTTPServer(('127.0.0.1', 8888), http.server.SimpleHTTPRequestHandler).serve_forever()"
)
FETCHED = ROOT / ".tools" / "debian"
LIBRARIES = [FETCHED / "usr/lib/x86_64-linux-gnu", FETCHED / "lib/x86_64-linux-gnu"]


def tool(name: str) -> str:
    """A program of OpenSSH's, or rsync: this machine's, or the one that set-up has fetched."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:{FETCHED}/usr/bin")
    assert found, f"{name} is missing: run make setup"
    return found


class Named:
    """Doors that know people by a header; only their signatures are another test's subject."""

    def require_provider(self, headers: Mapping[str, str], lease: Bytes32) -> None:
        if headers.get("Who") != "provider":
            raise Forbidden("not the provider")

    def require_client(self, headers: Mapping[str, str], lease: Bytes32) -> None:
        if headers.get("Who") != "client":
            raise Forbidden("not the client")


class Noticeboard:
    """As much of a gateway as an agent's SSH server asks: where the relay is, and what was left there."""

    base_url = "http://noticeboard.example"

    def __init__(self, relay: str) -> None:
        self._relay = relay
        self.left: list[SignedHostKey] = []
        self.changed = threading.Condition()

    def market(self) -> MarketAnswer:
        at = {"number": 1, "hash": "0x" + "00" * 32, "timestamp": 1}
        zero = "0x" + "00" * 20
        told: dict[str, Any] = {
            "chainId": 31337, "market": zero, "token": {"address": zero, "symbol": "T", "decimals": 6}, "catalogue": zero,
            "deployedAtBlock": 1, "startGrace": 1, "claimGrace": 1, "challengeWindow": 1, "rulingWindow": 1,
            "bondFloor": "1", "opener": zero, "arbiter": zero, "block": at, "relay": self._relay,
        }  # fmt: skip
        return convert(told, MarketAnswer, dec_hook=field_of)

    def post_host_key(self, signed: SignedHostKey) -> None:
        with self.changed:
            self.left.append(signed)
            self.changed.notify_all()

    def signed_headers(self, path: str) -> dict[str, str]:
        return {"Who": "provider"}


@dataclass(frozen=True)
class JobBySsh:
    """A job that can be entered, and how OpenSSH reaches it."""

    request: ExecutionRequest
    execution: Execution
    options: tuple[str, ...]
    known_hosts: Path
    relay: Relay

    def run(self, program: str, *words: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        """A program of OpenSSH's, to its end."""
        return subprocess.run(
            [tool(program), *self.options, *words], capture_output=True, timeout=PATIENCE_SECONDS, check=False, **more
        )

    def ssh(self, *words: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        return self.run("ssh", "job", *words, **more)


@contextmanager
def relaying() -> Iterator[tuple[str, Relay]]:
    """A relay on a thread of its own."""
    port, loop, ready, stopping = free_port(), asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    relay = Relay(Named())

    async def serve() -> None:
        listens = asyncio.Event()
        serving = asyncio.ensure_future(relay.serve("127.0.0.1", port, stopping, listens))
        await listens.wait()
        ready.set()
        await serving

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)
    yield f"ws://127.0.0.1:{port}", relay
    loop.call_soon_threadsafe(stopping.set)
    thread.join(PATIENCE_SECONDS)
    loop.close()


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobBySsh]:
    with relaying() as (url, relay), job_by_ssh(url, relay, tmp_path_factory.mktemp("reached")) as found:
        yield found


@contextmanager
def job_by_ssh(url: str, relay: Relay, place: Path, server: str = SERVER) -> Iterator[JobBySsh]:
    """A job that serves its outputs over HTTP, or does whatever that program does, with a way in by ssh; without a program, a session."""
    public, key = own_public_key(place), Key("0x" + "42" * 32)
    executor = executor_at(place, find_cgroups())
    request = replace(prepared(place, "python", "-c", server, disk_mib=600, wall_seconds=600), ssh_keys=(public,))
    if not server:
        request = replace(request, command=(), session=SessionTerms())
    execution, board = executor.start(request), Noticeboard(url)
    desk = SshDesk((board,), Speaker(key, MARKET, lambda: UnixTime(1_000)))
    try:
        if server:
            await_log(request, execution)
        desk.open("serving", LEASE, execution)
        desk.open("serving", LEASE, execution)
        with board.changed:
            assert board.changed.wait_for(lambda: board.left, PATIENCE_SECONDS)
        (signed,) = board.left
        assert host_key_signer(signed.host_key, signed.signature, MARKET) == key.address
        known = place / "known_hosts"
        known.write_text(f"the-job {signed.host_key.key}\n")
        await_line(relay)
        leg = shlex.join([sys.executable, "-m", "tests.integration.relay_leg", url + caller_path(LEASE)])
        settings = {
            "ProxyCommand": f"sh -c {shlex.quote(f'cd {ROOT} && exec {leg}')}", "HostKeyAlias": "the-job",
            "UserKnownHostsFile": str(known), "GlobalKnownHostsFile": "/dev/null", "StrictHostKeyChecking": "yes",
            "IdentityFile": str(place / "ssh" / "id_ed25519"), "IdentitiesOnly": "yes", "BatchMode": "yes", "LogLevel": "ERROR",
        }  # fmt: skip
        options = tuple(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))
        yield JobBySsh(request, execution, options, known, relay)
    finally:
        desk.close()
        executor.reap(request.lease)
        execution.leave()


def await_line(relay: Relay) -> None:
    """Wait until the job has its line at the relay."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not relay.meetings.legs:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def test_a_command_by_ssh(reached: JobBySsh) -> None:
    """Output, errors, input and exit code of a command arrive as its own, in the job's folder and with its rights."""
    done = reached.ssh("cat; pwd; id -u; grep Seccomp: /proc/self/status; echo wrong >&2; exit 7", input=b"typed\n")

    assert (done.stdout, done.stderr, done.returncode) == (
        b"typed\n/job/in\n65534\nSeccomp:\t2\n", b"wrong\n", 7,
    )  # fmt: skip


def test_a_home_with_blanks_in_its_name() -> None:
    """OpenSSH takes the whole name for one file's."""
    home = Path("/home/some body's home, 100 %")
    options = (f"{name}={file_word(home / 'file')}" for name in ("IdentityFile", "UserKnownHostsFile"))
    words = [word for option in options for word in ("-o", option)]
    told = subprocess.run(
        [tool("ssh"), "-F", "none", "-G", *words, "job"], capture_output=True, text=True, check=True
    ).stdout

    assert f"identityfile {home}/file" in told.replace("%%", "%").splitlines()
    assert f"userknownhostsfile {home}/file" in told.replace("%%", "%").splitlines()


def test_much_passes_both_ways_unchanged(reached: JobBySsh) -> None:
    """Twenty megabytes go in and come out, each byte, though nobody reads the one before the other is written."""
    content = os.urandom(1 << 20) * 20
    done = reached.ssh("cat", input=content)

    assert done.returncode == 0, done.stderr
    assert done.stdout == content


def test_a_shell_with_a_terminal(reached: JobBySsh) -> None:
    """A shell has a terminal with a name and a size, and Ctrl-C interrupts what runs there, not the shell."""
    near, far = pty.openpty()
    words = [tool("ssh"), "-tt", *reached.options, "job"]
    with subprocess.Popen(words, stdin=far, stdout=far, stderr=far, start_new_session=True) as shell:
        os.close(far)
        os.write(near, b"tty; echo $TERM-he''re\n")
        assert b"/dev/pts/" in read_until(near, b"-here\r\n")
        os.write(near, b"sleep 1000.5\n")
        outer("1000.5")
        os.write(near, b"\x03")
        read_until(near, NEXT_PROMPT)
        os.write(near, b"echo still $((6 * 7))\n")
        read_until(near, b"still 42")
        os.write(near, b"exit 9\n")
        assert shell.wait(PATIENCE_SECONDS) == 9
    os.close(near)


def test_files_by_scp_and_sftp(reached: JobBySsh, tmp_path: Path) -> None:
    """Files go in and come out by scp and sftp, without anything of the image, and see the sandbox, not the machine."""
    (tmp_path / "here").write_bytes(os.urandom(3 << 20))
    assert reached.run("scp", str(tmp_path / "here"), "job:there").returncode == 0
    assert (reached.request.inputs / "there").read_bytes() == (tmp_path / "here").read_bytes()
    assert reached.run("scp", "job:/job/in/there", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == (tmp_path / "here").read_bytes()
    batch = f"mkdir sub\nput {tmp_path}/here sub/one\nrename sub/one sub/two\nls -l sub\nget sub/two {tmp_path}/two\nls /root\n"
    done = reached.run("sftp", "-b", "-", "job", input=batch.encode())

    assert b"two" in done.stdout
    assert b"/root" in done.stderr
    assert (tmp_path / "two").stat().st_size == 3 << 20


def test_links_lead_nowhere_outside(reached: JobBySsh, tmp_path: Path) -> None:
    """A link of the job's to a file of the machine is, over sftp, a link to nothing."""
    (tmp_path / "secret").write_text("secret")
    (reached.request.inputs / "link").symlink_to(tmp_path / "secret")
    done = reached.run("scp", "job:link", str(tmp_path / "got"))

    assert done.returncode != 0
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("port", [8888])
def test_a_port_by_forwarding(reached: JobBySsh, port: int) -> None:
    """-L reaches what the job listens on, and -D its localhost only."""
    (reached.request.outputs / "page").write_bytes(os.urandom(1 << 20))
    here, proxy = free_port(), free_port()
    words = [
        tool("ssh"),
        "-N",
        "-L",
        f"127.0.0.1:{here}:localhost:{port}",
        "-D",
        f"127.0.0.1:{proxy}",
        *reached.options,
        "job",
    ]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as forwarding:
        try:
            await_port(here)
            for _ in range(3):
                with urllib.request.urlopen(f"http://127.0.0.1:{here}/page", timeout=60) as answer:
                    assert answer.read() == (reached.request.outputs / "page").read_bytes()
            assert socks(proxy, "127.0.0.1", port) == 0
            for host, other in (("127.0.0.1", 9), ("10.0.0.1", 80), ("metadata.example", 80)):
                assert socks(proxy, host, other) != 0
        finally:
            forwarding.terminate()


def await_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)


def socks(proxy: int, host: str, port: int) -> int:
    """What a SOCKS5 proxy answers: 0 where it has connected."""
    with socket.create_connection(("127.0.0.1", proxy), 60) as line:
        line.sendall(b"\5\1\0")
        assert line.recv(2) == b"\5\0"
        line.sendall(b"\5\1\0\3" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big"))
        answer = line.recv(10)
        return answer[1] if len(answer) > 1 else 255


def test_what_is_refused(reached: JobBySsh, tmp_path: Path) -> None:
    """Another key, another machine's host key, and listening on the provider's side (-R)."""
    other = tmp_path / "other"
    own_public_key(other)
    stranger = ["-o", f"IdentityFile={other}/ssh/id_ed25519"]
    rest = [word for word in reached.options if not word.startswith("IdentityFile=")]
    rest = [
        word for place, word in enumerate(rest) if word != "-o" or (place + 1 < len(rest) and rest[place + 1] != "-o")
    ]
    denied = subprocess.run([tool("ssh"), *stranger, *rest, "job", "true"], capture_output=True, check=False)
    assert (denied.returncode, b"Permission denied" in denied.stderr) == (255, True), denied.stderr
    wrong = tmp_path / "known"
    wrong.write_text(f"the-job {own_public_key(other)}\n")
    elsewhere = reached.run("ssh", "-o", f"UserKnownHostsFile={wrong}", "job", "true")
    assert elsewhere.returncode == 0  # the first of two options counts: ours
    fooled = subprocess.run(
        [tool("ssh"), "-o", f"UserKnownHostsFile={wrong}", *reached.options, "job", "true"],
        capture_output=True,
        check=False,
    )
    assert fooled.returncode == 255
    assert b"HOST IDENTIFICATION HAS CHANGED" in fooled.stderr or b"verification failed" in fooled.stderr
    back = reached.run("ssh", "-o", "ExitOnForwardFailure=yes", "-R", "18080:localhost:1", "job", "true")
    assert back.returncode == 255


def test_what_connections_are_encrypted_with(reached: JobBySsh) -> None:
    """OpenSSH, which would choose ChaCha20 first, agrees to AES both ways: the agent's side is quicker with it."""
    words = [tool("ssh"), "-o", "LogLevel=DEBUG1", *reached.options, "job", "true"]
    told = subprocess.run(words, capture_output=True, check=True).stderr

    assert told.count(b"cipher: aes128-") == 2, told


def test_many_at_a_time(reached: JobBySsh) -> None:
    """Eight connections at a time all get their own answer, and none is left at the relay."""
    before = reached.relay.meetings.legs
    running = [
        subprocess.Popen([tool("ssh"), *reached.options, "job", f"echo {number}"], stdout=subprocess.PIPE)
        for number in range(8)
    ]
    said = [process.communicate(timeout=PATIENCE_SECONDS)[0] for process in running]

    assert said == [f"{number}\n".encode() for number in range(8)]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while reached.relay.meetings.legs > before:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def test_rsync(reached: JobBySsh, tmp_path: Path) -> None:
    """rsync copies a tree in, by an rsync that lies in the job's folder."""
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    for number in range(50):
        (tree / "sub" / str(number)).write_bytes(os.urandom(1000))
    shutil.copy(tool("rsync"), reached.request.inputs / "rsync")
    for library in (file for folder in LIBRARIES for file in folder.glob("lib*.so*")):
        shutil.copy(library, reached.request.inputs / library.name)
    shell = shlex.join([tool("ssh"), *reached.options])
    path = "env LD_LIBRARY_PATH=/job/in /job/in/rsync"
    local = {"LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES)), "PATH": os.environ["PATH"]}
    words = [tool("rsync"), "-a", "-e", shell, "--rsync-path", path, f"{tree}/", "job:tree"]
    done = subprocess.run(words, capture_output=True, timeout=PATIENCE_SECONDS, check=False, env=local)

    assert done.returncode == 0, done.stderr
    assert {file.name for file in (reached.request.inputs / "tree" / "sub").iterdir()} == set(map(str, range(50)))


def test_it_ends_with_the_job(reached: JobBySsh) -> None:
    """When the job is ended, an open connection ends, and nothing is left of either."""
    words = [tool("ssh"), *reached.options, "job", "echo in; sleep 1000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as inside:
        assert inside.stdout is not None
        assert inside.stdout.readline() == b"in\n"
        reached.execution.kill()
        assert inside.wait(PATIENCE_SECONDS) != 0
    result = reached.execution.wait(PATIENCE_SECONDS)

    assert result is not None
    assert left_of(reached.request, find_cgroups()) == []
    assert reached.ssh("true").returncode == 255
