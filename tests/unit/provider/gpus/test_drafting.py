"""The inventory that `bourse provider init` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.domain.errors import InvalidField
from marketplace.provider.drafting import DraftTerms, draft_inventory
from marketplace.provider.gpus.nvml import NO_GPUS, Nvml
from marketplace.provider.gpus.rig import GpuRig
from marketplace.provider.inventory import read_inventory
from tests.nvml import nvml_at

TERMS = DraftTerms(
    "us-east", 16, 65_536, 200_000, "0x" + "ab" * 20, {"A40": (420_000, 390_000), "H100-SXM-80GB": (2_100_000,)}, 6, "tUSD"
)  # fmt: skip


def test_what_was_measured_is_offered_at_the_markets_price(tmp_path: Path) -> None:
    """Each class by its GPUs' UUIDs, at the lowest ask; memory and disk leave room for the machine; and the agent takes it as it is."""
    rig = GpuRig(Nvml(nvml_at(tmp_path, "H100 and A40")))
    seen = rig.look()
    text = draft_inventory(seen, TERMS)
    a40, h100 = read_inventory(text.encode(), decimals=6, seen=seen).offers

    assert (a40.gpus, a40.price, h100.price) == ((seen.gpus[0].uuid,), 390_000, 2_100_000)
    assert (a40.machine.region, a40.machine.memory_mib, a40.machine.disk_mib) == ("us-east", 63_488, 160_000)
    assert "asked now: 0.39 to 0.42, by 2 offers" in text


def test_a_price_that_nobody_knows_is_for_the_owner_to_say(tmp_path: Path) -> None:
    """Without an ask, or without a GPU that has a class, the file is not taken before it was read; who is left out is said."""
    laptop = Nvml(nvml_at(tmp_path / "b", "laptop")).look()
    two = Nvml(nvml_at(tmp_path / "a", "two 4090")).look()
    texts = [draft_inventory(seen, TERMS) for seen in (two, laptop, NO_GPUS)]

    for text in texts:
        with pytest.raises(InvalidField, match=r"offer\[0\].price"):
            read_inventory(text.encode(), decimals=6)
    assert "is left out: NVIDIA GeForce RTX 4090 Laptop GPU is a laptop's" in texts[1]
    assert "declared, not measured" in texts[2]
