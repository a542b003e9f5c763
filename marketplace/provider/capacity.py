"""What of the machine is in use by running jobs. The contract counts GPUs per offer; which ones, and memory, is ours to count."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.spec import Resources
from marketplace.provider.executors.base import ExecutionRequest
from marketplace.provider.inventory import InventoryOffer
from marketplace.store.journal.rows import ServingKey


@dataclass(frozen=True, slots=True)
class JobShare:
    """What one running job has to itself."""

    gpus: tuple[int, ...]
    memory_mib: int
    disk_mib: int


def share_of(request: ExecutionRequest) -> JobShare:
    """What a job was started with."""
    return JobShare(request.gpus, request.limits.memory_mib, request.limits.disk_mib)


class Capacity:
    """Shares of the machine, by serving. Kept in memory only: of jobs that an earlier agent started their executor tells.

    Memory and disk are never promised twice. CPUs are: a job that waits for a CPU is slow, one that waits for memory dies.
    """

    def __init__(self) -> None:
        self._shares: dict[ServingKey, JobShare] = {}

    def take(self, key: ServingKey, offer: InventoryOffer, needs: Resources) -> JobShare | None:
        """A share for this serving, the one that it has already if it has; None while others hold too much."""
        if key in self._shares:
            return self._shares[key]
        held = self._shares.values()
        taken = {number for share in held for number in share.gpus}
        free = [number for number in offer.gpu_numbers if number not in taken]
        has_memory = sum(share.memory_mib for share in held) + needs.memory_mib <= offer.machine.memory_mib
        has_disk = sum(share.disk_mib for share in held) + needs.disk_mib <= offer.machine.disk_mib
        if len(free) < needs.gpus or not has_memory or not has_disk:
            return None
        self._shares[key] = JobShare(tuple(free[: needs.gpus]), needs.memory_mib, needs.disk_mib)
        return self._shares[key]

    def hold(self, key: ServingKey, share: JobShare) -> None:
        """Keep for a job that runs already what it was started with, whoever started it."""
        self._shares[key] = share

    def release(self, key: ServingKey) -> None:
        """The job is gone, to its last process; harmless when there is no share."""
        self._shares.pop(key, None)
