"""What a provider's agent saw of the GPUs behind an offer, at a block, in its own signed words.

{"version": 1, "offer": 3, "machine": "…", "block": 812, "seen_at": 1700000000, "driver": "550.54.15", "cuda": "12.4",
 "gpus": [{"uuid": "GPU-…", "name": "NVIDIA GeForce RTX 4090", "memory_mib": 24564, "capability": "8.9", "pcie_generation": 4,
           "pcie_lanes": 16, "nvlinks": null, "has_ecc": null}]}

It proves no GPU: a provider may lie with a signature, too. It says who answers for the lie, and which GPU a job should find.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from marketplace.domain.canonical import canonical_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import OfferId, Sha256, sha256, sha256_of
from marketplace.domain.json_reader import Reader
from marketplace.domain.offers import Offer
from marketplace.domain.units import UnixTime

MEASUREMENT_VERSION = 1
MOST_MEASURED = 64
"""GPUs in one measurement; an offer of more stays declared."""
MOST_LETTERS = 96
MOST_SEEN = 2**31
_LINE = re.compile(r"[ -~]{1,96}")


@dataclass(frozen=True, slots=True)
class MeasuredGpu:
    """One GPU as the driver showed it. None: the driver did not tell."""

    uuid: str
    name: str
    memory_mib: int
    capability: str | None = None
    pcie_generation: int | None = None
    pcie_lanes: int | None = None
    nvlinks: int | None = None
    has_ecc: bool | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """The GPUs behind one offer."""

    offer: OfferId
    machine: Sha256
    """The machine description that the offer names."""
    block: int
    seen_at: UnixTime
    """The block's time."""
    driver: str | None
    cuda: str | None
    gpus: tuple[MeasuredGpu, ...]

    def document(self) -> dict[str, Any]:
        return {"version": MEASUREMENT_VERSION} | asdict(self) | {"gpus": [asdict(gpu) for gpu in self.gpus]}

    @property
    def sha256(self) -> Sha256:
        return sha256_of(canonical_json(self.document()))

    def is_of(self, offer: Offer) -> bool:
        """Whether it speaks of this offer, its machine, and as many GPUs, each once."""
        count = len({gpu.uuid for gpu in self.gpus})
        return (self.offer, f"0x{self.machine}", count, len(self.gpus)) == (offer.id, offer.spec, offer.gpus, count)


@dataclass(frozen=True, slots=True)
class SignedMeasurement:
    """A measurement with its provider's signature (``chain.statements``)."""

    measurement: Measurement
    signature: str


def read_measurement(value: Any) -> Measurement:
    """Read one strictly. Raises InvalidField."""
    reader = Reader(value, "measurement")
    reader.number("version", MEASUREMENT_VERSION, MEASUREMENT_VERSION)
    tables = reader.take("gpus", list)
    if not 1 <= len(tables) <= MOST_MEASURED:
        raise InvalidField("measurement.gpus", f"must be one to {MOST_MEASURED} GPUs")
    gpus = tuple(_gpu(Reader(table, f"measurement.gpus[{number}]")) for number, table in enumerate(tables))
    found = Measurement(
        offer=OfferId(reader.number("offer", 0, 2**40 - 1)),
        machine=sha256(reader.take("machine", str), field="measurement.machine"), block=reader.number("block", 0, 2**53 - 1),
        seen_at=UnixTime(reader.number("seen_at", 0, 2**40 - 1)), driver=_line(reader, "driver"), cuda=_line(reader, "cuda"), gpus=gpus,
    )  # fmt: skip
    reader.end()
    return found


def _gpu(reader: Reader) -> MeasuredGpu:
    uuid, name = _line(reader, "uuid"), _line(reader, "name")
    if not uuid or not name:
        raise InvalidField(reader.where("uuid"), "must be there, and the name, too")
    found = MeasuredGpu(
        uuid, name, reader.number("memory_mib", 1, MOST_SEEN), _line(reader, "capability"), _number(reader, "pcie_generation"),
        _number(reader, "pcie_lanes"), _number(reader, "nvlinks"), _told(reader, "has_ecc", bool),
    )  # fmt: skip
    reader.end()
    return found


def _told(reader: Reader, name: str, kind: type) -> Any:
    """A field that must be there and may be null."""
    return reader.take(name, kind, None) if reader.has(name) else reader.take(name, kind)


def _number(reader: Reader, name: str) -> int | None:
    found: int | None = _told(reader, name, int)
    if found is not None and not 0 <= found <= MOST_SEEN:
        raise InvalidField(reader.where(name), f"must be from 0 to {MOST_SEEN}")
    return found


def _line(reader: Reader, name: str) -> str | None:
    found: str | None = _told(reader, name, str)
    if found is not None and not _LINE.fullmatch(found):
        raise InvalidField(reader.where(name), "must be 1 to 96 printable ASCII characters")
    return found
