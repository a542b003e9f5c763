"""The GPUs of this machine in one agent's hands: what the driver shows of them, what the offers may be said to be, and what jobs get.

An offer whose GPUs have UUIDs is held to them: while one is missing, of another class, in somebody else's use or not to be handed to
a sandbox, the offer is not on the market. One whose GPUs have numbers only is declared, and nobody says that it was measured.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from marketplace.domain.classes import GpuClass
from marketplace.domain.errors import ConfigError, ToolMissing
from marketplace.provider.executors.devices import GpuDevices
from marketplace.provider.gpus.cdi import CDI_FOLDERS, CdiGpus, read_cdi
from marketplace.provider.gpus.devices import devices_for
from marketplace.provider.gpus.names import Unfit, UnfitReason
from marketplace.provider.gpus.nvml import NO_GPUS, GpuSample, Nvml, SeenGpu, SeenMachine, is_uuid

_log = structlog.get_logger()


class OfOneClass(Protocol):
    """What is looked at of an offer (``inventory.InventoryOffer``)."""

    @property
    def gpu(self) -> GpuClass: ...
    @property
    def gpus(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class GpuSight:
    """What was seen of one offer's GPUs."""

    gpus: tuple[SeenGpu, ...] = ()
    """All of them, where they were measured; none where they are declared."""
    unfit: Unfit | None = None
    """Why it must not be on the market now."""

    @property
    def is_measured(self) -> bool:
        return bool(self.gpus) and self.unfit is None


class GpuRig:
    """One machine's. ``look`` asks the driver and may take long; everything else answers from the last look."""

    def __init__(self, nvml: Nvml | None = None, cdi_folders: Sequence[Path] = CDI_FOLDERS) -> None:
        self._nvml, self._cdi_folders = nvml or Nvml(), tuple(cdi_folders)
        self.seen: SeenMachine = NO_GPUS
        self.trouble = "nobody has looked yet"
        """Why nothing is seen; empty where the driver answers."""
        self._before: SeenMachine = NO_GPUS

    def look(self) -> SeenMachine:
        """What the driver shows now; nothing where there is none. Never raises."""
        try:
            seen, trouble = self._nvml.look(), ""
        except ToolMissing as exc:
            seen, trouble = NO_GPUS, str(exc)
        if (trouble, *_kept(seen)) != (self.trouble, *_kept(self.seen)):
            _log.info(
                "gpus.seen", gpus=[f"{gpu.uuid} {gpu.name}" for gpu in seen.gpus], driver=seen.driver, why=trouble
            )
        self._before, self.seen, self.trouble = self.seen, seen, trouble
        return seen

    def cdi(self) -> CdiGpus:
        """What the machine's CDI files say now."""
        return read_cdi(self._cdi_folders)

    def devices(self, gpus: Sequence[str]) -> GpuDevices:
        """What a job's sandbox is given of these. Raises ConfigError."""
        return devices_for(gpus, self.seen, self.cdi())

    def sample(self, gpus: Iterable[str]) -> tuple[GpuSample, ...]:
        """How busy these are. Raises ToolMissing."""
        return self._nvml.sample(tuple(filter(is_uuid, gpus)))

    def sight(self, offer: OfOneClass, in_use: Collection[str] = ()) -> GpuSight:
        """What was seen of an offer's GPUs. ``in_use``: GPUs on which jobs of ours run, whose programs are nobody else's."""
        if not any(map(is_uuid, offer.gpus)):
            return GpuSight()
        found: list[SeenGpu] = []
        for uuid in filter(is_uuid, offer.gpus):
            seen = self.seen.gpu(uuid)
            if seen is None:
                return GpuSight(
                    unfit=Unfit(
                        UnfitReason.NOT_THERE, f"GPU {uuid} is not there: {self.trouble or 'see nvidia-smi -L'}"
                    )
                )
            if unfit := self._unfit(seen, offer.gpu, is_ours=uuid in in_use):
                return GpuSight(unfit=unfit)
            found.append(seen)
        return GpuSight(tuple(found) if len(found) == len(offer.gpus) else (), self._without_devices(offer.gpus))

    def _unfit(self, gpu: SeenGpu, wanted: GpuClass, *, is_ours: bool) -> Unfit | None:
        is_of = gpu.gpu_class
        if isinstance(is_of, Unfit):
            return Unfit(is_of.reason, f"GPU {gpu.uuid}: {is_of}")
        if is_of != wanted:
            return Unfit(
                UnfitReason.CLASS_DIFFERS, f"GPU {gpu.uuid} is a {is_of.name}, and its offer says {wanted.name}"
            )
        before = self._before.gpu(gpu.uuid)
        # Seen twice: what a job of ours leaves behind for a moment is nobody else's.
        staying = set(gpu.processes or ()) & set(before.processes or ()) if before else set()
        if staying and not is_ours:
            others = ", ".join(map(str, sorted(staying)[:5]))
            return Unfit(UnfitReason.IN_USE, f"GPU {gpu.uuid} computes for somebody else (process {others})")
        return None

    def _without_devices(self, gpus: Sequence[str]) -> Unfit | None:
        try:
            self.devices(gpus)
        except ConfigError as exc:
            return Unfit(UnfitReason.NO_DEVICES, str(exc))
        return None


def _kept(seen: SeenMachine) -> tuple[object, ...]:
    """What of a machine does not change from look to look."""
    return seen.driver, [(gpu.uuid, gpu.name, gpu.memory_mib, gpu.is_split) for gpu in seen.gpus]
