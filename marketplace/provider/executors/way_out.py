"""Opens the way out of a job's network, from the job's supervisor: before the job begins, and until it is over.

The socket is made in the job's namespace by ``enter`` and handed to the proxy, which is of this machine's. It outlives an
agent that is restarted, as the job does.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from typing import Final

from marketplace.domain.ssh import EntryRefused
from marketplace.provider.egress.rules import COUNTS, PROXY_PORT
from marketplace.provider.executors.entrance import Entrance
from marketplace.provider.executors.records import JobPlan
from marketplace.provider.executors.sandbox import job_user

_PROXY: Final = "marketplace.provider.egress.proxy"
_END_SECONDS: Final = 10.0


class JobWayOut:
    """The proxy of one job; none until it is opened, and for a job that has no list."""

    def __init__(self, plan: JobPlan) -> None:
        self._plan, self._rules = plan, plan.request.way_out
        self._proxy: subprocess.Popen[bytes] | None = None
        self._counts = os.memfd_create("counts") if self._rules else -1

    def open(self) -> None:
        """Listen in the job's network, and start the proxy there. Raises OSError."""
        if self._rules is None or self._proxy is not None:
            return
        network = Entrance(self._plan).network
        try:
            listener = network.listen(PROXY_PORT)
        except EntryRefused as exc:
            raise OSError(f"the way out of its network: {exc}") from exc
        finally:
            network.close()
        self._line, theirs = socket.socketpair()
        told = asdict(self._rules) | {"user": job_user(self._plan.request, self._plan.first_user)}
        handles = (listener.fileno(), theirs.fileno(), self._counts)
        with listener, theirs, os.fdopen(os.memfd_create("rules"), "w+b") as rules:
            rules.write(json.dumps(told).encode())
            rules.seek(0)
            # It says nothing: what a job makes it say would be a way to fill the disk.
            self._proxy = subprocess.Popen(
                [sys.executable, "-I", "-m", _PROXY, *map(str, handles)], env={}, cwd="/", stdin=rules,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=handles, start_new_session=True,
            )  # fmt: skip

    def close(self) -> int:
        """End the proxy; how many bytes have passed."""
        if self._proxy is None:
            return 0
        self._line.close()
        try:
            self._proxy.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._proxy.kill()
            self._proxy.wait()
        counted = os.pread(self._counts, COUNTS.size, 0)
        return sum(COUNTS.unpack(counted)) if counted else 0
