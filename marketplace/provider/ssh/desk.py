"""The ways by ssh into all jobs of one agent, on one thread with a loop of its own. The agent's step only says which job
runs, and never waits.

Whatever goes wrong here, or hangs, is out of the money's way: nothing of the agent's is held while somebody is in a job, and its
thread keeps no process alive.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable

import structlog

from marketplace.domain.ids import Bytes32
from marketplace.provider.executors.base import Execution
from marketplace.provider.ssh.access import Speaker, SshAccess, SshGateway

_log = structlog.get_logger()


class SshDesk:
    """open(key, lease, execution) for every job that runs, as often as one likes; close() when the agent ends."""

    def __init__(self, gateways: tuple[SshGateway, ...], speaker: Speaker) -> None:
        self._gateways, self._speaker = gateways, speaker
        self._served: dict[Hashable, Execution] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, key: Hashable, lease: Bytes32, execution: Execution) -> None:
        """Keep a way into this job, if its client wants one, until it is over. Returns at once."""
        if not execution.request.ssh_keys or self._served.get(key) is execution:
            return
        self._served = {known: one for known, one in self._served.items() if one.poll() is None} | {key: execution}
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run, args=(self._loop,), name="ssh", daemon=True).start()
        self._loop.call_soon_threadsafe(self._begin, lease, execution)

    def close(self) -> None:
        """Let everybody get up; sessions end with the lines to their keepers."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop)
            self._loop = None

    def _begin(self, lease: Bytes32, execution: Execution) -> None:
        task = asyncio.ensure_future(SshAccess(lease, execution, self._gateways, self._speaker).attend())
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("ssh.failed", error=f"{error!r:.400}")

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()
        asyncio.get_running_loop().stop()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()
