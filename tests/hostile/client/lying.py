"""A client lies to the agent that is to run its job: in its spec, its work and its inputs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from marketplace.domain.declines import MOST_DETAIL
from marketplace.domain.errors import DomainError, GatewayError, GatewayProblem, GatewayUnavailable
from marketplace.domain.ids import Bytes32, bytes32_of, sha256_of
from marketplace.domain.limits import MAX_INPUTS, MAX_NAME_BYTES, MAX_OUTPUTS
from marketplace.domain.orders import Order
from marketplace.domain.spec import Constraints, Group, JobSpec, Resources, WorkName
from marketplace.domain.units import UnixTime
from marketplace.domain.work import Assignment, Input, Work, work_name
from marketplace.provider.home import AgentHome, ServingFolder
from marketplace.provider.intake import collect_inputs, fetch_assignment, unpack_inputs
from marketplace.provider.inventory import InventoryOffer, read_inventory
from marketplace.provider.preflight import Obstacle, obstacle_to
from marketplace.provider.unsealing import Unsealer
from marketplace.sealing import new_identity, recipient_of, seal_work
from tests.hostile.gateway.telling import KEY, ORDER
from tests.hostile.mutations import lies
from tests.hostile.shelf import shelf
from tests.hostile.verdicts import Verdicts
from tests.unit.bundled_trees import crafted, member
from tests.unit.test_unpacking import MALICIOUS

LEASE = Bytes32("0x" + "ab" * 32)
DISK_MIB = 1
INVENTORY = b"""
region = "eu"
cpus = 4
memory_mib = 4096
disk_mib = 2048

[[offer]]
gpu = "RTX4090"
count = 2
price = "36"
bond_bps = 1000
arbiter = "0x00000000000000000000000000000000000000ab"
days = 30
"""
INPUT = crafted(member("hello.txt", b"hello"))
WORK = Work(
    ("python", "main.py"),
    "5a" * 32,
    {"A": "1"},
    (Input("/job/in", len(INPUT), (sha256_of(INPUT),)),),
    ("/job/out/a", "/job/out/b"),
)
SPEC = JobSpec(
    WORK.name, resources=Resources(1, 0, 1, 64, DISK_MIB), group=Group("ab" * 32, 2, 1), constraints=Constraints(regions=("eu",)), public=True,
)  # fmt: skip


def offer() -> InventoryOffer:
    """What the agent has to give."""
    return read_inventory(INVENTORY, decimals=6).offers[0]


def serving_folder(folder: Path) -> ServingFolder:
    home = AgentHome(folder / "home")
    home.close()
    found = home.serving(LEASE, UnixTime(1))
    found.make()
    return found


def about_specs(folder: Path) -> Verdicts:
    """Every field of the spec that the order names; the work is there."""
    place = serving_folder(folder)
    told = ((about, content, WORK.canonical()) for about, content in lies(json.loads(SPEC.canonical())))
    return _taken_in(place, told)


def about_work(folder: Path) -> Verdicts:
    """Every field of the work, under a spec that names just this document."""
    place = serving_folder(folder)
    return _taken_in(
        place, ((about, _spec_of(content), content) for about, content in lies(json.loads(WORK.canonical())))
    )


def about_sealed_work(folder: Path) -> Verdicts:
    """Every field of a sealed work, whose client has handed over its key."""
    place, key = serving_folder(folder), new_identity()
    place.job_key.write_text(key)
    sealed = json.loads(seal_work(WORK, recipient_of(key)).canonical())
    return _taken_in(place, ((about, _spec_of(content), content) for about, content in lies(sealed)))


def _spec_of(work: bytes) -> bytes:
    name = work_name(work)
    return replace(SPEC, work=WorkName(name.sha256, max(1, min(name.bytes, 1 << 20)))).canonical()


def _taken_in(place: ServingFolder, told: Iterator[tuple[str, bytes, bytes]]) -> Verdicts:
    """As the agent does it: documents of the right hash are in its folder, or nowhere."""
    verdicts, declared = Verdicts(), offer()
    unsealer = Unsealer(place.path.parents[1], is_published=True)
    with shelf({}) as api:
        for about, spec, work in told:
            place.spec.write_bytes(spec)
            place.work.write_bytes(work)
            order = replace(ORDER, spec=bytes32_of(sha256_of(spec)))
            try:
                found = fetch_assignment(api, LEASE, order, place, unsealer)
                found = (
                    found if isinstance(found, Obstacle) else obstacle_to(found, order, declared, KEY.address) or found
                )
            except (GatewayProblem, GatewayUnavailable) as refusal:
                verdicts.refuse(about, str(refusal))
            except Exception as error:  # noqa: BLE001 - this is what must never happen
                verdicts.wrong(about, error)
            else:
                _judge(verdicts, about, found, order, declared)
    return verdicts


def _judge(
    verdicts: Verdicts, about: str, found: Obstacle | Assignment, order: Order, declared: InventoryOffer
) -> None:
    if isinstance(found, Assignment):
        verdicts.judge(about, is_harmless=_fits(found, order, declared), taken=found)
    elif len(found.detail) > MOST_DETAIL:
        verdicts.wrongs.append(f"{about}: an obstacle of {len(found.detail)} letters")
    else:
        verdicts.refuse(about, str(found))


def _fits(found: Assignment, order: Order, declared: InventoryOffer) -> bool:
    """Whether this machine can run it, and whatever it says can be told to a sandbox and a file system."""
    spec, work, machine = found.spec, found.work, declared.machine
    needs = spec.resources
    is_small = (needs.cpus, needs.memory_mib, needs.disk_mib) <= (machine.cpus, machine.memory_mib, machine.disk_mib)
    is_small = is_small and needs.gpus == order.gpus and sum(item.bytes for item in work.inputs) <= needs.disk_mib << 20
    paths = [item.path for item in work.inputs] + list(work.outputs)
    are_paths = all(
        len(path.encode()) <= MAX_NAME_BYTES and path.startswith("/job/") and ".." not in path for path in paths
    )
    words = [*work.command, *found.environment, *found.environment.values()]
    are_words = len(work.env) <= 1_024 and all("\0" not in word and len(word.encode()) <= 128_000 for word in words)
    return is_small and are_paths and are_words and len(work.inputs) <= MAX_INPUTS and len(work.outputs) <= MAX_OUTPUTS


def about_inputs(folder: Path) -> Verdicts:
    """Parts that are missing or of another size, bundles with everything that no bundle holds, inputs in each other's way."""
    verdicts, blobs = Verdicts(), dict[str, bytes]()
    with shelf(blobs) as api:
        for number, (about, work, more) in enumerate(_inputs()):
            blobs.clear()
            blobs.update({sha256_of(INPUT): INPUT} | more)
            place = serving_folder(folder / f"{number}")
            try:
                task = Assignment(SPEC, work)
                collected = collect_inputs(api, LEASE, task, place)
                found = collected if isinstance(collected, Obstacle) else unpack_inputs(task, place)
            except (DomainError, GatewayError) as refusal:
                verdicts.refuse(about, str(refusal))
            except Exception as error:  # noqa: BLE001 - this is what must never happen
                verdicts.wrong(about, error)
            else:
                if isinstance(found, Obstacle):
                    verdicts.refuse(about, str(found))
                else:
                    verdicts.judge(about, is_harmless=False, taken=found)
            _check_disk(verdicts, about, folder / f"{number}")
    return verdicts


def _inputs() -> Iterator[tuple[str, Work, dict[str, bytes]]]:
    for about, archive in MALICIOUS.items():
        if about not in (
            "too many entries",
            "more folders than entries",
        ):  # a job may have more than they have in that test
            yield (
                about,
                _work(Input("/job/in", max(1, len(archive)), (sha256_of(archive),))),
                {sha256_of(archive): archive},
            )
    for about, archive in _sparse_bombs():
        yield about, _work(Input("/job/in", len(archive), (sha256_of(archive),))), {sha256_of(archive): archive}
    name, none = sha256_of(INPUT), sha256_of(b"nobody has this")
    yield "missing", _work(Input("/job/in", len(INPUT), (none,))), {}
    for size in (1, len(INPUT) - 1, len(INPUT) + 1, 1 << 20):
        yield f"of {size} bytes", _work(Input("/job/in", size, (name,))), {}
    for content in (b"", INPUT[:-1], INPUT + b"x", bytes(len(INPUT)), b"x" * 3_000_000):
        yield f"is {content[:4]!r}, {len(content)}", _work(Input("/job/in", len(INPUT), (name,))), {name: content}
    there = Input("/job/in", len(INPUT), (name,))
    yield "a file in the way of a folder", _work(there, replace(there, path="/job/in/hello.txt")), {}
    yield "a folder in the way of a file", _work(replace(there, path="/job/in/hello.txt"), there), {}
    large = crafted(member("a", bytes(600_000)))
    places = tuple(Input(f"/job/in/{number}", len(large), (sha256_of(large),)) for number in range(8))
    yield "one bundle at eight places", _work(*places), {sha256_of(large): large}
    deep = replace(there, path="/job/in" + "/" + "/".join(["d" * 250] * 15))
    yield "a path too long for this machine", _work(replace(deep, path=deep.path + "/" + "e" * 250)), {}


def _sparse_bombs() -> Iterator[tuple[str, bytes]]:
    """A few kilobytes that stand for a file of a tebibyte, as tar itself writes them down in each of its ways."""
    ways = {"gnu": ("gnu", "0.0"), **{f"posix {version}": ("posix", version) for version in ("0.0", "0.1", "1.0")}}
    with TemporaryDirectory() as folder:
        with Path(folder, "bomb").open("wb") as file:
            file.write(b"x")
            file.truncate(1 << 40)
        for about, (form, version) in ways.items():
            words = [
                "tar",
                f"--format={form}",
                "--sparse",
                f"--sparse-version={version}",
                "-C",
                folder,
                "-cf",
                "-",
                "bomb",
            ]
            archive = subprocess.run(words, check=True, capture_output=True).stdout
            assert len(archive) < 1 << 20
            yield f"a tebibyte of nothing, {about}", archive


def _work(*inputs: Input) -> Work:
    return replace(WORK, inputs=inputs)


def _check_disk(verdicts: Verdicts, about: str, folder: Path) -> None:
    """Nothing but plain files and folders, all below the serving's own, of the order's disk twice: as it came, and unpacked."""
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    size = sum(path.lstat().st_size for path in files)
    strange = [path for path in files if not path.is_file() or path.is_symlink()]
    outside = {path.name for path in folder.iterdir()} - {"home"}
    if strange or outside or size > (2 * DISK_MIB << 20) + (64 << 10):
        verdicts.wrongs.append(f"{about}: left {strange or outside or size} behind")


def all_of_them(folder: Path) -> dict[str, Verdicts]:
    """Every lie there is, told below an empty folder, by what it is about."""
    return {
        "specs": about_specs(folder / "specs"),
        "work": about_work(folder / "work"),
        "sealed work": about_sealed_work(folder / "sealed"),
        "inputs": about_inputs(folder / "inputs"),
    }
