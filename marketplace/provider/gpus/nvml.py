"""NVIDIA's driver, asked through NVML (``nvidia-ml-py``). The only importer of ``pynvml``.

Any getter may say that this GPU does not support it, or that we may not: then nothing is known, and nothing is put in its place.
A GPU that does not even tell its UUID or its name is left out: it cannot be picked.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from marketplace.domain.classes import GpuClass
from marketplace.domain.errors import ToolMissing
from marketplace.provider.gpus.names import Unfit, UnfitReason, class_of_gpu

MOST_GPUS = 256
MOST_PROCESSES = 1_024
_MOST_LETTERS = 96
_MIB = 1 << 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SeenGpu:
    """One GPU as NVML shows it. None: the driver does not tell."""

    index: int
    """The driver's own number of it: another one after the next boot, perhaps."""
    uuid: str
    name: str
    memory_mib: int | None
    minor: int | None
    """N of its device file /dev/nvidiaN, which is not its index."""
    bus: str | None
    pcie_generation: int | None
    pcie_lanes: int | None
    nvlinks: int | None
    """How many are up."""
    is_split: bool | None
    """MIG is on."""
    has_ecc: bool | None
    ecc_errors: int | None
    """That could not be corrected, since the driver was loaded."""
    temperature_c: int | None
    capability: str | None
    """CUDA's compute capability, such as 8.9."""
    processes: tuple[int, ...] | None
    """Whose programs compute on it now."""

    @property
    def gpu_class(self) -> GpuClass | Unfit:
        """What it may be offered as, or why it may not."""
        if self.is_split:
            return Unfit(UnfitReason.PARTITION, f"{self.name} is split into parts (MIG): nvidia-smi -mig 0 ends that")
        return class_of_gpu(self.name, self.memory_mib)


@dataclass(frozen=True, slots=True)
class SeenMachine:
    """What the driver shows at one moment."""

    driver: str | None
    cuda: str | None
    """The newest CUDA that the driver speaks, such as 12.4."""
    gpus: tuple[SeenGpu, ...]

    def gpu(self, uuid: str) -> SeenGpu | None:
        """The GPU of that UUID."""
        return next((gpu for gpu in self.gpus if gpu.uuid == uuid), None)


NO_GPUS = SeenMachine(None, None, ())


@dataclass(frozen=True, slots=True)
class GpuSample:
    """How busy a GPU is at one moment. None: the driver does not tell."""

    uuid: str
    busy_percent: int | None
    memory_used_mib: int | None
    power_w: int | None
    temperature_c: int | None


class Nvml:
    """NVML, initialised anew for each look: a driver that is replaced meanwhile is seen as it is then. For any thread."""

    def __init__(self, module: Path | None = None) -> None:
        """``module``: the file of a Python module that is asked instead of ``pynvml`` (``BOURSE_NVML``)."""
        self._file = module
        self._lock = threading.Lock()

    def look(self) -> SeenMachine:
        """Everything that the driver shows. Raises ToolMissing where there is none, or it does not answer."""

        def seen(nvml: ModuleType) -> SeenMachine:
            count = min(nvml.nvmlDeviceGetCount(), MOST_GPUS)
            found = (_seen(nvml, index) for index in range(count))
            return SeenMachine(
                _text(nvml, "nvmlSystemGetDriverVersion"), _cuda(nvml), tuple(gpu for gpu in found if gpu is not None)
            )

        return self._asked(seen)

    def sample(self, uuids: tuple[str, ...]) -> tuple[GpuSample, ...]:
        """How busy these are; those that are not there are left out. Raises ToolMissing."""

        def sampled(nvml: ModuleType) -> tuple[GpuSample, ...]:
            return tuple(one for uuid in uuids if (one := _sample(nvml, uuid)) is not None)

        return self._asked(sampled)

    def _asked(self, ask: Callable[[ModuleType], T]) -> T:
        nvml = self._module()
        with self._lock:
            try:
                nvml.nvmlInit()
                try:
                    return ask(nvml)
                finally:
                    nvml.nvmlShutdown()
            except nvml.NVMLError as exc:
                raise ToolMissing("NVML", f"NVIDIA's driver does not answer on this machine ({exc})") from exc

    def _module(self) -> ModuleType:
        try:
            return importlib.import_module("pynvml") if self._file is None else _module_at(self._file)
        except (ImportError, OSError) as exc:
            raise ToolMissing("NVML", f"nvidia-ml-py cannot be loaded ({exc})") from exc


def _module_at(path: Path) -> ModuleType:
    name = f"bourse_nvml:{path}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    sys.modules[name] = module
    return module


def _known(nvml: ModuleType, getter: str, *arguments: Any) -> Any:
    """What a getter says; None where it is not supported, not permitted, or not there in this driver."""
    try:
        return getattr(nvml, getter)(*arguments)
    except nvml.NVMLError:
        return None


def _text(nvml: ModuleType, getter: str, *arguments: Any) -> str | None:
    said = _known(nvml, getter, *arguments)
    return None if said is None else _plain(said) or None


def _plain(said: Any) -> str:
    """A text of at most so many letters, in one line: it ends up in documents."""
    words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return "".join(sign for sign in words if sign.isascii() and sign.isprintable())[:_MOST_LETTERS]


def _seen(nvml: ModuleType, index: int) -> SeenGpu | None:
    device = _known(nvml, "nvmlDeviceGetHandleByIndex", index)
    if device is None:
        return None
    uuid, name = _text(nvml, "nvmlDeviceGetUUID", device), _text(nvml, "nvmlDeviceGetName", device)
    if uuid is None or name is None or not is_uuid(uuid):
        return None
    memory, mig, ecc = (_known(nvml, f"nvmlDeviceGet{what}", device) for what in ("MemoryInfo", "MigMode", "EccMode"))
    place = _known(nvml, "nvmlDeviceGetPciInfo", device)
    errors = (nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
    capability = _known(nvml, "nvmlDeviceGetCudaComputeCapability", device)
    return SeenGpu(
        index=index, uuid=uuid, name=name, memory_mib=None if memory is None else int(memory.total) // _MIB,
        minor=_known(nvml, "nvmlDeviceGetMinorNumber", device), bus=None if place is None else _plain(place.busId),
        pcie_generation=_known(nvml, "nvmlDeviceGetMaxPcieLinkGeneration", device),
        pcie_lanes=_known(nvml, "nvmlDeviceGetMaxPcieLinkWidth", device), nvlinks=_nvlinks(nvml, device),
        is_split=None if mig is None else bool(mig[0]), has_ecc=None if ecc is None else bool(ecc[0]),
        ecc_errors=_known(nvml, "nvmlDeviceGetTotalEccErrors", device, *errors),
        temperature_c=_known(nvml, "nvmlDeviceGetTemperature", device, nvml.NVML_TEMPERATURE_GPU),
        capability=None if capability is None else "{}.{}".format(*capability), processes=_processes(nvml, device),
    )  # fmt: skip


def is_uuid(text: str) -> bool:
    """Whether it has the form of a GPU's UUID. It stands in file names, environments and documents."""
    rest = text.removeprefix("GPU-")
    return (
        rest != text
        and 0 < len(rest) <= 64
        and all(sign.isascii() and (sign.isalnum() or sign == "-") for sign in rest)
    )


def _sample(nvml: ModuleType, uuid: str) -> GpuSample | None:
    device = _known(nvml, "nvmlDeviceGetHandleByUUID", uuid)
    if device is None:
        return None
    busy, memory = (
        _known(nvml, "nvmlDeviceGetUtilizationRates", device),
        _known(nvml, "nvmlDeviceGetMemoryInfo", device),
    )
    milliwatts = _known(nvml, "nvmlDeviceGetPowerUsage", device)
    return GpuSample(
        uuid, None if busy is None else int(busy.gpu), None if memory is None else int(memory.used) // _MIB,
        None if milliwatts is None else int(milliwatts) // 1000,
        _known(nvml, "nvmlDeviceGetTemperature", device, nvml.NVML_TEMPERATURE_GPU),
    )  # fmt: skip


def _cuda(nvml: ModuleType) -> str | None:
    """1000 times the major number, and 10 times the minor one, as text."""
    number = _known(nvml, "nvmlSystemGetCudaDriverVersion")
    return None if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _nvlinks(nvml: ModuleType, device: Any) -> int | None:
    """Those that are up; None where the GPU has none to ask about."""
    said = [_known(nvml, "nvmlDeviceGetNvLinkState", device, link) for link in range(nvml.NVML_NVLINK_MAX_LINKS)]
    told = [state for state in said if state is not None]
    return sum(map(bool, told)) if told else None


def _processes(nvml: ModuleType, device: Any) -> tuple[int, ...] | None:
    found = _known(nvml, "nvmlDeviceGetComputeRunningProcesses", device)
    return None if found is None else tuple(sorted(int(one.pid) for one in found[:MOST_PROCESSES]))
