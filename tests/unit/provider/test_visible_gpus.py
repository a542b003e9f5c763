"""How a job is told which GPUs are its own."""

from __future__ import annotations

from pathlib import Path

from marketplace.provider.executors.arguments import visible_gpus

REPORT = "Model: \t\t NVIDIA RTX\nIRQ:   \t\t 1\nGPU UUID: \t {uuid}\nBus Location: \t 0000:{bus}:00.0\nDevice Minor: \t {minor}\n"


def driver(at: Path, uuids: dict[int, str]) -> Path:
    for minor, uuid in uuids.items():
        (at / f"0000:{9 - minor:02}:00.0").mkdir()
        report = REPORT.format(uuid=uuid, bus=minor, minor=minor)
        (at / f"0000:{9 - minor:02}:00.0" / "information").write_text(report)
    return at


def test_gpus_are_named_by_uuid_where_the_driver_tells_them(tmp_path: Path) -> None:
    """The machine's second GPU is named by its UUID, whatever the order of the buses."""
    at = driver(tmp_path, {0: "GPU-aaaa", 1: "GPU-bbbb", 2: "GPU-cccc"})

    assert visible_gpus((1,), at) == "GPU-bbbb"
    assert visible_gpus((2, 0), at) == "GPU-cccc,GPU-aaaa"


def test_gpus_are_counted_from_nought_otherwise(tmp_path: Path) -> None:
    """Without a driver, or with one that tells half, a lone GPU is number 0 in there, whatever it is on the machine."""
    at = driver(tmp_path, {0: "GPU-aaaa", 1: "GPU-????????-????"})

    assert visible_gpus((1,), at) == "0"
    assert visible_gpus((3,), tmp_path / "none") == "0"
    assert visible_gpus((2, 3), at) == "0,1"
    assert visible_gpus(()) == ""
