"""More time for a rented machine: a request for a session that goes on with another one, on the very same offer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from marketplace.chain.market import MarketContract
from marketplace.client.job import Job
from marketplace.client.request import JobRequest
from marketplace.client.ssh import running_lease
from marketplace.domain.classes import class_numbered
from marketplace.domain.errors import InvalidField
from marketplace.domain.keeping import KEPT_SECONDS
from marketplace.domain.orders import Order
from marketplace.domain.pricing import start_of
from marketplace.domain.units import PricePerGpuHour, Seconds


@dataclass(frozen=True, slots=True)
class FollowOn:
    """What is to be ordered, and whether it can be opened at once."""

    request: JobRequest
    is_early: bool
    """The offer has GPUs free now: then the one before ends as soon as this one is opened."""


def follow_on(job: Job, market: MarketContract, longer: Seconds, limit: PricePerGpuHour | None = None) -> FollowOn:
    """A session on the offer that serves this one, as it is, for so much longer; at what the offer asks now unless there is a ``limit``.

    Opened early it takes the rest of the first one's time over, too. Raises InvalidField for what is no session, EntryRefused for one
    that does not run, ChainError.
    """
    if job.spec.session is None:
        raise InvalidField("job", "is no session: only a rented machine can be extended")
    if job.signed.starts_at:
        raise InvalidField("job", "is a reservation: reserve the time after it, too")
    lease, head = running_lease(job, market), market.chain.head()
    word = market.lease_of(lease, head)
    offer = market.offer_of(word.offer, head)  # as it is now: price, expiry and what is free change
    if offer is None or not offer.is_alive(head.timestamp):
        raise InvalidField("job", f"is on offer {word.offer}, which is withdrawn: rent another machine")
    order = job.signed
    left = max(0, start_of(order, word) + order.max_seconds - head.timestamp)
    is_early = offer.free >= order.gpus
    request = JobRequest(
        command=(), gpus_of=(class_numbered(offer.gpu_class).name,), max_price=limit or offer.price,
        max_time=Seconds(longer + left if is_early else longer), min_time=Seconds(max(order.min_seconds, offer.min_seconds)),
        min_bond_bps=order.min_bond_bps, offer=offer.id, expires_in=Seconds(left + KEPT_SECONDS), retries=0,
    )  # fmt: skip
    return FollowOn(_alike(request, job, order, lease), is_early)


def _alike(request: JobRequest, job: Job, order: Order, lease: str) -> JobRequest:
    """With all that the first one's spec says of its machine, without its inputs: they are there."""
    spec = job.spec
    needs = spec.resources
    assert spec.session is not None, "a session"
    return replace(
        request, name=job.name, gpus=order.gpus, image=spec.image, session=replace(spec.session, follows=lease),
        vram_mib=needs.vram_mib, cpus=needs.cpus, memory_mib=needs.memory_mib, disk_mib=needs.disk_mib, egress=spec.egress,
        egress_mib=needs.egress_mib or request.egress_mib, ssh_keys=spec.ssh_keys, sealed=job.is_sealed, env=dict(job.work.env),
        public=spec.public,
    )  # fmt: skip
