"""A PostgreSQL server for tests, from the programs that the package ``pgserver`` brings."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic
from typing import Any

from tests.ports import free_port

NOBODY = 65_534
"""Who runs the server where the tests are root's: PostgreSQL refuses to run as root."""
START_SECONDS = 60


class PostgresqlServer:
    """One server with an empty database; ``kill`` and ``start`` as often as a test wants."""

    def __init__(self) -> None:
        found = find_spec("pgserver")
        assert found is not None
        assert found.origin is not None
        self._programs = Path(found.origin).parent / "pginstall" / "bin"
        self._folder = Path(mkdtemp(prefix="bourse-postgresql-"))  # below /tmp: nobody may not enter pytest's own
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(self._folder, NOBODY, NOBODY)
        self.port = free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        made = [self._programs / "initdb", "--no-sync", "--username=postgres", "--auth=trust", self._folder / "cluster"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, **self._as)
        self.start()

    def start(self) -> None:
        """Returns when the server takes connections."""
        command: list[str | Path] = [
            self._programs / "postgres",
            "-D",
            self._folder / "cluster",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        self._server = subprocess.Popen(
            [*command, "-k", str(self._folder)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._as
        )
        deadline, waiting = monotonic() + START_SECONDS, threading.Event()
        asked = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(asked, check=False).returncode != 0:
            assert self._server.poll() is None
            assert monotonic() < deadline
            waiting.wait(0.05)

    def kill(self) -> None:
        """Drop every connection at once and end, as a crash does: what was committed is found in its log."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(START_SECONDS)

    def remove(self) -> None:
        if self._server.poll() is None:
            self.kill()
        shutil.rmtree(self._folder)
