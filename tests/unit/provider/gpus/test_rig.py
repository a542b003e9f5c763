"""An inventory's offers, held against what the driver shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.config import from_env
from marketplace.domain.errors import ConfigError, InvalidField
from marketplace.processes import _open_machine
from marketplace.provider.gpus.names import UnfitReason
from marketplace.provider.gpus.nvml import Nvml
from marketplace.provider.gpus.picking import uuids_of
from marketplace.provider.gpus.rig import GpuRig
from marketplace.provider.inventory import Inventory, InventoryOffer, read_inventory
from marketplace.provider.inventory_file import InventoryFile
from tests.nvml import MACHINES, gpu_of, nvml_at
from tests.nvml.cdi import cdi_at

OFFER = (
    '[[offer]]\ngpu = "{gpu}"\ncount = {count}\n{gpus}price = "0.35"\nbond_bps = 1000\narbiter = "0x'
    + "ab" * 20
    + '"\ndays = 30\n'
)
HEAD = 'region = "eu"\ncpus = 8\nmemory_mib = 65536\ndisk_mib = 100000\n'
FIRST, SECOND = (gpu["uuid"] for gpu in MACHINES["two 4090"]["gpus"])


def rig_of(at: Path, machine: str | Mapping[str, Any]) -> GpuRig:
    cdi = cdi_at(
        at / "cdi",
        [(gpu["uuid"], gpu["minor"]) for one in MACHINES.values() for gpu in one.get("gpus", ()) if "minor" in gpu],
    )
    rig = GpuRig(Nvml(nvml_at(at, machine)), [cdi])
    rig.look()
    return rig


def inventory(rig: GpuRig, *offers: str) -> Inventory:
    """Each offer: its class, its count, and perhaps its ``gpus``."""
    text = HEAD
    for offer in offers:
        gpu, count, *gpus = offer.split(" ", 2)
        named = f"gpus = {gpus[0]}\n" if gpus else ""
        text += OFFER.format(gpu=gpu, count=count, gpus=named)
    return read_inventory(text.encode(), decimals=6, seen=rig.seen)


def only(rig: GpuRig, *offers: str) -> InventoryOffer:
    (offer,) = inventory(rig, *offers).offers
    return offer


def test_gpus_are_picked_by_class_and_kept_by_uuid(tmp_path: Path) -> None:
    """The H100 is the machine's second GPU: an offer of one takes that, and not number 0."""
    rig = rig_of(tmp_path, "H100 and A40")
    h100, a40 = inventory(rig, "H100-SXM-80GB 1", "A40 1").offers

    assert [h100.gpus, a40.gpus] == [(rig.seen.gpus[1].uuid,), (rig.seen.gpus[0].uuid,)]
    assert rig.sight(h100).is_measured
    assert rig.sight(a40).gpus == (rig.seen.gpus[0],)


def test_what_is_only_declared_is_never_measured(tmp_path: Path) -> None:
    """GPUs of a class that the driver does not show, or more than it shows, keep their numbers; so does a machine without a driver."""
    rig, bare = rig_of(tmp_path / "a", "two 4090"), rig_of(tmp_path / "b", "no driver")
    other, more, none = only(rig, "H100-SXM-80GB 1"), only(rig, "RTX4090 3"), only(bare, "RTX4090 2")

    assert (other.gpus, none.gpus) == (("0",), ("0", "1"))
    assert more.gpus == (FIRST, SECOND, "2")
    assert not any(rig.sight(one).is_measured for one in (other, more))
    assert [bare.sight(none).unfit, rig.sight(other).unfit] == [None, None]
    assert uuids_of(other.gpus, rig.seen) == (FIRST,)


def test_offers_name_gpus_by_uuid(tmp_path: Path) -> None:
    """Another offer of the file takes none of them, whether it names the same GPU by number or takes the next."""
    rig = rig_of(tmp_path, "two 4090")
    first, second = inventory(rig, "RTX4090 1", f'RTX4090 1 ["{FIRST}"]').offers

    assert (first.gpus, second.gpus) == ((SECOND,), (FIRST,))
    with pytest.raises(InvalidField, match="twice"):
        inventory(rig, "RTX4090 1 [0]", f'RTX4090 1 ["{FIRST}"]')
    with pytest.raises(InvalidField, match="twice"):
        inventory(rig, "H100-SXM-80GB 1 [0]", f'RTX4090 1 ["{FIRST}"]')


@pytest.mark.parametrize(
    ("changed", "reason", "words"),
    [
        ([gpu_of("two 4090", 1)], UnfitReason.NOT_THERE, f"GPU {FIRST} is not there"),
        ([gpu_of("two 4090", name="NVIDIA A40", memory_mib=46068)], UnfitReason.CLASS_DIFFERS, "is a A40, and its offer says RTX4090"),
        ([gpu_of("two 4090", name="NVIDIA GeForce RTX 4090 D")], UnfitReason.NO_CLASS, "has fewer SMs than a 4090"),
        ([gpu_of("two 4090", mig=True)], UnfitReason.PARTITION, "split into parts"),
        ([gpu_of("two 4090", processes=[7, 8])], UnfitReason.IN_USE, "computes for somebody else (process 7, 8)"),
    ],
)  # fmt: skip
def test_an_offer_by_uuid_is_held_to_its_gpus(
    changed: list[dict], reason: UnfitReason, words: str, tmp_path: Path
) -> None:
    """While they are not what it says, it is not fit for the market, and the provider reads why."""
    rig = rig_of(tmp_path, "two 4090")
    offer = only(rig, "RTX4090 1")
    nvml_at(tmp_path, {"gpus": changed})
    rig.look()
    rig.look()
    sight = rig.sight(offer)

    assert not sight.is_measured
    assert sight.unfit.reason is reason
    assert words in sight.unfit.detail


def test_a_process_counts_when_it_stays_and_is_not_of_our_own_job(tmp_path: Path) -> None:
    """What is seen once may be a job of ours that ends; what runs on a GPU that a job of ours has is its own."""
    rig = rig_of(tmp_path, "two 4090")
    offer = only(rig, f'RTX4090 1 ["{FIRST}"]')
    nvml_at(tmp_path, {"gpus": [gpu_of("two 4090", processes=[7])]})
    rig.look()
    once = rig.sight(offer)
    rig.look()

    assert once.is_measured
    assert rig.sight(offer, in_use={FIRST}).is_measured
    assert not rig.sight(offer).is_measured


def test_a_driver_that_comes_up_late_is_heeded_and_a_gpu_that_goes_is_missed(tmp_path: Path) -> None:
    """What was declared by number is picked by UUID then; and an offer never passes from a GPU that is gone to a number."""
    path = tmp_path / "inventory.toml"
    path.write_text(HEAD + OFFER.format(gpu="RTX4090", count=2, gpus=""))
    rig = rig_of(tmp_path, "no driver")
    file = InventoryFile(path, decimals=6, rig=rig)
    before = file.inventory.gpus, file.look()
    nvml_at(tmp_path, "two 4090")
    rig.look()
    after = file.look(), file.inventory.gpus, file.look()
    nvml_at(tmp_path, {"gpus": [gpu_of("two 4090", 1)]})
    rig.look()

    assert before == (("0", "1"), False)
    assert after == (True, (FIRST, SECOND), False)
    assert not file.look()
    assert rig.sight(file.inventory.offers[0]).unfit.reason is UnfitReason.NOT_THERE


def test_two_agents_of_one_machine_do_not_offer_one_gpu(tmp_path: Path) -> None:
    """However each names it: by number, by UUID, or as something that it is not. The second one does not start, and reads whose it is."""
    nvml = nvml_at(tmp_path, "two 4090")
    offers = ["gpus = [0]\n", f'gpus = ["{FIRST}"]\n', ""]
    opened = []
    for number, (gpus, gpu) in enumerate(zip(offers, ("RTX4090", "RTX4090", "A40"), strict=True)):
        path = tmp_path / f"{number}.toml"
        path.write_text(HEAD + OFFER.format(gpu=gpu, count=1, gpus=gpus))
        settings = replace(from_env({}, tmp_path), home=tmp_path / str(number), gpu_locks=tmp_path / "locks", nvml=nvml)
        if number == 0:
            opened.append(_open_machine(settings, path, 6))
            continue
        with pytest.raises(ConfigError, match=f"GPU {FIRST} of this machine"):
            _open_machine(settings, path, 6)
    _, locks, file = opened[0]
    locks.close()

    assert file.inventory.gpus == (FIRST,)


def test_a_gpu_that_no_job_could_be_given_is_not_offered(tmp_path: Path) -> None:
    """Without a CDI file that names it, and without its device file, a lease on it could only fail."""
    rig = GpuRig(Nvml(nvml_at(tmp_path, "two 4090")), [tmp_path / "none"])
    rig.look()

    assert rig.sight(only(rig, "RTX4090 1")).unfit.reason is UnfitReason.NO_DEVICES
