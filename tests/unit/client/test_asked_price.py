"""Which offers fit a request whose client names no limit: on others it would look cheap and never run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.api.offers import OfferTold
from marketplace.client.asked_price import fits
from marketplace.client.request import JobRequest
from marketplace.domain.spec import Machine
from marketplace.domain.units import Bps, PricePerGpuHour, Seconds
from tests.unit.engine.markets import CLASSES, MACHINE, NOW, PEOPLE, TERMS, an_offer

REQUEST = JobRequest(
    command=("true",), gpus_of=("RTX4090",), max_price=PricePerGpuHour(0), max_time=Seconds(60), vram_mib=MACHINE.vram_mib,
    cpus=MACHINE.cpus, memory_mib=MACHINE.memory_mib, disk_mib=MACHINE.disk_mib, regions=("us", MACHINE.region),
)  # fmt: skip
"""All that the machine has."""


def told(machine: Machine | None) -> OfferTold:
    return OfferTold.of(an_offer(), CLASSES[0], machine, NOW, Bps(9_000), NOW, TERMS)


@pytest.mark.parametrize(
    "more",
    [
        {"vram_mib": MACHINE.vram_mib + 1}, {"cpus": MACHINE.cpus + 1}, {"memory_mib": MACHINE.memory_mib + 1},
        {"disk_mib": MACHINE.disk_mib + 1}, {"regions": ("us",)}, {"exclude_providers": (PEOPLE[0],)},
    ],
    ids=str,
)  # fmt: skip
def test_a_machine_that_lacks_something_does_not_fit(more: dict[str, Any]) -> None:
    """To the last MiB; nor does one elsewhere, or of a provider that is to be avoided."""
    assert fits(REQUEST, told(MACHINE))
    assert not fits(replace(REQUEST, **more), told(MACHINE))


def test_an_unknown_machine_fits_who_asks_for_nothing_special() -> None:
    """Nobody knows where it is, or how large its GPU is."""
    plain = replace(REQUEST, regions=(), vram_mib=0)

    assert fits(plain, told(None))
    assert not fits(replace(plain, regions=("eu",)), told(None))
    assert not fits(replace(plain, vram_mib=1), told(None))
    assert not fits(replace(plain, exclude_providers=(PEOPLE[0],)), told(None))
