"""Every lie of a client to the agent that is to run its job: an obstacle in one line, or a job within every bound."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.errors import InvalidField
from marketplace.domain.limits import MAX_FILES
from marketplace.domain.results import EndedReason
from marketplace.domain.unpacking import unpacking
from marketplace.provider.closing import Ending, wrap_up
from tests.hostile.client import lying
from tests.hostile.verdicts import Verdicts
from tests.unit.bundled_trees import crafted, member

KINDS: dict[str, tuple[Callable[[Path], Verdicts], int]] = {
    "specs": (lying.about_specs, 500),
    "work": (lying.about_work, 300),
    "sealed work": (lying.about_sealed_work, 200),
    "inputs": (lying.about_inputs, 50),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_lie_is_an_obstacle_or_harmless(kind: str, tmp_path: Path) -> None:
    """Missing, null, negative, huge, of a wrong type, another's: no exception, no word that cannot be kept, nothing outside its folder."""
    tell, least = KINDS[kind]
    verdicts = tell(tmp_path)

    assert verdicts.wrongs == []
    assert verdicts.told >= least


def test_a_hundred_thousand_files_too_many_leave_none(tmp_path: Path) -> None:
    """Empty files are counted, too, before the first is written."""
    block = bytearray(crafted(member("0000000"))[:512])
    blocks = bytearray()
    for number in range(MAX_FILES + 1):
        block[:7] = b"%07d" % number
        block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * ord(" "))
        blocks += block
    with pytest.raises(InvalidField, match="more than"):
        next(unpacking(bytes(blocks + bytes(1024)), tmp_path / "into", Allowance(1 << 30)))

    assert not (tmp_path / "into").exists()


def test_long_names_take_no_memory(tmp_path: Path) -> None:
    """Files sixty folders deep, whose names alone are megabytes, are unpacked one by one."""
    folders = ["/".join(["d" * 60] * depth) for depth in range(1, 61)]
    entries = [member(name, type=b"5") for name in folders] + [member(f"{folders[-1]}/{n:04}") for n in range(800)]
    archive = tmp_path / "archive"
    archive.write_bytes(crafted(*entries))
    del entries
    tracemalloc.start()
    with archive.open("rb") as stream:
        count = sum(1 for _ in unpacking(stream, tmp_path / "into", Allowance(1 << 20)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 860
    assert peak < 2 << 20


def make_deep(folder: Path, names: list[str]) -> None:
    """Folders in each other, as a job makes them whose own path to them is shorter."""
    here = os.open(folder, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def test_an_output_that_no_machine_can_look_at_is_left_out(tmp_path: Path) -> None:
    """A path that is short enough in the sandbox and too long for its host loses the job nothing else, and its provider no pay: the result says what is not there."""
    folder = lying.serving_folder(tmp_path / ("f" * 200))
    unreachable = "/job/out/" + "/".join(["d" * 250] * 15)
    folder.spec.write_bytes(lying.SPEC.canonical())
    folder.work.write_bytes(replace(lying.WORK, outputs=(unreachable, "/job/out/a")).canonical())
    out = folder.fresh_run() / "out"
    (out / "a").write_text("work")
    make_deep(out, ["d" * 250] * 15)
    result = wrap_up(folder, Ending(EndedReason.EXITED, 0))
    first, second = result.outputs

    assert first.left_out[0].why == "cannot be looked at: File name too long"
    assert second.parts
