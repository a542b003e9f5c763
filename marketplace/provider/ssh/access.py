"""The way by ssh into one job: its host key, signed and left at each gateway, and a line at each one's relay, until the job is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import asyncssh
import structlog
from websockets.exceptions import WebSocketException

from marketplace.api.client.relay import bridged, connected
from marketplace.api.market import MarketAnswer
from marketplace.chain.signing import Key, SigningDomain
from marketplace.chain.statements import sign_host_key
from marketplace.domain.errors import MarketplaceError
from marketplace.domain.ids import Bytes32
from marketplace.domain.relaying import FRAME_BYTES, FRAMES, answer_path, line_path
from marketplace.domain.ssh import EntryRefused, HostKey, SignedHostKey
from marketplace.domain.units import UnixTime
from marketplace.provider.executors.base import Execution
from marketplace.provider.ssh.server import SshUse, server_options

KEY_GOOD_SECONDS: Final = 6 * 3600
"""Of block time, for which a host key is signed."""
ANEW_SECONDS: Final = 1800.0
"""After so long it is signed and left anew."""
RETRY_SECONDS: Final = 5.0
"""Between two tries at a gateway or a relay that is away."""
READY_SECONDS: Final = 0.5
"""Between two looks at a sandbox that is being made."""
MOST_CONNECTIONS: Final = 32
"""At one job, from all relays together."""

_log = structlog.get_logger()


class SshGateway(Protocol):
    """What it asks of a gateway (``api.client.gateway``). Blocks."""

    @property
    def base_url(self) -> str: ...

    def market(self) -> MarketAnswer: ...

    def post_host_key(self, signed: SignedHostKey) -> None: ...

    def signed_headers(self, path: str) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Speaker:
    """With whose key, in which market and at which block time host keys are signed."""

    key: Key
    domain: SigningDomain
    block_time: Callable[[], UnixTime]

    def signed(self, lease: Bytes32, host_key: str) -> SignedHostKey:
        """Asks the chain for the time. Raises ChainError."""
        said = HostKey(lease, host_key, UnixTime(self.block_time() + KEY_GOOD_SECONDS))
        return SignedHostKey(said, sign_host_key(self.key, said, self.domain))


class SshAccess:
    """One job's. ``attend`` runs in the desk's loop until the job is over, or it is cancelled."""

    def __init__(
        self, lease: Bytes32, execution: Execution, gateways: tuple[SshGateway, ...], speaker: Speaker
    ) -> None:
        self._lease, self._execution, self._gateways, self._speaker = lease, execution, gateways, speaker
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._over = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    async def attend(self) -> None:
        """Keep the way open. Raises nothing but what a fault of ours would."""
        end = await self._end_of_job()
        if end is None:
            return
        loop, entrance = asyncio.get_running_loop(), self._execution.entrance()
        use = SshUse(entrance)
        options = server_options(use, self._host_key, self._execution.request.ssh_keys)
        loop.add_reader(end, self._over.set)
        attending = [asyncio.ensure_future(self._at(gateway, options)) for gateway in self._gateways]
        _log.info("ssh.opened", lease=self._lease)
        try:
            await self._over.wait()
        finally:
            loop.remove_reader(end)
            os.close(end)
            for task in (*attending, *self._connections):
                task.cancel()
            await asyncio.gather(*attending, *self._connections, return_exceptions=True)
            entrance.network.close()
            _log.info("ssh.closed", lease=self._lease)

    async def _end_of_job(self) -> int | None:
        """A handle that is readable when the job is over, as soon as its sandbox is ready; None where it is over before."""
        while await asyncio.to_thread(self._execution.poll) is None:
            try:
                return await asyncio.to_thread(lambda: self._execution.entrance().end_handle())
            except EntryRefused:
                await self._rest(READY_SECONDS)
        return None

    async def _at(self, gateway: SshGateway, options: asyncssh.SSHServerConnectionOptions) -> None:
        """Be found through one gateway: leave the host key there, and keep a line at its relay."""
        public = " ".join(self._host_key.export_public_key("openssh").decode().split()[:2])
        while not self._over.is_set():
            try:
                if relay := (await asyncio.to_thread(gateway.market)).relay:
                    signed = await asyncio.to_thread(self._speaker.signed, self._lease, public)
                    await asyncio.to_thread(gateway.post_host_key, signed)
                    headers = await asyncio.to_thread(gateway.signed_headers, line_path(self._lease))
                    async with asyncio.timeout(ANEW_SECONDS):
                        await self._on_line(relay, headers, options)
            except TimeoutError:
                continue  # time to sign anew
            except (MarketplaceError, OSError, WebSocketException) as exc:
                _log.debug("ssh.no_line", lease=self._lease, gateway=gateway.base_url, error=f"{exc}"[:200])
            await self._rest(RETRY_SECONDS)

    async def _on_line(self, relay: str, headers: dict[str, str], options: asyncssh.SSHServerConnectionOptions) -> None:
        """Bring a leg for each ticket that is told, until the line ends."""
        async with connected(relay + line_path(self._lease), headers) as line:
            async for ticket in line:
                if isinstance(ticket, str) and len(self._connections) < MOST_CONNECTIONS:
                    url = relay + answer_path(self._lease, ticket)
                    task = asyncio.ensure_future(self._met(url, options))
                    self._connections.add(task)
                    task.add_done_callback(self._connections.discard)

    async def _met(self, url: str, options: asyncssh.SSHServerConnectionOptions) -> None:
        """Serve one client, through a leg of its own."""
        try:
            async with connected(url, {}) as leg:
                near, far = socket.socketpair()
                serving = asyncio.ensure_future(asyncssh.run_server(far, options=options))
                try:
                    await bridged(leg, *await asyncio.open_connection(sock=near, limit=FRAME_BYTES * FRAMES))
                finally:
                    await _ended(serving)
        except (OSError, WebSocketException, asyncssh.Error) as exc:
            _log.debug("ssh.connection_ended", lease=self._lease, error=f"{exc}"[:200])

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)


async def _ended(serving: asyncio.Future[asyncssh.SSHServerConnection]) -> None:
    """Close the server's side of a connection, however far it came."""
    with contextlib.suppress(OSError, asyncssh.Error, asyncio.CancelledError):
        connection = await serving
        connection.abort()
        await connection.wait_closed()
