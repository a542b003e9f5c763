"""What a job gets of the machine's GPUs: device files, the driver's libraries, and how they are named to it. Plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

DRIVER_AT: Final = "/opt/driver"
"""Where a sandbox sees the driver's libraries, whatever else is in it; programs find them by LD_LIBRARY_PATH."""


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A device file: as the job sees it, and where it is on the machine."""

    path: str
    host_path: str


@dataclass(frozen=True, slots=True)
class DriverLibrary:
    """A library of the driver's, and by which other names of its folder it is loaded."""

    host_path: str
    links: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return Path(self.host_path).name


@dataclass(frozen=True, slots=True)
class GpuDevices:
    """Everything of one job's GPUs, and nothing of anybody else's."""

    nodes: tuple[DeviceNode, ...] = ()
    libraries: tuple[DriverLibrary, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def places(self) -> dict[str, Path]:
        """The libraries by the name under which a sandbox's places know each."""
        return {f"driver-{library.name}": Path(library.host_path) for library in self.libraries}


NO_DEVICES: Final = GpuDevices()


def devices_in(words: Mapping[str, Any]) -> GpuDevices:
    """Read what ``dataclasses.asdict`` made of one."""
    return GpuDevices(
        tuple(DeviceNode(**node) for node in words["nodes"]),
        tuple(DriverLibrary(one["host_path"], tuple(one["links"])) for one in words["libraries"]),
        words["environment"],
    )


def device_arguments(devices: GpuDevices, places: Mapping[str, Path]) -> Iterator[str]:
    """bubblewrap's words for them; after its own /dev. ``places`` says where it finds each library."""
    for node in devices.nodes:
        yield from ("--dev-bind", node.host_path, node.path)
    for library in devices.libraries:
        yield from ("--ro-bind", str(places[f"driver-{library.name}"]), f"{DRIVER_AT}/{library.name}")
        for link in library.links:
            yield from ("--symlink", library.name, f"{DRIVER_AT}/{link}")
