"""The reader of CDI files, and what a job is given by them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from marketplace.domain.errors import ConfigError, InvalidField
from marketplace.provider.executors.devices import DeviceNode
from marketplace.provider.gpus.cdi import MOST_BYTES, CdiGpus, read_cdi, read_cdi_file
from marketplace.provider.gpus.devices import devices_for
from marketplace.provider.gpus.nvml import NO_GPUS, Nvml
from tests.nvml import nvml_at
from tests.nvml.cdi import cdi_at, cdi_file

A, B = "GPU-aaaa", "GPU-bbbb"


def read(document: Any) -> Any:
    return read_cdi_file(json.dumps(document).encode(), is_json=True)


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    """The toolkit writes YAML, others JSON."""
    document = cdi_file([(A, 3)], [tmp_path / "libcuda.so.1"])
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(document))

    assert read(document)[A].nodes == (
        DeviceNode("/dev/nvidia3", "/dev/zero"),
        DeviceNode("/dev/nvidiactl", "/dev/full"),
    )
    assert read_cdi_file((tmp_path / "x.yaml").read_bytes(), is_json=False) == read(document)


def test_what_no_job_is_given_is_told() -> None:
    """Displays, sockets of the driver's daemons and hooks stay out; libraries and variables come in."""
    edits = read(cdi_file([(A, 3)]))[A]

    assert edits.left_out == ("/dev/dri/card1", "/run/nvidia-persistenced/socket", "hooks")
    assert edits.libraries == ()
    assert edits.environment == {"FAKE_GPU_3": A}


def test_files_of_other_things_are_nobodys_gpus() -> None:
    """A machine has CDI files of network cards, too."""
    assert read(cdi_file([(A, 3)]) | {"kind": "vendor.example/nic"}) == {}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document: dict[str, Any] = cdi_file([(A, 3)])
    change(document)
    return document


NODE = ("devices", 0, "containerEdits", "deviceNodes", 0)


def put(*path: Any) -> Callable[[dict[str, Any]], object]:
    *way, name, value = path

    def change(document: Any) -> None:
        for step in way:
            document = document[step]
        document[name] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("cdiVersion", "2.0.0"), put("cdiVersion", 1), put("kind", 5), put("surprise", 1), put("devices", {}),
        put("devices", [{}]), put("devices", [{"name": A}, {"name": A}]), put("devices", [{"name": "../x"}]),
        put("devices", [{"name": A}] * 2_000), put(*NODE, "type", "b"), put(*NODE, "path", "/etc/passwd"),
        put(*NODE, "path", "/dev/../etc/x"), put(*NODE, "path", "/dev/null"), put(*NODE, "path", "/dev/pts/0"),
        put(*NODE, "path", "dev/x"), put(*NODE, "hostPath", "/home/secret"), put(*NODE, "major", -1), put(*NODE, "minor", "5"),
        put(*NODE, "extra", 1), put("containerEdits", "env", ["no equals sign"]), put("containerEdits", "env", ["1A=b"]),
        put("containerEdits", "env", ["A=\0"]), put("containerEdits", "mounts", [{"hostPath": "/x"}]),
        put("containerEdits", "mounts", [{"hostPath": "x", "containerPath": "/x"}]), put("containerEdits", 5),
    ],
)  # fmt: skip
def test_anything_else_makes_a_file_invalid(change: Callable[[dict[str, Any]], object]) -> None:
    """Whatever breaks the format, or would put another file of the host into a sandbox, is refused with its field."""
    with pytest.raises(InvalidField) as caught:
        read(changed(change))

    assert caught.value.field.startswith("cdi")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"a: &x [1]\nb: *x",
        b"{" * 5_000,
        b"x" * (MOST_BYTES + 1),
        b"!!python/object/apply:os.system [id]",
    ],
)
def test_hostile_yaml_is_refused(content: bytes) -> None:
    """Aliases, objects, depth and size: a file that cannot be read is invalid, and that is all."""
    with pytest.raises(InvalidField):
        read_cdi_file(content, is_json=False)


def test_a_wrong_file_is_told_and_the_others_are_used(tmp_path: Path) -> None:
    """One that others may write, one that is broken, and two that speak of one device in one folder are not in force."""
    folder = cdi_at(tmp_path / "cdi", [(A, 3)])
    (folder / "broken.yaml").write_text("{")
    (folder / "open.json").write_text("{}")
    (folder / "open.json").chmod(0o666)
    (folder / "notes.txt").write_text("no CDI")
    found = read_cdi([tmp_path / "absent", folder])

    assert found.devices.keys() == {A}
    assert sorted(problem.split(":")[0].rsplit("/", 1)[1] for problem in found.problems) == ["broken.yaml", "open.json"]

    (folder / "again.json").write_text(json.dumps(cdi_file([(A, 4)])))
    assert read_cdi([folder]).devices == {}


def test_the_later_folder_counts(tmp_path: Path) -> None:
    """As the standard says: what is made at boot replaces what was installed."""
    found = read_cdi([cdi_at(tmp_path / "etc", [(A, 3)]), cdi_at(tmp_path / "run", [(A, 5)])])

    assert found.devices[A].nodes[0].path == "/dev/nvidia5"


def test_numbered_devices_are_found_by_their_device_file(tmp_path: Path) -> None:
    """A file that numbers its GPUs is no less good: the driver tells each one's minor number."""
    numbered = read_cdi([cdi_at(tmp_path, [("0", 5), ("1", 3)])])
    both = CdiGpus({"all": numbered.devices["0"].plus(numbered.devices["1"])})

    assert numbered.of(B, 3) == numbered.devices["1"]
    assert numbered.of(B, 7) is None
    assert numbered.of(B, None) is None
    assert both.of(B, 3) is None


def test_a_job_gets_its_own_devices_only(tmp_path: Path) -> None:
    """By UUID: its device file, what all share, the driver's libraries with the names that lead to them, and CUDA's variable."""
    library = tmp_path / "libcuda.so.550.54"
    library.write_bytes(b"elf")
    (tmp_path / "libcuda.so.1").symlink_to("libcuda.so.550.54")
    cdi = read_cdi([cdi_at(tmp_path / "cdi", [(A, 3), (B, 5)], [library])])
    devices = devices_for((B,), NO_GPUS, cdi)

    assert {node.path for node in devices.nodes} == {"/dev/nvidia5", "/dev/nvidiactl"}
    assert devices.environment == {"FAKE_GPU_5": B, "CUDA_VISIBLE_DEVICES": B}
    assert [(one.name, one.links) for one in devices.libraries] == [("libcuda.so.550.54", ("libcuda.so.1",))]
    assert devices_for((B, A), NO_GPUS, cdi).environment["CUDA_VISIBLE_DEVICES"] == f"{B},{A}"
    assert devices_for((), NO_GPUS, cdi).environment == {}


def test_what_cannot_be_given_is_named(tmp_path: Path) -> None:
    """A GPU that no file names, a library of an older driver, and a device file that is not there."""
    lost = read_cdi([cdi_at(tmp_path / "cdi", [(A, 3)], [tmp_path / "libcuda.so.1"])])
    with pytest.raises(ConfigError, match=r"libcuda.so.1.*nvidia-ctk"):
        devices_for((A,), NO_GPUS, lost)
    with pytest.raises(ConfigError, match="GPU-bbbb: no CDI file"):
        devices_for((B,), NO_GPUS, lost)

    machine = Nvml(nvml_at(tmp_path, "two 4090")).look()
    with pytest.raises(ConfigError, match="/dev/nvidia5: No such file"):
        devices_for((machine.gpus[1].uuid,), machine, CdiGpus({}))


def test_declared_gpus_are_counted_from_nought(tmp_path: Path) -> None:
    """Without a driver a lone GPU is number 0 in there, whatever it is on the machine."""
    assert devices_for(("3",), NO_GPUS, CdiGpus({})).environment == {"CUDA_VISIBLE_DEVICES": "0"}
    assert devices_for(("2", "3"), NO_GPUS, CdiGpus({})).environment == {"CUDA_VISIBLE_DEVICES": "0,1"}
