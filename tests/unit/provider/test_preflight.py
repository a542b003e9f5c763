"""What a machine cannot, or must not, run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.domain.ids import ZERO_ADDRESS, ZERO_BYTES32, Address, OfferId, sha256_of
from marketplace.domain.orders import Order
from marketplace.domain.spec import Constraints, JobSpec, Resources
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.domain.work import Assignment, Input, Sealed
from marketplace.provider.capacity import Capacity
from marketplace.provider.inventory import read_inventory
from marketplace.provider.preflight import ObstacleReason, obstacle_to
from tests.works import SOME_WORK, WORK

ME, OTHER = Address("0x" + "22" * 20), Address("0x" + "33" * 20)
(OFFER,) = read_inventory(
    b"""
region = "eu"
cpus = 4
memory_mib = 4096
disk_mib = 1024
[[offer]]
gpu = "RTX4090"
count = 2
price = "1"
bond_bps = 0
arbiter = "0xabababababababababababababababababababab"
days = 1
""",
    decimals=6,
).offers
ORDER = Order(
    client=OTHER, classes=1, offer=OfferId(0), gpus=GpuCount(1), max_seconds=Seconds(100), min_seconds=Seconds(0),
    max_price=PricePerGpuHour(1), min_bond_bps=Bps(0), starts_at=UnixTime(0), expires_at=UnixTime(1), tip=TokenUnits(0),
    opener=ZERO_ADDRESS, acceptor=ZERO_ADDRESS, arbiter=ZERO_ADDRESS, spec=ZERO_BYTES32, salt=1,
)  # fmt: skip
SPEC = JobSpec(WORK)


def test_what_fits_exactly_can_run() -> None:
    """The whole machine may be asked for, and places that include this one."""
    needs = Resources(gpus=1, vram_mib=24_576, cpus=4, memory_mib=4096, disk_mib=1024)
    spec = replace(SPEC, resources=needs, constraints=Constraints(regions=("us", "eu"), providers=(ME,)))

    assert obstacle_to(Assignment(spec, SOME_WORK), ORDER, OFFER, ME) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"image": f"registry.example/a@sha256:{'0' * 64}"}, ObstacleReason.IMAGE_REFUSED),
        ({"resources": Resources(egress_mib=1)}, ObstacleReason.NETWORK_NOT_OFFERED),
        ({"checkpoint": "/job/checkpoint"}, ObstacleReason.CHECKPOINT_NOT_SUPPORTED),
        ({"resources": Resources(gpus=2)}, ObstacleReason.GPUS_DIFFER),
        ({"resources": Resources(vram_mib=24_577)}, ObstacleReason.NOT_ENOUGH_VRAM),
        ({"resources": Resources(cpus=5)}, ObstacleReason.NOT_ENOUGH_CPUS),
        ({"resources": Resources(memory_mib=4097)}, ObstacleReason.NOT_ENOUGH_MEMORY),
        ({"resources": Resources(disk_mib=1025)}, ObstacleReason.NOT_ENOUGH_DISK),
        ({"constraints": Constraints(regions=("us",))}, ObstacleReason.WRONG_REGION),
        ({"constraints": Constraints(exclude_providers=(ME,))}, ObstacleReason.PROVIDER_EXCLUDED),
        ({"constraints": Constraints(providers=(OTHER,))}, ObstacleReason.PROVIDER_EXCLUDED),
    ],
)
def test_first_obstacle_is_named(changed: dict[str, object], reason: ObstacleReason) -> None:
    """Each thing that this machine does not have, or does not do, has its own reason."""
    obstacle = obstacle_to(Assignment(replace(SPEC, **changed), SOME_WORK), ORDER, OFFER, ME)  # type: ignore[arg-type]

    assert obstacle is not None
    assert obstacle.reason is reason
    assert obstacle.detail


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"outputs": ("/job/inside",)}, ObstacleReason.OUTPUT_NOT_SUPPORTED),
        ({"inputs": (Input("/job/in", (1 << 20) + 1, (sha256_of(b""),)),)}, ObstacleReason.NOT_ENOUGH_DISK),
    ],
)
def test_first_obstacle_in_the_work_is_named(changed: dict[str, object], reason: ObstacleReason) -> None:
    """What the work asks for beyond the machine, or beyond its own spec, is an obstacle too."""
    spec, work = replace(SPEC, resources=Resources(disk_mib=1)), replace(SOME_WORK, **changed)  # type: ignore[arg-type]
    obstacle = obstacle_to(Assignment(spec, work), ORDER, OFFER, ME)

    assert obstacle is not None
    assert obstacle.reason is reason


def test_each_job_has_its_own_gpus() -> None:
    """Two jobs never share a GPU; a third waits until one is gone."""
    capacity, needs = Capacity(), Resources(memory_mib=16, disk_mib=1)
    keys = [(ZERO_BYTES32, UnixTime(n)) for n in range(3)]
    first, second = (capacity.take(key, OFFER, needs, 1) for key in keys[:2])

    assert first
    assert second
    assert set(first.gpus).isdisjoint(second.gpus)
    assert capacity.take(keys[2], OFFER, needs, 1) is None
    capacity.release(keys[0])
    third = capacity.take(keys[2], OFFER, needs, 1)
    assert third
    assert third.gpus == first.gpus


def test_memory_is_not_promised_twice() -> None:
    """A free GPU is not enough: memory and disk that others hold are not given again."""
    capacity = Capacity()

    assert capacity.take((ZERO_BYTES32, UnixTime(1)), OFFER, Resources(memory_mib=3000, disk_mib=1), 1)
    assert capacity.take((ZERO_BYTES32, UnixTime(2)), OFFER, Resources(memory_mib=1097, disk_mib=1), 1) is None
    assert capacity.take((ZERO_BYTES32, UnixTime(2)), OFFER, Resources(memory_mib=1096, disk_mib=1), 1)


def test_the_disk_is_free_when_the_folder_is_gone() -> None:
    """A job that is over gives its GPUs back at once, and of its disk what it has not left files on; the rest comes last."""
    capacity, whole = Capacity(), OFFER.machine.disk_mib
    first, second = (ZERO_BYTES32, UnixTime(1)), (ZERO_BYTES32, UnixTime(2))
    share = capacity.take(first, OFFER, Resources(memory_mib=16), whole)
    assert share
    capacity.end(first)

    assert capacity.take(second, OFFER, Resources(memory_mib=16), 1) is None
    capacity.leave(first, whole - 1)
    again = capacity.take(second, OFFER, Resources(memory_mib=16), 1)
    assert again
    assert again.gpus == share.gpus
    capacity.end(second)
    assert capacity.take(second, OFFER, Resources(memory_mib=16), 2) is None
    capacity.release(first)
    assert capacity.take(second, OFFER, Resources(memory_mib=16), whole)


def test_a_sealed_job_needs_its_disk_twice() -> None:
    """One that is as large as half of the machine's disk fits, a larger one is declined at once and not after a wait."""
    half = OFFER.machine.disk_mib // 2
    sealed = replace(SOME_WORK, sealed=Sealed("age1", ""), inputs=())
    fits, does_not = (Assignment(replace(SPEC, resources=Resources(disk_mib=mib)), sealed) for mib in (half, half + 1))
    obstacle = obstacle_to(does_not, ORDER, OFFER, ME)

    assert obstacle_to(fits, ORDER, OFFER, ME) is None
    assert obstacle
    assert obstacle.reason is ObstacleReason.NOT_ENOUGH_DISK
