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

    gpus: tuple[str, ...]
    memory_mib: int
    disk_mib: int


def disk_taken_mib(disk_mib: int, *, is_sealed: bool) -> int:
    """How much of the machine's disk a serving may take at once whose order has so much.

    Inputs are unpacked while their parts are deleted, and a job's own files count together with its inputs: that is once the order's
    disk. Of a sealed job inputs are opened before they are unpacked, and outputs sealed beside what they are made of: that is twice.
    """
    return disk_mib * (2 if is_sealed else 1)


def share_of(request: ExecutionRequest, *, is_sealed: bool) -> JobShare:
    """What a job was started with."""
    limits = request.limits
    return JobShare(request.gpus, limits.memory_mib, disk_taken_mib(limits.disk_mib, is_sealed=is_sealed))


class Capacity:
    """Shares of the machine, by serving. Kept in memory only: of jobs that an earlier agent started their executor tells.

    Memory and disk are never promised twice. CPUs are: a job that waits for a CPU is slow, one that waits for memory dies.
    A job that is over leaves its files: its disk is free when its folder is gone.
    """

    def __init__(self) -> None:
        self._shares: dict[ServingKey, JobShare] = {}
        self._left: dict[ServingKey, int] = {}
        """MiB of disk, by servings whose job is over."""

    def take(self, key: ServingKey, offer: InventoryOffer, needs: Resources, disk_mib: int) -> JobShare | None:
        """A share for this serving, the one that it has already if it has; None while others hold too much."""
        if key in self._shares:
            return self._shares[key]
        held = self._shares.values()
        taken = self.gpus_in_use()
        free = [gpu for gpu in offer.gpus if gpu not in taken]
        has_memory = sum(share.memory_mib for share in held) + needs.memory_mib <= offer.machine.memory_mib
        others = sum(mib for other, mib in self._left.items() if other != key)
        has_disk = sum(share.disk_mib for share in held) + others + disk_mib <= offer.machine.disk_mib
        if len(free) < needs.gpus or not has_memory or not has_disk:
            return None
        self._left.pop(key, None)
        self._shares[key] = JobShare(tuple(free[: needs.gpus]), needs.memory_mib, disk_mib)
        return self._shares[key]

    def gpus_in_use(self) -> frozenset[str]:
        """Those that running jobs have to themselves."""
        return frozenset(gpu for share in self._shares.values() for gpu in share.gpus)

    def hold(self, key: ServingKey, share: JobShare) -> None:
        """Keep for a job that runs already what it was started with, whoever started it."""
        self._shares[key] = share

    def end(self, key: ServingKey) -> None:
        """The job is gone, to its last process; its files are not. Harmless when there is no share."""
        if share := self._shares.pop(key, None):
            self._left[key] = share.disk_mib

    def leave(self, key: ServingKey, disk_mib: int) -> None:
        """So much of the disk is what a job has left that is over."""
        if key not in self._shares:
            self._left[key] = disk_mib

    def release(self, key: ServingKey) -> None:
        """Its folder is gone, too."""
        self._shares.pop(key, None)
        self._left.pop(key, None)
