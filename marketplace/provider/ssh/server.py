"""The SSH server of one job: who may come in, and what they may open there.

Keys only, those of the job's spec. What is opened is inside the job: shells, commands, file transfer, and connections to the
job's own localhost. Nothing is opened on the provider's side (-R, agents, X11), and nobody gets anywhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable
from typing import Final

import asyncssh
from asyncssh.stream import SSHTCPStreamSession

from marketplace.domain.ssh import EntryReason, EntryRefused
from marketplace.provider.executors.entrance import Entrance
from marketplace.provider.ssh.session import SshSession

MOST_SESSIONS: Final = 16
"""Shells, commands and transfers of one job at a time: each has a process beside it."""
MOST_FORWARDS: Final = 128
"""Connections to ports of one job at a time."""
LOCALHOST: Final = ("localhost", "127.0.0.1", "::1")
CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
"""What connections are encrypted with. Deliberately not chacha20-poly1305, which OpenSSH's client would choose: it is as safe, and our side takes
half as long again for it."""
_CHUNK: Final = 1 << 16
_LOGIN_SECONDS: Final = 30
_ALIVE_SECONDS: Final = 20


class SshUse:
    """How much of one job's server is in use, over all of its connections. Of one event loop."""

    def __init__(self, entrance: Entrance) -> None:
        self.entrance = entrance
        self.sessions = self.forwards = 0

    def session(self) -> SshSession:
        """Raises ChannelOpenError for one too many."""
        if self.sessions >= MOST_SESSIONS:
            raise _too_many(f"{MOST_SESSIONS} sessions")
        self.sessions += 1

        def leave() -> None:
            self.sessions -= 1

        return SshSession(self.entrance, leave)

    async def dial(self, port: int) -> socket.socket:
        """A connection to a port of the job's localhost. Raises ChannelOpenError."""
        if self.forwards >= MOST_FORWARDS:
            raise _too_many(f"{MOST_FORWARDS} connections")
        self.forwards += 1
        try:
            return await asyncio.to_thread(self.entrance.network.dial, port)
        except EntryRefused as exc:
            self.forwards -= 1
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, str(exc)) from exc
        except BaseException:
            self.forwards -= 1
            raise


class SshServer(asyncssh.SSHServer):
    """What one connection may do."""

    def __init__(self, use: SshUse) -> None:
        self._use = use

    def session_requested(self) -> SshSession:
        return self._use.session()

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Awaitable[asyncssh.SSHTCPSession[bytes]]:
        if dest_host not in LOCALHOST or not 0 < dest_port < 1 << 16:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "only ports of the job's own localhost"
            )
        return self._connected(dest_port)

    async def _connected(self, port: int) -> asyncssh.SSHTCPSession[bytes]:
        dialled, use = await self._use.dial(port), self._use

        async def forward(reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
            try:
                near = await asyncio.open_connection(sock=dialled, limit=_CHUNK * 4)
                await asyncio.gather(_copied(reader, near[1]), _copied(near[0], writer))
                near[1].close()
                writer.close()
            finally:
                use.forwards -= 1
                dialled.close()

        return SSHTCPStreamSession(forward)


def server_options(
    use: SshUse, host_key: asyncssh.SSHKey, keys: tuple[str, ...]
) -> asyncssh.SSHServerConnectionOptions:
    """The options of every connection to one job."""
    return asyncssh.SSHServerConnectionOptions(
        server_factory=lambda: SshServer(use), server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys("\n".join(keys)), password_auth=False, kbdint_auth=False,
        host_based_auth=False, gss_host=None, encoding=None, line_editor=False, allow_scp=False, x11_forwarding=False,
        agent_forwarding=False, compression_algs=None, encryption_algs=CIPHERS, login_timeout=_LOGIN_SECONDS, keepalive_interval=_ALIVE_SECONDS,
        keepalive_count_max=3, config=(),
    )  # fmt: skip


async def _copied(
    source: asyncssh.SSHReader[bytes] | asyncio.StreamReader, target: asyncssh.SSHWriter[bytes] | asyncio.StreamWriter
) -> None:
    """Copy one way, and tell the other side that it is over."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while chunk := await source.read(_CHUNK):
            target.write(chunk)
            await target.drain()
        target.write_eof()
        return
    target.close()


def _too_many(bound: str) -> asyncssh.ChannelOpenError:
    return asyncssh.ChannelOpenError(
        asyncssh.OPEN_RESOURCE_SHORTAGE, f"{EntryReason.TOO_MANY}: {bound} of one job at a time"
    )
