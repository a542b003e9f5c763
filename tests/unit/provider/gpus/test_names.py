"""Which class a GPU is of, by its name and its memory."""

from __future__ import annotations

import json

import pytest

from marketplace.domain.classes import GpuClass, class_named, load_classes
from marketplace.provider.gpus import names
from marketplace.provider.gpus.names import Unfit, UnfitReason, class_of_gpu

TABLE = json.loads(names._FILE.read_text())


def class_name(name: str, memory_mib: int | None) -> str:
    found = class_of_gpu(name, memory_mib)
    return found.name if isinstance(found, GpuClass) else found.reason


@pytest.mark.parametrize(
    ("name", "memory_mib", "expected"),
    [
        ("NVIDIA GeForce RTX 4090", 24564, "RTX4090"),
        ("GeForce RTX 4090", 24564, "RTX4090"),
        ("NVIDIA Tesla T4", 15109, "T4"),
        ("NVIDIA A40", 46068, "A40"),
        ("NVIDIA B300 SXM6 AC", 275040, "B300-SXM-288GB"),
        ("NVIDIA GH200 480GB", 97871, "GH200-96GB"),
        ("NVIDIA GH200 480GB", 147456, "no_class"),
        ("NVIDIA GeForce RTX 3080", 10240, "RTX3080"),
        ("NVIDIA GeForce RTX 3080", 12288, "no_class"),
        ("NVIDIA GeForce RTX 3060", 12288, "RTX3060"),
        ("NVIDIA GeForce RTX 3060", 8192, "no_class"),
        ("NVIDIA GeForce RTX 4060 Ti", 16380, "RTX4060TI-16GB"),
        ("NVIDIA GeForce RTX 4060 Ti", 8188, "no_class"),
        ("NVIDIA GeForce RTX 4090 D", 24564, "no_class"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 97887, "RTX-PRO-6000"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 97887, "no_class"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16376, "laptop"),
        ("NVIDIA GeForce RTX 2080 with Max-Q Design", 8192, "laptop"),
        ("NVIDIA RTX A4500 Embedded GPU", 16384, "embedded"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 4864, "partition"),
        ("GRID A100D-20C", 20480, "virtual"),
        ("NVIDIA H100 80GB HBM3", 40000, "memory_differs"),
        ("NVIDIA H100 80GB HBM3", None, "memory_unknown"),
        ("NVIDIA GeForce GTX 1080", 8192, "name_unknown"),
        ("", 0, "name_unknown"),
    ],
)
def test_classes_go_by_name_and_memory(name: str, memory_mib: int | None, expected: str) -> None:
    """A name that several cards share is told apart by memory, and what is not a class is refused with its reason."""
    assert class_name(name, memory_mib) == expected


def test_refusals_are_sentences() -> None:
    """A provider reads which GPU it is about, and why."""
    assert str(class_of_gpu("NVIDIA A10G", 23028)) == "NVIDIA A10G is a cloud's own variant, not an A10"
    assert str(class_of_gpu("NVIDIA A40", 24000)) == "NVIDIA A40 has 24000 MiB, and one of class A40 has 49152"


def test_the_table_is_whole() -> None:
    """Each row has its source, a class of the catalogue or a refusal, and kinds have reasons that there are."""
    classes = {known.name for known in load_classes()}

    assert all(row["source"] for row in TABLE["names"] + TABLE["kinds"])
    assert {row["class"] for row in TABLE["names"]} - {None} <= classes
    assert all(bool(row.get("refusal")) == (row["class"] is None) for row in TABLE["names"])
    assert {UnfitReason(kind["reason"]) for kind in TABLE["kinds"]}


@pytest.mark.parametrize("row", [row for row in TABLE["names"] if row["class"]], ids=lambda row: row["nvml"])
def test_each_row_is_reached_with_its_classs_memory(row: dict) -> None:
    """A GPU of that name with the catalogue's memory, or a fourteenth less, is of the row's class; with half of it, of none."""
    wanted = class_named(row["class"])
    full = class_of_gpu(row["nvml"], wanted.vram_mib)
    less = class_of_gpu(row["nvml"], max(wanted.vram_mib * 94 // 100, row.get("min_mib", 0)))

    assert full == wanted
    assert less == wanted
    assert isinstance(class_of_gpu(row["nvml"], wanted.vram_mib // 2), Unfit)
