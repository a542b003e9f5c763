"""What a provider says it has, read from a TOML file. Which of it stands for GPUs that were seen is ``gpus.rig``'s to say.

    region = "eu"
    cpus = 16
    memory_mib = 65536
    disk_mib = 200000

    [[offer]]
    gpu = "RTX4090"          # a name of the catalogue (marketplace/domain/gpu_classes.json)
    count = 2
    price = "0.35"           # token units per GPU-hour, as text: money is never a float
    bond_bps = 1000          # what is at stake in each lease: 1000 is 10 % of what the client locks
    min_seconds = 0          # what an order must guarantee
    arbiter = "0x…"          # who rules on disputes
    gpus = ["GPU-…"]         # which of the machine's GPUs, by UUID (nvidia-smi -L); without it, the next ones of that class
    days = 30                # renewed while the agent runs; or once and for all: expires = 2027-01-31T00:00:00Z

    [egress]                 # without it jobs have no network
    most_mib = 10240         # what one job may send and receive
    local = ["10.0.0.5:80"]  # addresses of your own network that jobs may ask for, too
    [images]                 # which container images jobs may run in; see ``images.policy``
    registries = ["registry.example"]
    cache_mib = 20480
    [[reserve]]              # which reservations are accepted; without it, none: see ``reserving``
    classes = ["RTX4090"]

One file is one machine, and one key is one agent: every offer of the key that the file does not name is withdrawn.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from marketplace.chain.checksums import address_from_text
from marketplace.domain.classes import GpuClass, class_named
from marketplace.domain.egress import MAX_EGRESS_MIB, is_address, read_target, read_targets
from marketplace.domain.errors import ConfigError, InvalidField
from marketplace.domain.ids import ZERO_ADDRESS, Address
from marketplace.domain.json_reader import Reader
from marketplace.domain.spec import Machine, read_machine
from marketplace.domain.units import BPS_WHOLE, Bps, GpuCount, PricePerGpuHour, Seconds, UnixTime, units_from_text
from marketplace.provider.gpus.nvml import NO_GPUS, SeenMachine
from marketplace.provider.gpus.picking import GpuPicker, Named, named_gpus
from marketplace.provider.images.policy import ANY_BLOBS, ImagePolicy, read_policy
from marketplace.provider.reserving import ReserveRule, read_rules

SECONDS_PER_DAY = 86_400
MAX_DAYS = 3_650
MAX_OFFERS = 64
_MAX_PRICE = 2**80 - 1
_MAX_SHORT = 2**16 - 1
_MAX_INSTANT = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Term:
    """How long an offer stands: until an instant, or for a number of days that is renewed in time."""

    until: UnixTime | None = None
    days: int = 0

    def expiry(self, now: UnixTime, current: UnixTime | None = None) -> UnixTime:
        """When the offer should expire, given when it does now: one that is renewed is left alone in its first half."""
        if self.until is not None:
            return self.until
        whole = self.days * SECONDS_PER_DAY
        return current if current and current > now + whole // 2 else UnixTime(now + whole)


@dataclass(frozen=True, slots=True)
class InventoryOffer:
    """One ``[[offer]]``: some of the machine's GPUs, all of one class, at one price."""

    gpu: GpuClass
    count: GpuCount
    price: PricePerGpuHour
    bond_bps: Bps
    min_seconds: Seconds
    arbiter: Address
    term: Term
    machine: Machine
    gpus: tuple[str, ...]
    """Which they are: UUIDs, or the machine's own numbers of GPUs that are only declared (``gpus.picking``)."""
    local: tuple[str, ...] = ()
    """Addresses with ports of the provider's own network that its jobs may connect to."""
    images: ImagePolicy = ANY_BLOBS
    """Which images its jobs may run in."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything one agent offers."""

    offers: tuple[InventoryOffer, ...]
    reserve: tuple[ReserveRule, ...] = ()
    """Which reservations it accepts."""

    @property
    def gpus(self) -> tuple[str, ...]:
        """All of the machine's GPUs that are on offer."""
        return tuple(gpu for offer in self.offers for gpu in offer.gpus)


def load_inventory(
    path: Path, *, decimals: int, recipient: str | None = None, seen: SeenMachine = NO_GPUS
) -> Inventory:
    """Read the file; raise ConfigError that names it and, where one is wrong, the field and the rule."""
    try:
        return read_inventory(path.read_bytes(), decimals=decimals, recipient=recipient, seen=seen)
    except OSError as exc:
        raise ConfigError([f"the inventory {path} cannot be read: {exc.strerror}"]) from exc
    except InvalidField as exc:
        raise ConfigError([f"the inventory {path}: {exc}"]) from exc


def read_inventory(
    content: bytes, *, decimals: int, recipient: str | None = None, seen: SeenMachine = NO_GPUS
) -> Inventory:
    """Read an inventory; raise InvalidField. ``decimals`` are those of the settlement token, ``recipient`` is the agent's, for keys of sealed
    jobs; ``seen`` is what the driver shows of this machine, which GPUs are picked from.
    """
    try:
        document = tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise InvalidField("inventory", f"is not valid TOML: {exc}") from None
    reader = Reader(document, "")
    machine = Machine(
        region=reader.take("region", str), gpu_model="", vram_mib=0, gpu_count=0,
        cpus=reader.number("cpus", 1, 2**16), memory_mib=reader.number("memory_mib", 16, 2**32),
        disk_mib=reader.number("disk_mib", 1, 2**32), measured=False, recipient=recipient,
    )  # fmt: skip
    egress_mib, local = _egress(reader)
    machine = replace(machine, egress_mib=egress_mib)
    tables, images, reserve = reader.take("offer", list), read_policy(reader), read_rules(reader, decimals)
    reader.end()
    if not 1 <= len(tables) <= MAX_OFFERS:
        raise InvalidField("offer", f"must be one to {MAX_OFFERS} [[offer]] tables")
    readers = [Reader(table, f"offer[{number}]") for number, table in enumerate(tables)]
    named = [named_gpus(reader) for reader in readers]
    picker = GpuPicker(named, seen)
    return Inventory(
        tuple(
            replace(_offer(reader, machine, some, picker, decimals), images=images, local=local)
            for reader, some in zip(readers, named, strict=True)
        ),
        reserve,
    )


def _egress(reader: Reader) -> tuple[int, tuple[str, ...]]:
    """What a job may send and receive, 0 where the file says nothing of it; and the addresses of the provider's own that it may reach."""
    table = reader.take("egress", dict, None)
    if table is None:
        return 0, ()
    inner = Reader(table, "egress")
    most_mib = inner.number("most_mib", 1, MAX_EGRESS_MIB)
    local = read_targets(inner.texts("local", []), "egress.local")
    if not all(is_address(read_target(one, "egress.local").host) for one in local):
        raise InvalidField("egress.local", "must be addresses with ports: names may change")
    inner.end()
    return most_mib, local


def _offer(reader: Reader, machine: Machine, named: Named | None, picker: GpuPicker, decimals: int) -> InventoryOffer:
    gpu = class_named(reader.take("gpu", str), field=reader.where("gpu"))
    count = GpuCount(reader.number("count", 1, _MAX_SHORT))
    offer = InventoryOffer(
        gpu=gpu, count=count, price=_price(reader, decimals),
        bond_bps=Bps(reader.number("bond_bps", 0, BPS_WHOLE)),
        min_seconds=Seconds(reader.number("min_seconds", 0, _MAX_SHORT, 0)),
        arbiter=_arbiter(reader), term=_term(reader), machine=_machine(machine, gpu, count, reader),
        gpus=picker.take(gpu, count, named, reader.where("gpus")),
    )  # fmt: skip
    reader.end()
    return offer


def _machine(machine: Machine, gpu: GpuClass, count: int, reader: Reader) -> Machine:
    """The description whose hash the listing carries, checked as those who will read it check it."""
    described = Machine(
        region=machine.region, gpu_model=gpu.name, vram_mib=gpu.vram_mib, gpu_count=count,
        cpus=machine.cpus, memory_mib=machine.memory_mib, disk_mib=machine.disk_mib, measured=machine.measured,
        recipient=machine.recipient, egress_mib=machine.egress_mib,
    )  # fmt: skip
    try:
        return read_machine(described.canonical())
    except InvalidField as exc:
        raise InvalidField(exc.field.removeprefix("machine."), exc.rule) from None


def _price(reader: Reader, decimals: int) -> PricePerGpuHour:
    where = reader.where("price")
    units = units_from_text(reader.take("price", str), decimals, field=where)
    if not 1 <= units <= _MAX_PRICE:
        raise InvalidField(where, "must be above 0 and below 2^80 base units")
    return PricePerGpuHour(units)


def _arbiter(reader: Reader) -> Address:
    where = reader.where("arbiter")
    named = address_from_text(reader.take("arbiter", str), field=where)
    if named == ZERO_ADDRESS:
        raise InvalidField(where, "must not be the zero address")
    return named


def _term(reader: Reader) -> Term:
    days = reader.number("days", 0, MAX_DAYS, 0)
    until: Any = reader.take("expires", datetime, None)
    if bool(days) == (until is not None):
        raise InvalidField(reader.where("days"), "either days (at least 1) or expires must be given, not both")
    if until is None:
        return Term(days=days)
    if until.tzinfo is None:
        raise InvalidField(reader.where("expires"), "must have a time zone, such as 2027-01-31T00:00:00Z")
    instant = int(until.astimezone(UTC).timestamp())
    if not 0 < instant <= _MAX_INSTANT:
        raise InvalidField(reader.where("expires"), f"must be from 1970 to {_MAX_INSTANT} in Unix time")
    return Term(until=UnixTime(instant))
