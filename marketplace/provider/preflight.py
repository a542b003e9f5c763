"""Whether this agent can run a job, and if not, why: decided before the meter costs anybody anything."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.declines import ObstacleReason, one_line
from marketplace.domain.ids import Address
from marketplace.domain.orders import Order
from marketplace.domain.spec import JOB_IN, JOB_OUT, JobSpec
from marketplace.domain.work import Assignment
from marketplace.provider.capacity import disk_taken_mib
from marketplace.provider.inventory import InventoryOffer

__all__ = ["Obstacle", "ObstacleReason", "obstacle_to"]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a job cannot be run here, for the log, the journal and the client."""

    reason: ObstacleReason
    detail: str
    """One printable line, however it was made: a client's own words are in it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", one_line(self.detail))

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def obstacle_to(task: Assignment, order: Order, offer: InventoryOffer, provider: Address) -> Obstacle | None:
    """The first thing about this job that this machine cannot or must not do; None when it can be run."""
    is_sealed = task.work.sealed is not None
    return obstacle_in_spec(task.spec, order, offer, provider, is_sealed=is_sealed) or _obstacle_in_files(task)


def obstacle_in_spec(
    spec: JobSpec, order: Order, offer: InventoryOffer, provider: Address, *, is_sealed: bool
) -> Obstacle | None:
    """The first thing in what everybody may see of it. Where nobody knows yet whether the work is sealed, say that it is."""
    machine, needs, where = offer.machine, spec.resources, spec.constraints
    disk_mib = disk_taken_mib(needs.disk_mib, is_sealed=is_sealed)
    is_excluded = provider in where.exclude_providers or (bool(where.providers) and provider not in where.providers)
    image = spec.image_name
    image_refusal = offer.images.refusal(image) if image else ""
    checks = (
        (bool(image) and offer.images.cache_mib == 0, ObstacleReason.IMAGE_NOT_SUPPORTED, "no images are run here"),
        (bool(image_refusal), ObstacleReason.IMAGE_REFUSED, image_refusal),
        (needs.egress_mib > machine.egress_mib, ObstacleReason.NETWORK_NOT_OFFERED, f"{needs.egress_mib} of {machine.egress_mib} MiB"),
        (spec.checkpoint is not None, ObstacleReason.CHECKPOINT_NOT_SUPPORTED, "checkpoints are not kept here"),
        (needs.gpus != order.gpus, ObstacleReason.GPUS_DIFFER, f"spec {needs.gpus}, order {order.gpus}"),
        (needs.vram_mib > machine.vram_mib, ObstacleReason.NOT_ENOUGH_VRAM, f"{needs.vram_mib} of {machine.vram_mib} MiB"),
        (needs.cpus > machine.cpus, ObstacleReason.NOT_ENOUGH_CPUS, f"{needs.cpus} of {machine.cpus}"),
        (needs.memory_mib > machine.memory_mib, ObstacleReason.NOT_ENOUGH_MEMORY, f"{needs.memory_mib} of {machine.memory_mib} MiB"),
        (disk_mib > machine.disk_mib, ObstacleReason.NOT_ENOUGH_DISK, f"{disk_mib} of {machine.disk_mib} MiB"),
        (bool(where.regions) and machine.region not in where.regions, ObstacleReason.WRONG_REGION, machine.region),
        (is_excluded, ObstacleReason.PROVIDER_EXCLUDED, "the spec does not want this provider"),
    )  # fmt: skip
    return next((Obstacle(reason, detail) for is_broken, reason, detail in checks if is_broken), None)


def _obstacle_in_files(task: Assignment) -> Obstacle | None:
    outside = [
        path
        for path in task.work.outputs
        if not any(path == side or path.startswith(side + "/") for side in (JOB_IN, JOB_OUT))
    ]
    if outside:
        return Obstacle(
            ObstacleReason.OUTPUT_NOT_SUPPORTED, f"{outside[0]} is neither below {JOB_IN} nor below {JOB_OUT}"
        )
    limit, total = task.spec.resources.disk_mib << 20, sum(item.bytes for item in task.work.inputs)
    return (
        Obstacle(ObstacleReason.NOT_ENOUGH_DISK, f"inputs of {total} bytes, {limit} allowed") if total > limit else None
    )
