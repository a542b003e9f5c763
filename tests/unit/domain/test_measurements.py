"""A measurement of GPUs: read strictly, and of one offer alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import bytes32_of, sha256_of
from marketplace.domain.measurements import MOST_MEASURED, MOST_SEEN, MeasuredGpu, Measurement, read_measurement
from marketplace.domain.units import UnixTime
from tests.unit.engine.markets import MACHINE, an_offer

GPU = MeasuredGpu("GPU-0", "NVIDIA GeForce RTX 4090", 24_564, "8.9", 4, 16, None, has_ecc=False)
OFFER = replace(an_offer(), gpus=2)
SEEN = Measurement(
    OFFER.id, MACHINE.sha256, 812, UnixTime(1_700_000_000), "550.54.15", None, (GPU, replace(GPU, uuid="GPU-1"))
)


def told(**changed: Any) -> dict[str, Any]:
    """The document, with other fields; those of its first GPU by ``gpu_``."""
    document = SEEN.document()
    for name, value in changed.items():
        if name.startswith("gpu_"):
            document["gpus"][0][name.removeprefix("gpu_")] = value
        else:
            document[name] = value
    return document


def test_a_measurement_survives_the_way_to_its_document_and_back() -> None:
    """What the driver did not tell, too."""
    assert read_measurement(SEEN.document()) == SEEN
    assert replace(SEEN, cuda="12.4").sha256 != SEEN.sha256


LIMITS = {
    "version": (1, 1), "offer": (0, 2**40 - 1), "block": (0, 2**53 - 1), "seen_at": (0, 2**40 - 1), "gpu_memory_mib": (1, MOST_SEEN),
    "gpu_pcie_generation": (0, MOST_SEEN), "gpu_pcie_lanes": (0, MOST_SEEN), "gpu_nvlinks": (0, MOST_SEEN),
}  # fmt: skip


@pytest.mark.parametrize(("name", "least", "most"), [(name, *limits) for name, limits in LIMITS.items()])
def test_a_number_keeps_its_bounds(name: str, least: int, most: int) -> None:
    """Both ends are fine, one beyond either is not, and the field is named."""
    for value in (least, most):
        read_measurement(told(**{name: value}))
    for value in (least - 1, most + 1):
        with pytest.raises(InvalidField) as caught:
            read_measurement(told(**{name: value}))
        assert caught.value.field.rpartition(".")[2] == name.removeprefix("gpu_")


@pytest.mark.parametrize("count", [1, MOST_MEASURED])
def test_one_to_sixty_four_gpus_are_read(count: int) -> None:
    """No fewer and no more."""
    gpus = SEEN.document()["gpus"][:1]

    assert len(read_measurement(told(gpus=gpus * count)).gpus) == count
    for refused in (0, MOST_MEASURED + 1):
        with pytest.raises(InvalidField, match="one to 64 GPUs"):
            read_measurement(told(gpus=gpus * refused))


@pytest.mark.parametrize("name", ["more", "gpu_more"])
def test_a_field_that_nobody_knows_is_refused(name: str) -> None:
    """Of the measurement, and of each GPU."""
    with pytest.raises(InvalidField, match="not a known field"):
        read_measurement(told(**{name: 1}))


@pytest.mark.parametrize("field", ["uuid", "name"])
@pytest.mark.parametrize("value", [None, "", "two\nlines", "x" * 97, 1])
def test_a_gpu_has_a_name_that_fits_on_a_line(field: str, value: object) -> None:
    """And the driver's own name of it: neither is null."""
    with pytest.raises(InvalidField):
        read_measurement(told(**{f"gpu_{field}": value}))


def test_it_is_of_the_offer_whose_machine_and_gpus_it_saw() -> None:
    """Not of another offer, another machine, another number of GPUs, or one GPU seen twice."""
    offer = replace(OFFER, spec=bytes32_of(MACHINE.sha256))
    others = [
        replace(SEEN, offer=OFFER.id + 1),
        replace(SEEN, machine=sha256_of(b"")),
        replace(SEEN, gpus=SEEN.gpus[:1]),
        replace(SEEN, gpus=SEEN.gpus[:1] * 2),
    ]

    assert SEEN.is_of(offer)
    assert not any(one.is_of(offer) for one in others)
