"""`bourse indexer`, `bourse scheduler` and `bourse gateway` as processes of their own, on the stores of a trading floor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

from marketplace.chain.devnet import ANVIL_PRIVATE_KEYS
from marketplace.chain.keystore import create_key
from tests.integration.scheduler.floor import ARBITER, OPENER, Floor
from tests.ports import free_port

PATIENCE_SECONDS = 120


def eventually(look: Callable[[], Any], what: str) -> Any:
    """Look ten times a second until there is something to see."""
    deadline, pause = monotonic() + PATIENCE_SECONDS, threading.Event()
    while not (found := look()):
        assert monotonic() < deadline, what
        pause.wait(0.1)
    return found


@dataclass
class Process:
    """One of them, its health port and its log."""

    running: subprocess.Popen[bytes]
    port: int
    log: Path

    def get(self, path: str) -> httpx.Response | None:
        """None where it does not answer."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False, timeout=30)
        except httpx.TransportError:
            return None

    @property
    def leads(self) -> bool:
        answer = self.get("/ready?for=lead")
        return answer is not None and answer.status_code == 200

    @property
    def stands_by(self) -> bool:
        answer = self.get("/live")
        return answer is not None and answer.json()["role"] == "standby"

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        told = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in told if not event or line["event"] == event]

    def send(self, number: signal.Signals) -> None:
        os.kill(self.running.pid, number)

    def ends(self) -> int:
        return self.running.wait(PATIENCE_SECONDS)


@dataclass
class Operator:
    """Starts processes on the floor's stores; ends them all."""

    floor: Floor
    folder: Path
    redis_url: str
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        keystore, password = self.folder / "opener.json", self.folder / "opener.password"
        key = create_key(keystore, password, private_key=ANVIL_PRIVATE_KEYS[2], work_factor=2**10)
        assert key.address == OPENER.address
        self.floor.book.write(self.folder / "book.json")
        self.settings = {
            "BOURSE_RPC_URLS": self.floor.chain.rpc_url, "BOURSE_ADDRESS_BOOK": str(self.folder / "book.json"),
            "BOURSE_REDIS_URL": self.redis_url, "BOURSE_JOURNAL_URL": f"sqlite:///{self.folder}/journal.sqlite",
            "BOURSE_BLOBS_URL": str(self.folder / "blobs"), "BOURSE_OPENER": OPENER.address, "BOURSE_ARBITER": ARBITER.address, "BOURSE_HOME": str(self.folder),
            "BOURSE_KEYSTORE": str(keystore), "BOURSE_KEYSTORE_PASSWORD_FILE": str(password), "PATH": os.environ["PATH"],
        }  # fmt: skip

    def start(self, verb: str) -> Process:
        port = free_port()
        log = self.folder / f"{verb}-{len(self.processes)}.log"
        with log.open("wb") as output:
            running = subprocess.Popen(
                [sys.executable, "-m", "marketplace.cli.main", verb, "--port" if verb == "gateway" else "--health-port", str(port)],
                env=self.settings, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.processes.append(Process(running, port, log))
        return self.processes[-1]

    def close(self) -> None:
        for process in self.processes:
            if process.running.poll() is None:
                process.running.kill()
            process.running.wait()
