"""What stands between this machine and being a provider's: findings, each with what to do about it. Nothing is changed.

The machine: sandbox, limits, GPUs, CDI files, canaries. The inventory, where there is one: each offer held against what was seen.
The market, as far as the settings name one: node, gateway, key, coin, free balance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from marketplace.domain.errors import ConfigError, MarketplaceError
from marketplace.domain.units import text_from_bps, text_from_seconds
from marketplace.provider.canary import CanaryWord, fly_canary, fly_image_canary
from marketplace.provider.executors.base import Executor
from marketplace.provider.gpus.names import Unfit
from marketplace.provider.gpus.nvml import SeenGpu
from marketplace.provider.gpus.picking import uuids_of
from marketplace.provider.gpus.rig import GpuRig
from marketplace.provider.inventory import Inventory, InventoryOffer
from marketplace.provider.reserving import ReserveRule

HOT_CELSIUS = 85


class CheckLevel(StrEnum):
    """How much a finding matters."""

    GOOD = "good"
    ADVICE = "advice"
    """Jobs run all the same; it could be better."""
    PROBLEM = "problem"
    """As it is, something of this machine cannot be rented out."""


@dataclass(frozen=True, slots=True)
class MachineFinding:
    """One thing that was looked at: what was found, and what to do about it."""

    level: CheckLevel
    about: str
    said: str
    todo: str = ""


def good(about: str, said: str) -> MachineFinding:
    return MachineFinding(CheckLevel.GOOD, about, said)


def advice(about: str, said: str, todo: str) -> MachineFinding:
    return MachineFinding(CheckLevel.ADVICE, about, said, todo)


def problem(about: str, said: str, todo: str) -> MachineFinding:
    return MachineFinding(CheckLevel.PROBLEM, about, said, todo)


def asked(about: str, ask: Callable[[], MachineFinding], todo: str) -> MachineFinding:
    """What comes of a look that may fail: then the failure is the finding."""
    try:
        return ask()
    except MarketplaceError as exc:
        return problem(about, str(exc), todo)


def findings_of_machine(executor: Executor, rig: GpuRig, *, has_agent: bool) -> Iterator[MachineFinding]:
    """Sandbox, GPUs and CDI files. Takes seconds: it runs jobs. ``has_agent``: what computes on a GPU may be a job of that agent's."""
    word = fly_canary(executor)
    yield _sandbox(word)
    if word.trouble:
        return
    yield _image(fly_image_canary(executor))
    yield from _limits(word)
    seen = rig.look()
    if not seen.gpus:
        yield advice(
            "GPUs", rig.trouble or "the driver shows none",
            "install NVIDIA's driver (nvidia-smi shows the GPUs then); without it an inventory is declared, not measured",
        )  # fmt: skip
    for path in rig.cdi().problems:
        yield problem(
            "CDI",
            path,
            "write the files anew (nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml), as root, mode 0644",
        )
    for gpu in seen.gpus:
        yield from _of_gpu(gpu, has_agent=has_agent)
        yield _reaches_job(executor, rig, gpu)


def findings_of_inventory(inventory: Inventory, rig: GpuRig) -> Iterator[MachineFinding]:
    """Each offer, held against what was seen; and each rule for reservations, against the offers."""
    for number, offer in enumerate(inventory.offers):
        yield _of_offer(f"offer[{number}]", offer, rig)
    for number, rule in enumerate(inventory.reserve):
        yield _of_rule(f"reserve[{number}]", rule, inventory)


def _of_rule(about: str, rule: ReserveRule, inventory: Inventory) -> MachineFinding:
    offered = {offer.gpu.number for offer in inventory.offers}
    missing = [row.name for row in rule.classes if row.number not in offered]
    if missing:
        return problem(about, f"no [[offer]] is of {', '.join(missing)}", "name classes that the file offers")
    if not rule.guaranteed_bps:
        todo = "with guaranteed_bps = 0 a client may leave when its term begins, and pay nothing for GPUs that were held for it"
        return advice(about, "reservations need no guarantee", todo)
    longest, lead = text_from_seconds(rule.longest), text_from_seconds(rule.lead)
    return good(
        about,
        f"up to {longest}, at most {lead} ahead, {text_from_bps(rule.guaranteed_bps)} guaranteed; GPUs are taken from the opening on",
    )


def _sandbox(word: CanaryWord) -> MachineFinding:
    if word.trouble:
        todo = "unprivileged user namespaces must be on (sysctl kernel.unprivileged_userns_clone=1; Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0)"
        return problem("sandbox", word.trouble, todo)
    if word.has_network:
        return problem(
            "sandbox",
            "a job reached the network",
            "do not offer this machine: its bubblewrap does not part jobs from the network",
        )
    return good("sandbox", "a job runs, and has no network")


def _image(trouble: str) -> MachineFinding:
    if not trouble:
        return good("images", "a job runs in an image that has nothing in it")
    return problem(
        "images",
        trouble,
        "container images need overlay mounts in user namespaces: a kernel from 5.11 on, bubblewrap 0.11",
    )


def _limits(word: CanaryWord) -> Iterator[MachineFinding]:
    held = dict(entry.split(":", 1) for entry in word.enforcement)
    for what in ("memory", "processes"):
        how = held.get(what, "not at all")
        if how.startswith("cgroup"):
            yield good(what, f"bounded by {how}")
        else:
            todo = "let the agent make control groups (systemd: Delegate=yes), and the kernel itself holds the bound"
            yield advice(what, f"bounded by {how}", todo)


def _of_gpu(gpu: SeenGpu, *, has_agent: bool) -> Iterator[MachineFinding]:
    about, found = f"GPU {gpu.index}", gpu.gpu_class
    if isinstance(found, Unfit):
        yield problem(about, f"{gpu.uuid}: {found}", "it cannot be offered as measured; leave it out of the inventory")
    else:
        yield good(about, f"{gpu.uuid} is a {found.name}: {gpu.name}, {gpu.memory_mib} MiB")
    if gpu.processes and not has_agent:
        pids = ", ".join(map(str, gpu.processes[:5]))
        yield problem(
            about, f"somebody computes on it (process {pids})", "end that, or leave this GPU out of the inventory"
        )
    if gpu.ecc_errors:
        yield advice(
            about,
            f"{gpu.ecc_errors} memory errors that could not be corrected",
            "nvidia-smi -q -d ECC; reset or replace it",
        )
    if gpu.temperature_c is not None and gpu.temperature_c >= HOT_CELSIUS:
        yield advice(about, f"{gpu.temperature_c} °C", "look after its cooling: it slows down when it is too hot")


def _reaches_job(executor: Executor, rig: GpuRig, gpu: SeenGpu) -> MachineFinding:
    """Whether a job that has this GPU to itself sees it, and nothing of its neighbours."""
    about = f"GPU {gpu.index} in the sandbox"
    try:
        word = fly_canary(executor, (gpu.uuid,), rig.devices((gpu.uuid,)))
    except ConfigError as exc:
        return problem(
            about,
            "; ".join(exc.problems),
            "install nvidia-container-toolkit and run nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
        )
    if word.trouble:
        return problem(about, word.trouble, "see what the canary said")
    if len(word.devices) != 1 or word.gpus != gpu.uuid:
        return problem(
            about,
            f"a job sees {', '.join(word.devices) or 'no device file'}",
            "its CDI file must name this GPU's device file alone",
        )
    if word.cuda != 1:
        return advice(
            about,
            f"{word.devices[0]} is there; CUDA: {word.cuda}",
            "jobs bring their own CUDA; the driver's libcuda.so.1 must be in a CDI file or among the system's libraries",
        )
    return good(about, f"a job sees {word.devices[0]} alone, and CUDA finds it")


def _of_offer(about: str, offer: InventoryOffer, rig: GpuRig) -> MachineFinding:
    what, sight = f"{offer.count} x {offer.gpu.name}", rig.sight(offer)
    if sight.unfit:
        return problem(about, f"{what}: {sight.unfit}", "it will not be on the market until that is mended")
    if sight.is_measured:
        return good(about, f"{what}, measured: {', '.join(offer.gpus)}")
    shown = [gpu for uuid in uuids_of(offer.gpus, rig.seen) if (gpu := rig.seen.gpu(uuid))]
    others = ", ".join(f"{gpu.index} is {gpu.name}" for gpu in shown)
    todo = "declared, not measured, is what clients will read"
    return advice(about, f"{what}, declared" + (f"; GPU {others}" if others else ""), todo)
