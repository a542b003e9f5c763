"""How busy a job's GPUs were, in sum."""

from __future__ import annotations

from pathlib import Path

from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime
from marketplace.provider.gpus.nvml import GpuSample
from marketplace.provider.gpus.use import GpuUse, noted, notes_of_use
from marketplace.provider.home import AgentHome


def test_the_sum_is_kept_over_agents_and_told_in_a_line(tmp_path: Path) -> None:
    """Average use, and the most of memory, power and heat, of all samples of each GPU; what was never told is left out."""
    home = AgentHome(tmp_path)
    folder = home.serving(Bytes32("0x" + "11" * 32), UnixTime(1))
    folder.make()
    before = notes_of_use(folder)
    noted(folder, [GpuSample("GPU-a", 90, 1_000, 300, 60), GpuSample("GPU-b", None, None, None, None)])
    noted(folder, [GpuSample("GPU-a", 50, 3_000, None, 71)])
    home.close()

    assert before == []
    assert notes_of_use(folder) == [
        "GPU GPU-a: 70 % busy, at most 3000 MiB, 300 W, 71 °C (2 samples)",
        "GPU GPU-b: not told (1 samples)",
    ]
    assert str(GpuUse("GPU-c")) == "GPU-c: not told (0 samples)"
