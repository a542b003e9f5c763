"""Jobs in the real sandbox, with the device files of GPUs that are theirs; on a machine with GPUs, with those too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from examples.host_image import layer_of
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.gpus.nvml import Nvml
from marketplace.provider.gpus.rig import GpuRig
from tests.integration.bubblewrap_jobs import executor_at, prepared, run
from tests.integration.test_image_jobs import rooted
from tests.nvml import MACHINES, nvml_at
from tests.nvml.cdi import cdi_at

FIRST, SECOND = (gpu["uuid"] for gpu in MACHINES["two 4090"]["gpus"])
LOOK = "ls /dev | grep -e nvidia -e dri; ls /opt/driver; cat /opt/driver/libcuda.so.1; env | grep -e CUDA -e FAKE | sort; echo ${LD_LIBRARY_PATH##*:}"


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> BubblewrapExecutor:
    return executor_at(tmp_path_factory.mktemp("agent"), find_cgroups())


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> GpuRig:
    """Two GPUs by NVML's word; their device files are /dev/zero by CDI's."""
    place = tmp_path_factory.mktemp("machine")
    (place / "libcuda.so.550.54").write_text("the driver's\n")
    (place / "libcuda.so.1").symlink_to("libcuda.so.550.54")
    cdi = cdi_at(place / "cdi", [(FIRST, 3), (SECOND, 5)], [place / "libcuda.so.550.54"])
    found = GpuRig(Nvml(nvml_at(place, "two 4090")), [cdi])
    found.look()
    return found


def test_a_job_sees_exactly_its_own_gpus(executor: BubblewrapExecutor, rig: GpuRig, tmp_path: Path) -> None:
    """Its device file and the shared one are there, its neighbour's and the displays' are not; CUDA is told its UUID, and finds the driver."""
    request = replace(prepared(tmp_path, "sh", "-c", LOOK), gpus=(SECOND,), devices=rig.devices((SECOND,)))

    assert run(executor, request).log.splitlines() == [
        "nvidia5", "nvidiactl", "libcuda.so.1", "libcuda.so.550.54", "the driver's", f"CUDA_VISIBLE_DEVICES={SECOND}",
        f"FAKE_GPU_5={SECOND}", "/opt/driver",
    ]  # fmt: skip


def test_its_devices_work_and_nothing_can_be_put_beside_them(
    executor: BubblewrapExecutor, rig: GpuRig, tmp_path: Path
) -> None:
    """A job opens its device for reading and writing; it makes no device file of its own, and writes to no library."""
    script = "head -c 4 /dev/nvidia3 | od -An -tx1; echo x > /dev/nvidia3 && echo written; mknod /dev/nvidia5 c 1 5 || echo no"
    script += "; mknod /job/out/n c 1 5 || echo none; echo x > /opt/driver/libcuda.so.1 || echo read-only"
    request = replace(prepared(tmp_path, "sh", "-c", f"({script}) 2>&1"), gpus=(FIRST,), devices=rig.devices((FIRST,)))
    said = run(executor, request).log

    assert said.splitlines()[:2] == [" 00 00 00 00", "written"]
    assert [line for line in said.splitlines() if line in ("no", "none", "read-only")] == ["no", "none", "read-only"]


def test_a_job_without_gpus_sees_none(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """No device file, no library, and a CUDA that looks for nothing."""
    ran = run(executor, prepared(tmp_path, "sh", "-c", "ls /dev | grep nvidia; ls /opt; echo =$CUDA_VISIBLE_DEVICES="))

    assert ran.log == "python\nruntime\n==\n"


def test_the_gpus_of_this_machine_reach_a_job(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """Each GPU that there is appears alone in its job; where there is none, a job is told of none."""
    rig = GpuRig()
    alone: list[tuple[str, ...]] = [(gpu.uuid,) for gpu in rig.look().gpus]
    for gpus in alone or [()]:
        request = replace(
            prepared(tmp_path, "sh", "-c", "ls /dev | grep -c '^nvidia[0-9]'; echo $CUDA_VISIBLE_DEVICES"),
            gpus=gpus, devices=rig.devices(gpus),
        )  # fmt: skip

        assert run(executor, request).log == f"{len(gpus)}\n{''.join(gpus)}\n"


def test_a_job_in_an_image_sees_its_gpus_too(executor: BubblewrapExecutor, rig: GpuRig, tmp_path: Path) -> None:
    """The same devices, variables and libraries stand in an image's tree, which has none of its own and cannot put anything in their place."""
    tools = rooted(tmp_path / "tools", layer_of(["sh", "ls", "cat", "env"]))
    script = "ls /dev /opt/driver; cat /opt/driver/libcuda.so.1; env; echo x > /opt/driver/own || echo none; mkdir /opt/driver/y || echo none"
    request = replace(
        prepared(tmp_path, "sh", "-c", script), gpus=(SECOND,), devices=rig.devices((SECOND,)), image=tools
    )
    said = run(executor, request).log.splitlines()

    assert {line for line in said if line.startswith("nvidia")} == {"nvidia5", "nvidiactl"}
    assert {"libcuda.so.1", "libcuda.so.550.54", "the driver's", "none"} <= set(said)
    assert {f"CUDA_VISIBLE_DEVICES={SECOND}", f"FAKE_GPU_5={SECOND}", "LD_LIBRARY_PATH=/opt/driver"} <= set(said)
