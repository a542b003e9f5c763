"""`bourse expose`: opens a port of a running job to others, over HTTP, for as long as the job runs and the command does."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from marketplace.cli.jobs import JobArgument
from marketplace.cli.session import ACCOUNT, JSON, KEY, CommandSession, with_session
from marketplace.cli.ssh import PortArgument, host_name_of, ports_of
from marketplace.client import Job, Market
from marketplace.client.ssh import SshPlace, is_open, machine_at, machine_of
from marketplace.domain.chain_errors import ChainError
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32
from marketplace.domain.ssh import EntryReason, EntryRefused
from marketplace.exposure.door import Door, ExposedHost
from marketplace.exposure.server import Exposure
from marketplace.ssh_keys import OWN_KEY

if TYPE_CHECKING:
    from marketplace.client.tunnel import Tunnel

app = typer.Typer()

LOOK_SECONDS: Final = 5.0
"""Between two looks whether the lease is still open."""
_HTTP: Final = 80


@app.command()
@with_session(JSON, KEY, ACCOUNT)
def expose(session: CommandSession, job: JobArgument, port: PortArgument) -> None:
    """Open a port of a running job to whom you give its address: HTTP and WebSocket, on a host of the job's own. Ctrl-C takes it back."""
    from marketplace.client.tunnel import Tunnel  # with it comes asyncssh, which no other command needs

    here, there = ports_of(port)
    with session.market() as market:
        found = market.job(job)
        machine = _Machine(machine_of(found, market.session.market, market.api).lease, market)
        door, key = Door(_host(session, found, here), there), session.settings.home / OWN_KEY
        tunnel = Tunnel(machine, key if key.is_file() else None)
        try:
            asyncio.run(_Showing(session, machine, tunnel, door).until_the_end(here))
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def _host(session: CommandSession, job: Job, here: int) -> ExposedHost:
    """One of this machine's own names, or one below the domain that the settings name, whose TLS is somebody else's."""
    if domain := session.settings.expose_domain:
        return ExposedHost(f"{host_name_of(job)}.{domain}", "https")
    return ExposedHost(f"{host_name_of(job)}.localhost" + (f":{here}" if here != _HTTP else ""))


@dataclass(frozen=True, slots=True)
class _Machine:
    """The machine of one lease, and of no later one of the same job: that is another provider's, perhaps."""

    lease: Bytes32
    market: Market

    def place(self) -> SshPlace:
        if not self.is_there():
            raise EntryRefused(EntryReason.JOB_GONE, "its lease is over")
        return machine_at(self.lease, self.market.session.market, self.market.api)

    def signed_headers(self, path: str) -> dict[str, str]:
        return self.market.api.signed_headers(path)

    def is_there(self) -> bool:
        """Raises ChainError."""
        return is_open(self.lease, self.market.session.market)


class _Showing:
    """One run of the command."""

    def __init__(self, session: CommandSession, machine: _Machine, tunnel: Tunnel, door: Door) -> None:
        self._session, self._machine, self._tunnel, self._door = session, machine, tunnel, door

    async def until_the_end(self, here: int) -> None:
        """Serve until the lease is over. Raises InvalidField where the port is taken here."""
        stopping, ready = asyncio.Event(), asyncio.Event()
        serving = asyncio.ensure_future(
            Exposure(self._door, lambda: self._tunnel.dial(self._door.port)).serve(here, stopping, ready)
        )
        begun = asyncio.ensure_future(ready.wait())
        await asyncio.wait({serving, begun}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        try:
            if not serving.done():
                self._tell()
                await self._tell_health()
                await self._lease_over(serving)
            stopping.set()
            await serving
        except OSError as exc:
            raise InvalidField(
                "port", f"{here} cannot be had here ({exc.strerror}): name another one, HERE:THERE"
            ) from exc
        finally:
            await self._tunnel.close()

    def _tell(self) -> None:
        door = self._door
        self._session.answer(
            {"lease": self._machine.lease, "origin": door.host.origin, "address": door.address, "token": door.token},
            door.address,
        )
        sys.stdout.flush()  # whoever reads it through a pipe need not wait for our end
        self._session.say(
            f"whoever has this address reaches port {door.port} of the job, until it is over or you end this by Ctrl-C"
        )

    async def _tell_health(self) -> None:
        try:
            _, writer = await self._tunnel.dial(self._door.port)
            writer.close()
        except EntryRefused as exc:
            self._session.say(f"the job's service does not answer, or not yet: {exc}")

    async def _lease_over(self, serving: asyncio.Task[None]) -> None:
        """Return when it is. A chain that does not answer ends nothing."""
        is_there = True
        while is_there and not serving.done():
            await asyncio.wait({serving}, timeout=LOOK_SECONDS)
            with contextlib.suppress(ChainError):
                is_there = await asyncio.to_thread(self._machine.is_there)
        self._session.say("the lease is over, and with it the address")
