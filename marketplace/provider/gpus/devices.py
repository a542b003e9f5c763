"""From the GPUs that a job has to itself to what its sandbox is given of them: by UUID, by the machine's CDI files where they know it.

Without such files the driver's own device files stand in: that of each GPU by its minor number, and those that all GPUs share.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from marketplace.domain.errors import ConfigError
from marketplace.provider.executors.devices import NO_DEVICES, DeviceNode, DriverLibrary, GpuDevices
from marketplace.provider.gpus.cdi import CdiEdits, CdiGpus
from marketplace.provider.gpus.nvml import SeenMachine, is_uuid

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_SHARED: Final = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
"""Device files that every GPU of the machine needs; those that are not there are left out."""


def devices_for(gpus: Sequence[str], seen: SeenMachine, cdi: CdiGpus) -> GpuDevices:
    """The devices of these GPUs: UUIDs, or the machine's numbers of GPUs that are only declared. Raises ConfigError, which names what is missing."""
    edits, problems = CdiEdits(), list[str]()
    for gpu in gpus:
        if not is_uuid(gpu):
            edits = edits.plus(CdiEdits(_there([f"nvidia{gpu}", *_SHARED])))
            continue
        found = seen.gpu(gpu)
        by_cdi = cdi.of(gpu, found.minor if found else None)
        if by_cdi is not None:
            edits = edits.plus(by_cdi)
        elif found is not None and found.minor is not None:
            edits = edits.plus(CdiEdits((_node(f"nvidia{found.minor}"), *_there(_SHARED))))
        else:
            problems.append(f"GPU {gpu}: no CDI file names it, and the driver does not tell its device file")
    problems += [problem for node in edits.nodes if (problem := _trouble(node))]
    libraries = _libraries(edits.libraries, problems)
    if problems:
        raise ConfigError(problems)
    return GpuDevices(edits.nodes, libraries, {**edits.environment, VISIBLE: _visible(gpus)}) if gpus else NO_DEVICES


def _visible(gpus: Sequence[str]) -> str:
    """As CUDA understands it: by UUID; declared ones from 0, since the sandbox has no others, whatever their numbers on the machine."""
    return ",".join(gpus if all(map(is_uuid, gpus)) else map(str, range(len(gpus))))


def _node(name: str) -> DeviceNode:
    return DeviceNode(f"/dev/{name}", f"/dev/{name}")


def _there(names: Iterable[str]) -> tuple[DeviceNode, ...]:
    return tuple(_node(name) for name in names if Path("/dev", name).exists())


def _trouble(node: DeviceNode) -> str:
    """Why a job could not use it: sandboxes run as a user that is nobody."""
    try:
        mode = os.stat(node.host_path).st_mode
    except OSError as exc:
        return f"{node.host_path}: {exc.strerror}"
    if not stat.S_ISCHR(mode):
        return f"{node.host_path} is not a character device"
    return "" if mode & 0o006 == 0o006 else f"{node.host_path} is not for everybody to read and write (chmod a+rw)"


def _libraries(paths: Sequence[str], problems: list[str]) -> tuple[DriverLibrary, ...]:
    """The real files. One that is gone is a problem: the CDI files are of another driver."""
    found: dict[str, DriverLibrary] = {}
    for path in map(Path, paths):
        if not path.is_file():
            problems.append(
                f"{path}, which a CDI file names, is not there: nvidia-ctk cdi generate writes the files anew"
            )
        else:
            found.setdefault(path.resolve().name, DriverLibrary(str(path.resolve()), _links_to(path)))
    return tuple(found.values())


def _links_to(library: Path) -> tuple[str, ...]:
    """The names beside it that lead to it, such as libcuda.so.1: the machine's own linker has made them."""
    real = library.resolve()
    names = {
        entry.name for entry in os.scandir(library.parent) if entry.is_symlink() and Path(entry.path).resolve() == real
    }
    return tuple(sorted((names | {library.name}) - {real.name}))
