"""Archives that other tars wrote: read, sorted on the way in, and rid by name of what no bundle holds."""

from __future__ import annotations

import io
import os
import random
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from marketplace.domain.bundle_rules import Allowance, LeftOut
from marketplace.domain.unpacking import unpack_bundle, unpacking
from tests.unit.bundled_trees import LIMIT, as_inputs, crafted, member, plant, seen, trees

LONG = "n" * 90 + "/" + "m" * 95
LINKS = {
    "symlink": (member("evil", type=b"2", linkname="/etc/passwd"), "is a symbolic link"),
    "hard link": (member("evil", type=b"1", linkname="/etc/passwd"), "is a hard link"),
    "hard link with a size": (member("evil", type=b"1", linkname="ok"), "is a hard link"),
    "character device": (member("evil", type=b"3", devmajor=1, devminor=3), "is a device"),
    "block device": (member("evil", type=b"4", devmajor=8, devminor=0), "is a device"),
    "fifo": (member("evil", type=b"6"), "is a fifo"),
}


def planted(root: Path) -> Path:
    """A tree with a long name, an executable, an empty folder and letters beyond ASCII."""
    root.mkdir()
    (root / "n" / "empty").mkdir(parents=True)
    (root / ("n" * 90)).mkdir()
    for name, content in (
        ("b.txt", b"b"),
        ("a", b""),
        ("n/run", b"#!/bin/sh\n"),
        ("\u00e9p\u00f6que", b"x" * 1000),
        (LONG, b"long"),
    ):
        (root / name).write_bytes(content)
    (root / "n/run").chmod(0o755)
    return root


@pytest.mark.parametrize("archive_format", ["gnu", "oldgnu", "ustar", "posix"])
@pytest.mark.parametrize(
    "packed", [["."], ["--sort=none", "b.txt", "\u00e9p\u00f6que", "n" * 90, "a", "n"]], ids=["whole", "by name"]
)
def test_what_gnu_tar_writes_is_read(archive_format: str, packed: list[str], tmp_path: Path) -> None:
    """In each of its formats, from the folder itself or entry by entry in any order: the same tree comes out."""
    source = planted(tmp_path / "source")
    command = ["tar", "--create", f"--format={archive_format}", f"--directory={source}", *packed]
    archive = subprocess.run(
        command, capture_output=True, check=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    )

    unpack_bundle(archive.stdout, tmp_path / "out", Allowance(LIMIT))

    assert seen(tmp_path / "out") == seen(source)


@settings(max_examples=50, deadline=None)
@given(trees)
def test_what_python_writes_is_read(tree: object) -> None:
    """Its default format, entries in an order of their own, folders unnamed where they hold anything."""
    with TemporaryDirectory() as folder:
        plant(tree, Path(folder) / "source")
        names = [path for path in (Path(folder) / "source").rglob("*") if path.is_file() or not any(path.iterdir())]
        random.Random(len(names)).shuffle(names)
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as writer:
            for path in names:
                writer.add(path, path.relative_to(Path(folder) / "source"), recursive=False)
        unpack_bundle(archive.getvalue(), Path(folder) / "out", Allowance(LIMIT))

        assert seen(Path(folder) / "out") == seen(Path(folder) / "source")


@pytest.mark.parametrize(("link", "why"), LINKS.values(), ids=LINKS)
def test_links_and_devices_are_left_out_by_name(link: tuple[tarfile.TarInfo, bytes], why: str, tmp_path: Path) -> None:
    """One by one, with the reason; all else is there, also what would lie behind the link."""
    left_out: list[LeftOut] = []
    archive = crafted(link, member("evil/inside", b"mine"), member("ok", b"fine"))

    names = unpack_bundle(archive, tmp_path / "out", Allowance(LIMIT), left_out.append)

    assert names == ("evil", "evil/inside", "ok")
    assert seen(tmp_path / "out") == {"evil": {"inside": (b"mine", False)}, "ok": (b"fine", False)}
    assert left_out == [LeftOut("evil", f"{why}; only regular files and folders are bundled")]


def test_what_has_been_judged_is_read_once_in_order(tmp_path: Path) -> None:
    """Also where entries are not: a part of an input is deleted once it has been read."""
    archive = io.BytesIO(crafted(*(member(name, name.encode() * 300) for name in ("z/b", "z/a", "k", "b", "c/d/e"))))
    written = unpacking(archive, tmp_path, Allowance(LIMIT))
    places = [archive.tell() for name in written if (tmp_path / name).is_file()]

    assert len(places) == 5
    assert places == sorted(places)
    assert (tmp_path / "c/d/e").read_bytes() == b"c/d/e" * 300


def test_a_name_that_is_left_out_is_harmless_on_a_screen(tmp_path: Path) -> None:
    """It is told as outputs' names are: escaped."""
    left_out: list[LeftOut] = []
    unpack_bundle(crafted(member("a\x1b[2J", type=b"2", linkname="x")), tmp_path, Allowance(LIMIT), left_out.append)

    assert [one.path for one in left_out] == ["a\\x1b[2J"]


def test_our_own_bundle_packed_again_by_tar_is_the_same_tree(tmp_path: Path) -> None:
    """There and back: nothing is lost between the two kinds of archive."""
    source = planted(tmp_path / "source")
    (tmp_path / "ours.tar").write_bytes(as_inputs(source).content())
    (tmp_path / "by_tar").mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "ours.tar", "-C", tmp_path / "by_tar"], check=True)

    assert seen(tmp_path / "by_tar") == seen(source)
