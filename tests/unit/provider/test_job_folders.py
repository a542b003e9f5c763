"""What jobs leave in their folders, and how it is measured, taken back and removed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace.domain.results import EndedBy
from marketplace.provider.executors.base import EndReason
from marketplace.provider.executors.folders import MAX_DEPTH, Unlinked, measure, take_back, unlinked
from marketplace.provider.executors.removal import remove
from marketplace.provider.timekeeper import _ENDED, _STOPPED

MIB = 1 << 20


def nested(at: Path, depth: int) -> None:
    """Make folders in folders, deeper than any path may be long."""
    here = os.open(at, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def closed(at: Path) -> None:
    """Make a folder that nobody may enter, with one inside."""
    (at / "a" / "b").mkdir(parents=True)
    (at / "a" / "b" / "file").write_text("x")
    (at / "a" / "b").chmod(0)
    (at / "a").chmod(0)


def odd(at: Path) -> None:
    """Make what is neither file nor folder, with names that look like something else."""
    (at / "-rf").mkdir()
    (at / "-rf" / "new\nline").symlink_to("/")
    os.mkfifo(at / "fifo")
    (at / "to a folder").symlink_to(at.parent, target_is_directory=True)
    (at / os.fsdecode(b"\xff\xfe")).write_text("x")


def wide(at: Path) -> None:
    for number in range(100):
        (at / f"{number}").mkdir()
        (at / f"{number}" / "file").touch()


TREES: dict[str, Callable[[Path], None]] = {
    "2,000 nested folders": lambda at: nested(at, 2_000),
    "closed folders": closed,
    "odd names and kinds": odd,
    "many folders": wide,
}


@pytest.mark.parametrize("make", TREES.values(), ids=TREES)
def test_any_tree_is_removed(make: Callable[[Path], None], tmp_path: Path) -> None:
    """However deep, wide, closed or odd a tree is, it is removed without recursion, and nothing beside it is touched."""
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "tree").mkdir()
    make(tmp_path / "tree")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        while not remove(tmp_path / "tree", most=3_000):
            pass
    finally:
        sys.setrecursionlimit(limit)

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_removal_stops_when_it_was_enough_for_once(tmp_path: Path) -> None:
    """A removal is bounded, says that it is not through, and goes on where it was when it is called again."""
    (tmp_path / "tree").mkdir()
    wide(tmp_path / "tree")

    assert not remove(tmp_path / "tree", most=40)
    left = len(list((tmp_path / "tree").iterdir()))
    assert 0 < left < 100
    while not remove(tmp_path / "tree", most=40):
        assert len(list((tmp_path / "tree").iterdir())) < left
        left = len(list((tmp_path / "tree").iterdir()))
    assert remove(tmp_path / "tree")


def test_a_link_in_a_folders_place_is_not_followed(tmp_path: Path) -> None:
    """What a link leads to stays as it is; the link is what is removed."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "file").write_text("kept")
    (tmp_path / "lease").symlink_to(tmp_path / "host", target_is_directory=True)
    remove(tmp_path / "lease")

    assert not (tmp_path / "lease").is_symlink()
    assert (tmp_path / "host" / "file").read_text() == "kept"


def test_deep_trees_are_measured_as_too_deep(tmp_path: Path) -> None:
    """Measuring and taking back go only so deep, say so, and need few handles for it."""
    nothing = measure(tmp_path)
    nested(tmp_path, 100)

    assert measure(tmp_path).excess_files(nothing) == f"folders nested more than {MAX_DEPTH} deep"
    take_back((tmp_path,))
    remove(tmp_path)


def test_a_sparse_file_counts_as_it_reads(tmp_path: Path) -> None:
    """A file that takes no disk but reads as too much is over the limit: it could not be delivered within it."""
    nothing = measure(tmp_path)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(100 * MIB)
    found = measure(tmp_path)

    assert found.bytes < MIB
    assert found.excess_bytes(nothing, 50) == "files that read as 100 MiB of 50 MiB"
    assert found.excess_bytes(nothing, 100) == ""


def test_hard_links_count_once_on_disk_and_by_name_in_reading(tmp_path: Path) -> None:
    """Two names of one file take its space once; who reads both reads it twice."""
    nothing = measure(tmp_path)
    (tmp_path / "a").write_bytes(os.urandom(MIB))
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    found = measure(tmp_path)

    assert found.bytes - nothing.bytes < 2 * MIB
    assert found.claimed_bytes == 2 * MIB
    assert found.excess_bytes(nothing, 1) == "files that read as 2 MiB of 1 MiB"


def test_taking_back_opens_everything_and_leaves_no_setuid(tmp_path: Path) -> None:
    """Closed folders and files can be read afterwards, links are not followed, and no setuid bit is left."""
    closed(tmp_path)
    (tmp_path / "program").write_text("x")
    (tmp_path / "program").chmod(0o6000)
    (tmp_path / "link").symlink_to("program")
    take_back((tmp_path,))

    assert (tmp_path / "a" / "b").stat().st_mode & 0o700 == 0o700
    assert (tmp_path / "program").stat().st_mode & 0o7777 == 0o600
    assert (tmp_path / "link").is_symlink()


def test_files_without_a_name_are_found_by_who_holds_them(tmp_path: Path) -> None:
    """A file that was deleted while it is open still takes its space; and who holds very many open is over the limit."""
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(MIB))
        file.flush()
        before = unlinked([os.getpid()], {tmp_path.stat().st_dev})
        (tmp_path / "file").unlink()
        after = unlinked([os.getpid(), 2**22 + 1], {tmp_path.stat().st_dev})

    assert after.bytes - before.bytes >= MIB
    assert after.open_files == before.open_files > 0
    nothing = measure(tmp_path)
    assert nothing.plus(Unlinked(0, 100_001)).excess_files(nothing) == "more than 100000 open files"
    assert nothing.plus(after).excess_bytes(nothing, 1_000) == ""


def test_inputs_take_their_part_of_the_disk(tmp_path: Path) -> None:
    """What a job may write is what its inputs leave of the order's disk; who deletes them may write more."""
    (tmp_path / "input").write_bytes(os.urandom(MIB))
    start = measure(tmp_path)
    (tmp_path / "output").write_bytes(os.urandom(MIB + 4096))

    assert measure(tmp_path).excess_bytes(start, 2) == "1 MiB written of 1 MiB"
    (tmp_path / "input").unlink()
    assert measure(tmp_path).excess_bytes(start, 2) == ""


def test_every_end_that_an_executor_makes_is_told_as_what_it_was() -> None:
    """A job over a limit is told by that limit's name, in the result and in words: files are not disk."""
    limits = [reason for reason in EndReason if reason.endswith("_limit")]

    assert {str(_ENDED[reason]) for reason in limits} == set(limits)
    assert {_ENDED[reason].by for reason in limits} == {EndedBy.LIMIT}
    assert all(_STOPPED[reason] for reason in EndReason if reason is not EndReason.EXITED)
