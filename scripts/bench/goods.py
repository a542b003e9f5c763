"""GPU models with what an hour of one costs, about: so that made-up markets have the price range of real ones."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from marketplace.domain.classes import class_named

MODELS: dict[str, int] = {
    "RTX3060": 80_000, "T4": 120_000, "RTX3090": 180_000, "A10": 250_000, "V100-16GB": 200_000, "RTX4090": 340_000,
    "L4": 300_000, "A40": 380_000, "RTX-A6000": 450_000, "RTX5090": 550_000, "L40": 650_000, "A100-PCIE-40GB": 720_000,
    "L40S": 800_000, "A100-SXM-40GB": 900_000, "RTX-PRO-6000": 1_100_000, "A100-PCIE-80GB": 1_150_000,
    "A100-SXM-80GB": 1_350_000, "H100-PCIE-80GB": 1_900_000, "MI300X": 2_100_000, "H100-SXM-80GB": 2_300_000,
    "H200-SXM-141GB": 3_000_000, "B200-SXM-180GB": 4_200_000, "GB200-186GB": 5_000_000, "B300-SXM-288GB": 5_800_000,
}  # fmt: skip
"""Token units (of six decimals) for a GPU-hour, from cheap to dear."""


@lru_cache
def names_of(models: int) -> tuple[str, ...]:
    """So many models, evenly spread from the cheapest to the dearest."""
    if not 1 <= models <= len(MODELS):
        raise ValueError(f"from 1 to {len(MODELS)} models, not {models}")
    names = sorted(MODELS, key=MODELS.__getitem__)
    return tuple(names[round(place)] for place in np.linspace(0, len(names) - 1, models))


def classes_of(models: int) -> NDArray[np.int64]:
    """Their numbers in the catalogue."""
    return np.array([class_named(name).number for name in names_of(models)])


def costs_of(models: int) -> NDArray[np.float64]:
    """What a GPU-hour of each costs, in token units."""
    return np.array([float(MODELS[name]) for name in names_of(models)])


def vram_of(models: int) -> NDArray[np.int64]:
    """The VRAM of each, in MiB."""
    return np.array([class_named(name).vram_mib for name in names_of(models)])
