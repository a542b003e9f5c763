"""What NVML says of a machine; on a machine with a driver, of this one too."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.domain.classes import GpuClass
from marketplace.domain.errors import ToolMissing
from marketplace.provider.gpus.names import Unfit, UnfitReason
from marketplace.provider.gpus.nvml import NO_GPUS, Nvml, SeenMachine, is_uuid
from tests.nvml import gpu_of, nvml_at


def seen(folder: Path, machine: str) -> SeenMachine:
    return Nvml(nvml_at(folder, machine)).look()


def test_everything_that_the_driver_tells_is_seen(tmp_path: Path) -> None:
    """Driver, CUDA, and of each GPU what it is, where it is, and how it is."""
    machine = seen(tmp_path, "H100 and A40")
    a40, h100 = machine.gpus

    assert (machine.driver, machine.cuda) == ("535.161.08", "12.2")
    assert (a40.index, a40.minor, a40.bus, a40.memory_mib) == (0, 0, "00000000:3B:00.0", 46068)
    assert (h100.pcie_generation, h100.pcie_lanes, h100.nvlinks, a40.nvlinks) == (5, 16, 17, 0)
    assert (h100.is_split, h100.has_ecc, h100.ecc_errors, h100.temperature_c) == (False, True, 2, 40)
    assert (h100.capability, h100.processes) == ("9.0", ())
    assert h100.gpu_class.name == "H100-SXM-80GB"


def test_what_is_not_supported_is_not_known(tmp_path: Path) -> None:
    """A getter that fails leaves None, not 0; a GPU without a UUID is left out, and one without its memory has no class."""
    t4, titan = seen(tmp_path, "old driver").gpus

    assert t4.gpu_class.name == "T4"
    assert (t4.is_split, t4.has_ecc, t4.ecc_errors, t4.temperature_c, t4.nvlinks, t4.processes) == (None,) * 6
    assert titan.index == 2
    assert titan.gpu_class.reason is UnfitReason.MEMORY_UNKNOWN


def test_a_split_gpu_is_refused(tmp_path: Path) -> None:
    """With MIG on, what a job gets is a part of it."""
    (gpu,) = seen(tmp_path, "split A100").gpus

    assert gpu.gpu_class.reason is UnfitReason.PARTITION


def test_a_machine_without_a_driver_says_so(tmp_path: Path) -> None:
    """Nothing is made up; nor where the module cannot be loaded."""
    with pytest.raises(ToolMissing, match="NVML"):
        seen(tmp_path, "no driver")
    with pytest.raises(ToolMissing, match="NVML"):
        Nvml(tmp_path / "nobody.py").look()


def test_the_driver_is_asked_anew_each_time(tmp_path: Path) -> None:
    """What has changed on the machine shows at the next look."""
    nvml = Nvml(nvml_at(tmp_path, "two 4090"))
    before = nvml.look().gpus[0].processes
    nvml_at(tmp_path, {"gpus": [gpu_of("two 4090", processes=[77])]})

    assert before == ()
    assert nvml.look().gpus[0].processes == (77,)


def test_samples_are_of_the_gpus_asked_for(tmp_path: Path) -> None:
    """Use, memory, power and temperature of those; one that is not there is left out."""
    nvml = Nvml(nvml_at(tmp_path, "two 4090"))
    busy = nvml.look().gpus[1].uuid
    (sample,) = nvml.sample((busy, "GPU-none"))

    assert (sample.uuid, sample.busy_percent, sample.memory_used_mib) == (busy, 97, 1)
    assert (sample.power_w, sample.temperature_c) == (402, 36)


def test_this_machine_itself() -> None:
    """With a driver, each GPU has a UUID, a name and a class or a refusal, and can be sampled; without one, that is said."""
    said, machine = "", NO_GPUS
    try:
        machine = Nvml().look()
    except ToolMissing as exc:
        said = exc.tool

    assert bool(said) == (machine == NO_GPUS)
    assert all(is_uuid(gpu.uuid) and gpu.name for gpu in machine.gpus)
    assert all(isinstance(gpu.gpu_class, GpuClass | Unfit) for gpu in machine.gpus)
    assert not machine.gpus or len(Nvml().sample(tuple(gpu.uuid for gpu in machine.gpus))) == len(machine.gpus)
