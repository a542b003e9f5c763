"""A job's machine by ssh: which machine that is, by the chain, and by what key it is known, by its provider's signature.

The gateway and its relay carry both, and are believed in neither.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.client.relay import bridged, connected
from marketplace.chain.market import MarketContract
from marketplace.chain.statements import host_key_signer
from marketplace.client.job import Job
from marketplace.domain.errors import GatewayProblem
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.relaying import FRAME_BYTES, FRAMES, caller_path
from marketplace.domain.ssh import EntryReason, EntryRefused, HostKey


@dataclass(frozen=True, slots=True)
class SshPlace:
    """Where ssh is to lead: a lease that runs now, the key of its machine, and the relay that leads there."""

    lease: Bytes32
    host_key: HostKey
    relay: str


def machine_of(job: Job, market: MarketContract, api: GatewayApi) -> SshPlace:
    """The machine on which a job runs now. Raises EntryRefused, ChainError, GatewayError."""
    if not job.spec.ssh_keys:
        raise EntryRefused(EntryReason.NO_SSH, "the job was ordered without a key for ssh: bourse run --ssh")
    return machine_at(running_lease(job, market), market, api)


def machine_at(lease: Bytes32, market: MarketContract, api: GatewayApi) -> SshPlace:
    """The machine of an open lease. Raises EntryRefused, ChainError, GatewayError."""
    relay = api.market().relay
    if not relay:
        raise EntryRefused(EntryReason.NO_RELAY, f"the gateway {api.base_url} names no relay")
    return SshPlace(lease, checked_host_key(lease, market, api), relay)


def running_lease(job: Job, market: MarketContract) -> Bytes32:
    """The newest of the job's leases that is open on the chain. Raises EntryRefused."""
    for order in reversed(job.orders):
        if is_open(order, market):
            return order
    raise EntryRefused(EntryReason.JOB_GONE, f"job {job.number} does not run: it is {job.state}")


def is_open(lease: Bytes32, market: MarketContract) -> bool:
    """Whether a lease runs, by the chain's newest block."""
    return market.lease_of(lease, market.chain.head()).status is LeaseStatus.OPEN


def checked_host_key(lease: Bytes32, market: MarketContract, api: GatewayApi) -> HostKey:
    """The key that the lease's provider signed, as the chain names that provider. Raises EntryRefused."""
    head = market.chain.head()
    offer = market.listing_of(market.lease_of(lease, head).offer, head)
    try:
        told = api.host_key(lease)
    except GatewayProblem as exc:
        raise EntryRefused(EntryReason.JOB_NOT_READY, f"its provider has left no host key yet ({exc.reason})") from exc
    signer = host_key_signer(told.host_key, told.signature, market.domain)
    if offer is None or signer is None or signer != market.companies.speaker_of(offer.provider, head):
        raise EntryRefused(EntryReason.HOST_KEY, "the host key is not signed by the provider that the chain names")
    if told.host_key.valid_until <= head.timestamp:
        raise EntryRefused(EntryReason.HOST_KEY, "what its provider signed is not valid any more")
    return told.host_key


def carry(place: SshPlace, api: GatewayApi) -> str:
    """Be ssh's ProxyCommand: pass stdin and stdout through the relay until either side ends; why the relay ended it, or nothing."""
    path = caller_path(place.lease)
    headers = api.signed_headers(path)

    async def run() -> str:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=FRAME_BYTES * FRAMES)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb", 0))
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(1, "wb", 0))
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        async with connected(place.relay + path, headers) as leg:
            await bridged(leg, reader, writer)
            return leg.close_reason or ""

    return asyncio.run(run())


def known_hosts_line(alias: str, key: HostKey) -> str:
    """The only line of a private known_hosts."""
    return f"{alias} {key.key}\n"


def write_known_host(place: Path, line: str) -> None:
    """Whole or not at all: another ssh may read it just now."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = place.with_name(f"{place.name}.{os.getpid()}")
    partial.write_text(line)
    partial.replace(place)
