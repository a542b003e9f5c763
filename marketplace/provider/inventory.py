"""What a provider declares it has, read from a TOML file. Declared, not measured: nobody has looked at these GPUs.

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
    gpus = [0, 1]            # which of the machine's GPUs; without it, the next ones that no offer of the file names
    days = 30                # renewed while the agent runs; or once and for all: expires = 2027-01-31T00:00:00Z

One file is one machine, and one key is one agent: every offer of the key that the file does not name is withdrawn.
"""

from __future__ import annotations

import ctypes
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from marketplace.chain.checksums import address_from_text
from marketplace.domain.classes import GpuClass, class_named
from marketplace.domain.errors import ConfigError, InvalidField, ToolMissing
from marketplace.domain.ids import ZERO_ADDRESS, Address
from marketplace.domain.spec import Machine, Reader, read_machine
from marketplace.domain.units import BPS_WHOLE, Bps, GpuCount, PricePerGpuHour, Seconds, UnixTime, units_from_text

SECONDS_PER_DAY = 86_400
MAX_DAYS = 3_650
MAX_OFFERS = 64
MAX_GPUS = 2**16
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
    gpu_numbers: tuple[int, ...]
    """The machine's own numbers of these GPUs: those that it names, or, in the order of the file, the next that are free."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything one agent offers."""

    offers: tuple[InventoryOffer, ...]

    @property
    def gpu_numbers(self) -> tuple[int, ...]:
        """All of the machine's GPUs that are on offer."""
        return tuple(number for offer in self.offers for number in offer.gpu_numbers)


def load_inventory(path: Path, *, decimals: int, recipient: str | None = None) -> Inventory:
    """Read the file; raise ConfigError that names it and, where one is wrong, the field and the rule."""
    try:
        return read_inventory(path.read_bytes(), decimals=decimals, recipient=recipient)
    except OSError as exc:
        raise ConfigError([f"the inventory {path} cannot be read: {exc.strerror}"]) from exc
    except InvalidField as exc:
        raise ConfigError([f"the inventory {path}: {exc}"]) from exc


def read_inventory(content: bytes, *, decimals: int, recipient: str | None = None) -> Inventory:
    """Read an inventory; ``decimals`` are those of the settlement token, ``recipient`` is the agent's, for keys of sealed jobs. Raises InvalidField."""
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
    tables = reader.take("offer", list)
    reader.end()
    if not 1 <= len(tables) <= MAX_OFFERS:
        raise InvalidField("offer", f"must be one to {MAX_OFFERS} [[offer]] tables")
    readers = [Reader(table, f"offer[{number}]") for number, table in enumerate(tables)]
    named = [_named_gpus(reader) for reader in readers]
    numbers = _GpuNumbers([number for some in named if some for number in some])
    return Inventory(
        tuple(_offer(reader, machine, some, numbers, decimals) for reader, some in zip(readers, named, strict=True))
    )


class _GpuNumbers:
    """Gives out the machine's GPUs: each once."""

    def __init__(self, named: list[int]) -> None:
        self._named = frozenset(named)
        self._taken: set[int] = set()
        self._next = 0

    def take(self, count: int, named: tuple[int, ...] | None, where: str) -> tuple[int, ...]:
        """Those that are named, or the next that no offer names. Raises InvalidField."""
        if named is None:
            free = (number for number in range(self._next, MAX_GPUS * 2) if number not in self._named)
            found = tuple(islice(free, count))
            self._next = found[-1] + 1
            return found
        if len(named) != count:
            raise InvalidField(where, f"names {len(named)} GPUs, and count is {count}")
        if len(set(named)) != len(named) or self._taken & set(named):
            raise InvalidField(where, "names a GPU twice")
        self._taken |= set(named)
        return named


def _named_gpus(reader: Reader) -> tuple[int, ...] | None:
    numbers: list[Any] | None = reader.take("gpus", list, None)
    if numbers is None:
        return None
    if not all(type(number) is int and 0 <= number < MAX_GPUS for number in numbers):
        raise InvalidField(reader.where("gpus"), f"must be a list of numbers from 0 to {MAX_GPUS - 1}")
    return tuple(numbers)


def _offer(
    reader: Reader, machine: Machine, named: tuple[int, ...] | None, numbers: _GpuNumbers, decimals: int
) -> InventoryOffer:
    gpu = class_named(reader.take("gpu", str), field=reader.where("gpu"))
    count = GpuCount(reader.number("count", 1, _MAX_SHORT))
    offer = InventoryOffer(
        gpu=gpu, count=count, price=_price(reader, decimals),
        bond_bps=Bps(reader.number("bond_bps", 0, BPS_WHOLE)),
        min_seconds=Seconds(reader.number("min_seconds", 0, _MAX_SHORT, 0)),
        arbiter=_arbiter(reader), term=_term(reader), machine=_machine(machine, gpu, count, reader),
        gpu_numbers=numbers.take(count, named, reader.where("gpus")),
    )  # fmt: skip
    reader.end()
    return offer


def _machine(machine: Machine, gpu: GpuClass, count: int, reader: Reader) -> Machine:
    """The description whose hash the listing carries, checked as those who will read it check it."""
    described = Machine(
        region=machine.region, gpu_model=gpu.name, vram_mib=gpu.vram_mib, gpu_count=count,
        cpus=machine.cpus, memory_mib=machine.memory_mib, disk_mib=machine.disk_mib, measured=machine.measured,
        recipient=machine.recipient,
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


def measure() -> int:
    """Count the GPUs that NVIDIA's driver shows on this machine; raise ToolMissing where there is no driver.

    A declared inventory stays declared whatever this says: comparing the two is the business of whoever asks.
    """
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError as exc:
        raise ToolMissing(
            "NVML",
            "no NVIDIA driver on this machine; what the inventory file declares is listed as declared, not measured",
        ) from exc
    count = ctypes.c_uint(0)
    if nvml.nvmlInit_v2() != 0 or nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        raise ToolMissing("NVML", "NVIDIA's driver is installed and does not answer")
    return count.value
