"""`bourse gpu` and `bourse provider check`, on machines that are made up, and on this one."""

from __future__ import annotations

from pathlib import Path

from marketplace.domain.classes import GpuClass
from marketplace.provider.checking import CheckLevel, findings_of_machine
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.gpus.rig import GpuRig
from tests.integration.bubblewrap_jobs import executor_at
from tests.integration.shell import Shell
from tests.nvml import MACHINES, gpu_of, nvml_at
from tests.nvml.cdi import cdi_at

FIRST, SECOND = (gpu["uuid"] for gpu in MACHINES["two 4090"]["gpus"])
INVENTORY = f"""
region = "eu"
cpus = 1
memory_mib = 1024
disk_mib = 10
[[offer]]
gpu = "RTX4090"
count = 1
gpus = ["{SECOND}"]
price = "0.3"
bond_bps = 0
days = 1
arbiter = "0x{"ab" * 20}"
"""


def shell(folder: Path, nvml: Path, cdi: Path) -> Shell:
    """No market is named."""
    return Shell(folder, {"BOURSE_HOME": str(folder / "home"), "BOURSE_NVML": str(nvml), "BOURSE_CDI": str(cdi)})


def test_a_machines_gpus_are_shown_with_their_classes(tmp_path: Path) -> None:
    """By UUID, with what each may be offered as, or why it may not, and how busy it is."""
    machine = {"driver": "550.54.15", "gpus": [gpu_of("H100 and A40", 1), gpu_of("laptop")]}
    here = shell(tmp_path, nvml_at(tmp_path, machine), tmp_path)
    seen, table = here.answer("gpu", "--json"), here.run("gpu").stdout
    h100, laptop = seen["gpus"]

    assert (seen["driver"], seen["cuda"], seen["trouble"]) == ("550.54.15", None, "")
    assert (h100["class"], h100["refusal"], h100["sample"]["powerW"]) == ("H100-SXM-80GB", None, 68)
    assert laptop["class"] is None
    assert "is a laptop's" in laptop["refusal"]
    assert "68 W" in table


def test_check_runs_canaries_and_says_what_to_do(tmp_path: Path) -> None:
    """A job runs, one sees each GPU alone where CDI names it; what nobody could be given is a problem, and so is an offer of it."""
    inventory = tmp_path / "inventory.toml"
    inventory.write_text(INVENTORY)
    here = shell(tmp_path, nvml_at(tmp_path / "nvml", "two 4090"), cdi_at(tmp_path / "cdi", [(FIRST, 3)]))
    found = here.answer("provider", "check", "--inventory", str(inventory), "--json", code=2)
    levels = {one["about"]: one["level"] for one in found}

    assert levels["sandbox"] == levels["GPU 0"] == levels["GPU 1"] == "good"
    assert (levels["GPU 0 in the sandbox"], levels["GPU 1 in the sandbox"]) == ("advice", "problem")
    assert (levels["offer[0]"], levels["market"]) == ("problem", "advice")
    assert all(one["todo"] for one in found if one["level"] != "good")
    assert any("/dev/nvidia3 is there; CUDA: libcuda.so.1" in one["found"] for one in found)


def test_this_machine_is_looked_at(tmp_path: Path) -> None:
    """Whatever it has: the sandbox works, every GPU with a class reaches a job, and every finding but the good ones says what to do."""
    rig = GpuRig()
    found = list(findings_of_machine(executor_at(tmp_path, find_cgroups()), rig, has_agent=False))
    told = {one.about: one for one in found}

    assert told["sandbox"].level is told["images"].level is CheckLevel.GOOD
    assert bool(rig.trouble) == ("GPUs" in told)
    assert all(one.todo for one in found if one.level is not CheckLevel.GOOD)
    for gpu in rig.seen.gpus:
        assert isinstance(gpu.gpu_class, GpuClass) == (told[f"GPU {gpu.index}"].level is not CheckLevel.PROBLEM)
        assert told[f"GPU {gpu.index} in the sandbox"].level is not CheckLevel.PROBLEM
