"""What ``pynvml`` says on a machine that ``fake_nvml.json`` beside this file describes, read anew by each ``nvmlInit``.

A field that is absent there is not supported by that GPU; one that is {"error": N} fails with that number. Standard library only:
agents load this file by its path.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NVML_ERROR_NOT_SUPPORTED = 3
NVML_ERROR_NOT_FOUND = 6
NVML_ERROR_LIBRARY_NOT_FOUND = 12
NVML_TEMPERATURE_GPU = 0
NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
NVML_VOLATILE_ECC = 0
NVML_NVLINK_MAX_LINKS = 18

_state: dict[str, Any] = {"depth": 0, "machine": {}}


class NVMLError(Exception):
    """As the real one: a number."""

    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


def nvmlInit() -> None:
    _state["machine"] = json.loads(Path(__file__).with_suffix(".json").read_text())
    if _state["machine"].get("no_driver"):
        raise NVMLError(NVML_ERROR_LIBRARY_NOT_FOUND)
    _state["depth"] += 1


def nvmlShutdown() -> None:
    if not _state["depth"]:
        raise NVMLError(1)
    _state["depth"] -= 1


def _machine(name: str) -> Any:
    if not _state["depth"]:
        raise NVMLError(1)
    if name not in _state["machine"]:
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    return _state["machine"][name]


def _gpu(handle: Any, name: str) -> Any:
    if name not in handle:
        raise NVMLError(NVML_ERROR_NOT_SUPPORTED)
    value = handle[name]
    if isinstance(value, dict) and "error" in value:
        raise NVMLError(value["error"])
    return value


def nvmlSystemGetDriverVersion() -> Any:
    return _machine("driver")


def nvmlSystemGetCudaDriverVersion() -> Any:
    return _machine("cuda")


def nvmlDeviceGetCount() -> int:
    return len(_machine("gpus"))


def nvmlDeviceGetHandleByIndex(index: int) -> Any:
    return _machine("gpus")[index]


def nvmlDeviceGetHandleByUUID(uuid: str) -> Any:
    for gpu in _machine("gpus"):
        if gpu.get("uuid") == uuid:
            return gpu
    raise NVMLError(NVML_ERROR_NOT_FOUND)


def nvmlDeviceGetUUID(handle: Any) -> Any:
    return _gpu(handle, "uuid")


def nvmlDeviceGetName(handle: Any) -> Any:
    return _gpu(handle, "name")


def nvmlDeviceGetMemoryInfo(handle: Any) -> Any:
    return SimpleNamespace(total=_gpu(handle, "memory_mib") << 20, used=handle.get("used_mib", 0) << 20)


def nvmlDeviceGetMinorNumber(handle: Any) -> Any:
    return _gpu(handle, "minor")


def nvmlDeviceGetPciInfo(handle: Any) -> Any:
    return SimpleNamespace(busId=_gpu(handle, "bus"))


def nvmlDeviceGetMaxPcieLinkGeneration(handle: Any) -> Any:
    return _gpu(handle, "pcie_generation")


def nvmlDeviceGetMaxPcieLinkWidth(handle: Any) -> Any:
    return _gpu(handle, "pcie_lanes")


def nvmlDeviceGetNvLinkState(handle: Any, link: int) -> Any:
    links = _gpu(handle, "nvlinks")
    if link >= len(links):
        raise NVMLError(2)
    return links[link]


def nvmlDeviceGetMigMode(handle: Any) -> Any:
    return [int(_gpu(handle, "mig")), 0]


def nvmlDeviceGetEccMode(handle: Any) -> Any:
    return [int(_gpu(handle, "ecc")), 0]


def nvmlDeviceGetTotalEccErrors(handle: Any, kind: int, counter: int) -> Any:
    return _gpu(handle, "ecc_errors")


def nvmlDeviceGetTemperature(handle: Any, sensor: int) -> Any:
    return _gpu(handle, "temperature_c")


def nvmlDeviceGetCudaComputeCapability(handle: Any) -> Any:
    return tuple(_gpu(handle, "capability"))


def nvmlDeviceGetComputeRunningProcesses(handle: Any) -> Any:
    return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in _gpu(handle, "processes")]


def nvmlDeviceGetUtilizationRates(handle: Any) -> Any:
    return SimpleNamespace(gpu=_gpu(handle, "busy_percent"), memory=0)


def nvmlDeviceGetPowerUsage(handle: Any) -> Any:
    return _gpu(handle, "power_w") * 1000
