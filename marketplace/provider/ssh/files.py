"""File transfer (sftp, and with it scp) as a process inside a job's sandbox, so that it sees what the job sees and no more.

Run as a program of its own (``python -I -m marketplace.provider.ssh.files PLAN CONTROL``), and so without anything of the
agent's. asyncssh's server follows links and opens what it is told to: in the agent that would be the machine's own files.
So it is imported here, and then the process becomes one of the sandbox's (``executors.enter``), which needs nothing of the
image. asyncssh speaks to a channel of its own; ours is stdin and stdout, in the few parts that its server looks at.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401  nothing can be imported any more when the mounts have changed
import os
import sys
from concurrent.futures import thread  # noqa: F401  asyncio imports it late
from typing import Any, Final

from asyncssh.logging import logger
from asyncssh.sftp import SFTPServer, run_sftp_server

from marketplace.provider.executors import enter

_VERSION: Final = 3
"""What OpenSSH speaks."""
_BUFFER_BYTES: Final = 1 << 20


class _Channel:
    """As much of a channel as the server asks for."""

    logger = logger

    def __init__(self, transport: asyncio.WriteTransport | None = None) -> None:
        self._transport = transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self._transport is not None and self._transport.is_closing()


class _Reader(asyncio.StreamReader):
    logger = logger
    channel: _Channel

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class _Writer(asyncio.StreamWriter):
    channel: _Channel


class _Files(SFTPServer):
    """All of the sandbox, as the job's user."""

    def __init__(self) -> None:
        super().__init__(_Channel())  # type: ignore[arg-type]


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    reader = _Reader(limit=_BUFFER_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb", 0))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(1, "wb", 0))
    writer = _Writer(transport, protocol, None, loop)
    reader.channel = writer.channel = _Channel(transport)
    await run_sftp_server(_Files(), reader, writer, _VERSION)  # type: ignore[arg-type]


def _run() -> None:
    asyncio.run(_serve())


if __name__ == "__main__":
    enter.main(*enter.told(sys.argv), program=_run)
