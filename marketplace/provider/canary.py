"""A canary: a job of our own in the sandbox, that says what a client's job would find there."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from marketplace.domain.errors import MarketplaceError
from marketplace.provider.executors.base import MOUNT_FILES, MOUNT_FOLDERS, ExecutionRequest, Executor, JobImage, Limits
from marketplace.provider.executors.bubblewrap import FIRST_JOB_USER
from marketplace.provider.executors.devices import NO_DEVICES, GpuDevices
from marketplace.provider.executors.folders import hand_over
from marketplace.provider.executors.gate import GATE_AT
from marketplace.provider.executors.sandbox import image_user

PATIENCE_SECONDS = 60
_LIMITS: Final = Limits(cpus=1, memory_mib=2048, disk_mib=16, processes=256, wall_seconds=45, log_bytes=64 * 1024)
_MOST_BYTES = 64 * 1024
_SCRIPT: Final = """
import ctypes, glob, json, os, socket
said = {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""), "devices": sorted(glob.glob("/dev/nvidia[0-9]*")), "cuda": None}
try:
    cuda, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(-1)
    code = cuda.cuInit(0)
    said["cuda"] = f"cuInit says {code}" if code else cuda.cuDeviceGetCount(ctypes.byref(count)) or count.value
except OSError as exc:
    said["cuda"] = str(exc)
try:
    socket.create_connection(("192.0.2.1", 80), 1)
    said["network"] = True
except OSError:
    said["network"] = False
json.dump(said, open("/job/out/said.json", "w"))
"""


@dataclass(frozen=True, slots=True)
class CanaryWord:
    """What a canary found. ``trouble``: why it found nothing."""

    trouble: str = ""
    gpus: str = ""
    devices: tuple[str, ...] = ()
    cuda: int | str | None = None
    """How many GPUs CUDA shows it; or why it shows none."""
    has_network: bool = False
    enforcement: tuple[str, ...] = ()


def fly_image_canary(executor: Executor) -> str:
    """Run one in a container image that has nothing in it; why that does not work, or empty where it does. Never raises."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        shell = (f"{GATE_AT}/loader", "--library-path", GATE_AT, f"{GATE_AT}/sh")
        command = (*shell, "-c", "echo ready > /own && read -r word < /own && echo $word")
        request = ExecutionRequest(
            f"image-canary-{os.getpid()}", command, {}, folder / "job", _LIMITS, image=_nothing(folder / "image")
        )
        request.inputs.mkdir(parents=True)
        request.outputs.mkdir()
        try:
            result = executor.start(request).wait(PATIENCE_SECONDS)
            executor.reap(request.lease)
        except (MarketplaceError, OSError) as exc:
            return str(exc)
        said = request.log.read_text(errors="replace")[-400:].strip() if request.log.exists() else ""
        return "" if said == "ready" else said or (result.evidence if result else "") or "it did not end"


def _nothing(root: Path) -> JobImage:
    """An image's tree with the places that a sandbox mounts something on, belonging to whom an agent would give it."""
    for name in MOUNT_FOLDERS:
        (root / os.fsdecode(name)).mkdir(parents=True)
    for name in MOUNT_FILES:
        (root / os.fsdecode(name)).touch()
    owner = image_user(FIRST_JOB_USER)
    if owner is not None:
        hand_over((root,), owner)
    return JobImage(root, {}, 0, 0, "/", "/")


def fly_canary(executor: Executor, gpus: Sequence[str] = (), devices: GpuDevices = NO_DEVICES) -> CanaryWord:
    """Run it, with these GPUs; never raises."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        request = ExecutionRequest(
            f"canary-{os.getpid()}", ("python", "-c", _SCRIPT), {}, folder, _LIMITS, tuple(gpus), devices
        )
        request.inputs.mkdir()
        request.outputs.mkdir()
        try:
            result = executor.start(request).wait(PATIENCE_SECONDS)
            executor.reap(request.lease)
        except (MarketplaceError, OSError) as exc:
            return CanaryWord(str(exc))
        said = request.outputs / "said.json"
        if result is None or result.exit_code != 0 or not said.is_file():
            log = request.log.read_text(errors="replace")[-400:].strip() if request.log.exists() else ""
            return CanaryWord(log or (result.evidence if result else "it did not end") or "it said nothing")
        return _read(json.loads(said.read_bytes()[:_MOST_BYTES]), result.enforcement)


def _read(said: dict[str, Any], enforcement: tuple[str, ...]) -> CanaryWord:
    return CanaryWord("", said["gpus"], tuple(said["devices"]), said["cuda"], bool(said["network"]), enforcement)
