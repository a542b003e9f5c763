"""Connections to ports of a running job from within Python, by the way on which `bourse forward` goes: ssh to its machine, through the relay.

asyncssh is the client here: a refusal comes with its reason, and one connection carries all. It is imported by who opens a
tunnel, and not with the SDK.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Final, Protocol

import asyncssh
from websockets.exceptions import WebSocketException

from marketplace.api.client.relay import bridged, connected
from marketplace.client.ssh import SshPlace
from marketplace.domain.errors import MarketplaceError
from marketplace.domain.relaying import FRAME_BYTES, FRAMES, caller_path
from marketplace.domain.ssh import EntryReason, EntryRefused

CONNECT_SECONDS: Final = 30
"""For the whole way to the machine."""
DIAL_SECONDS: Final = 20
"""For a port, once there."""
_ALIVE_SECONDS: Final = 20
_WHY: Final = {
    asyncssh.OPEN_CONNECT_FAILED: EntryReason.PORT_CLOSED,
    asyncssh.OPEN_RESOURCE_SHORTAGE: EntryReason.TOO_MANY,
}


class TunnelEnd(Protocol):
    """Where the tunnel leads. Both block."""

    def place(self) -> SshPlace:
        """Raises MarketplaceError."""
        ...

    def signed_headers(self, path: str) -> dict[str, str]: ...


class Tunnel:
    """``dial`` connects, to the machine too where that is needed (again). Of one event loop."""

    def __init__(self, machine: TunnelEnd, key: Path | None) -> None:
        """``key``: the file of the secret key; None: those that OpenSSH would try, its agent's included."""
        self._machine, self._key = machine, key
        self._connecting = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._carrying: asyncio.Task[None] | None = None

    async def dial(self, port: int) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        """A connection to a port of the job's localhost. Raises EntryRefused."""
        connection = await self._connected()
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                return await connection.open_connection("localhost", port, encoding=None)
        except asyncssh.ChannelOpenError as exc:
            raise EntryRefused(_WHY.get(exc.code, EntryReason.ENTRY_FAILED), exc.reason) from exc
        except (TimeoutError, OSError, asyncssh.Error) as exc:
            raise EntryRefused(EntryReason.ENTRY_FAILED, f"no connection to port {port} in {DIAL_SECONDS} s") from exc

    async def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.abort()
            await self._connection.wait_closed()
        if self._carrying is not None:
            self._carrying.cancel()
            await asyncio.gather(self._carrying, return_exceptions=True)

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._connecting:
            if self._connection is None or self._connection.is_closed():
                await self.close()
                try:
                    async with asyncio.timeout(CONNECT_SECONDS):
                        self._connection = await self._met(await asyncio.to_thread(self._machine.place))
                except EntryRefused:
                    raise
                except (MarketplaceError, TimeoutError, OSError, asyncssh.Error) as exc:
                    raise EntryRefused(
                        EntryReason.ENTRY_FAILED, f"no way to the machine now ({exc or 'too slow'})"
                    ) from exc
            return self._connection

    async def _met(self, place: SshPlace) -> asyncssh.SSHClientConnection:
        near, far = socket.socketpair()
        headers = await asyncio.to_thread(self._machine.signed_headers, caller_path(place.lease))
        self._carrying = asyncio.ensure_future(_carried(far, place, headers))
        key = asyncssh.import_public_key(place.host_key.key)
        keys = {"client_keys": [str(self._key)]} if self._key else {}
        return await asyncssh.connect(
            "job", sock=near, username="job", known_hosts=([key], [], []), config=None, **keys,
            keepalive_interval=_ALIVE_SECONDS, keepalive_count_max=3, compression_algs=None, login_timeout=CONNECT_SECONDS,
        )  # fmt: skip


async def _carried(far: socket.socket, place: SshPlace, headers: dict[str, str]) -> None:
    """Pass bytes between our end and the relay; closing ours tells ssh that it is over, however it came to be."""
    reader, writer = await asyncio.open_connection(sock=far, limit=FRAME_BYTES * FRAMES)
    try:
        with contextlib.suppress(OSError, WebSocketException):
            async with connected(place.relay + caller_path(place.lease), headers) as leg:
                await bridged(leg, reader, writer)
    finally:
        writer.close()
