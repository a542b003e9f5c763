"""Making bundles: one tree is one hash, parts in order are the whole, and what no bundle holds spoils nothing else."""

from __future__ import annotations

import codecs
import io
import os
import re
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from marketplace.domain.bundle_parts import PartStream, part_sizes
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.bundles import bundle_outputs, bundle_paths
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import sha256_of
from marketplace.domain.unpacking import unpack_bundle
from tests.unit.bundled_trees import LIMIT, as_inputs, as_outputs, plant, seen, trees


def names_in(bundle: bytes) -> list[str]:
    """The names in an archive, in its order."""
    with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
        return archive.getnames()


def make_socket(at: Path) -> None:
    """Leave a unix socket behind."""
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(at.parent, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/{at.name}")
        os.close(here)


@settings(max_examples=60, deadline=None)
@given(trees)
def test_round_trip(tree: object) -> None:
    """What is bundled comes out again as it was, and bundling that gives the same bytes."""
    with TemporaryDirectory() as folder:
        first, second = Path(folder) / "first", Path(folder) / "second"
        plant(tree, first)
        bundle = as_inputs(first).content()
        unpack_bundle(bundle, second, Allowance(LIMIT))

        assert seen(second) == tree
        assert as_inputs(second).content() == bundle


def test_the_hash_does_not_depend_on_times_owners_or_order(tmp_path: Path) -> None:
    """Two trees that differ in time, permissions of others and order of making have one hash."""
    for name, files in (("a", ["x", "y"]), ("b", ["y", "x"])):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text(file)
    os.utime(tmp_path / "b" / "x", (1, 1))
    (tmp_path / "b" / "y").chmod(0o600)

    assert as_inputs(tmp_path / "a").parts() == as_outputs(tmp_path / "b").parts()


def test_a_bundle_is_a_tar_archive_like_any_other(tmp_path: Path) -> None:
    """tarfile reads a bundle, long names included, and finds owner, time and modes normalised."""
    long_name = "ä" * 80 + "/" + "n" * 200
    (tmp_path / long_name).parent.mkdir()
    (tmp_path / long_name).write_bytes(b"long")
    with tarfile.open(fileobj=io.BytesIO(as_inputs(tmp_path).content())) as archive:
        found = [(m.name, m.mode, m.uid, m.gid, m.mtime, m.uname, m.gname, m.size) for m in archive]

    assert found == [("ä" * 80, 0o755, 0, 0, 0, "", "", 0), (long_name, 0o644, 0, 0, 0, "", "", 4)]


def planted(at: Path) -> Path:
    """A tree with what is awkward to cut: long names, empty files, whole blocks, one byte more."""
    sizes = {"empty": 0, "block": 512, "more": 513, "n" * 99: 1, "n" * 100: 2, "n" * 101: 3, "ä" * 120: 3_000}
    plant(
        {"inner": {name: (b"x" * size, False) for name, size in sizes.items()}, "f" * 200: {}, "last": (b"!", True)}, at
    )
    return at


DOCUMENTED: list[dict[str, object]] = [
    {},
    {"a": (b"hi\n", False)},
    {"n": {"run": (b"#!/bin/sh\n", True)}, "a": (b"hi\n", False)},
    {"e": {"x": (b"", False)}, "e.txt": (b"", False), "z": {}},
    {"m" * 120: (b"x", False)},
    {"\u00e9p\u00f6que": (b"x" * 513, False)},
]


def test_the_documents_test_vectors_are_true(tmp_path: Path) -> None:
    """Who writes bundles in another language compares with these, in the order of the table."""
    page = (Path(__file__).parents[2] / "docs/reference/bundles.md").read_text()
    listed = [(int(size), name) for size, name in re.findall(r"\| (\d+) \| `([0-9a-f]{64})` \|", page)]
    made = []
    for number, tree in enumerate(DOCUMENTED):
        plant(tree, tmp_path / str(number))
        content = as_inputs(tmp_path / str(number)).content()
        made.append((len(content), sha256_of(content)))

    assert listed == made


@pytest.mark.parametrize("part_bytes", [37, 512, 1_000, 1_536, 4_096, 1 << 20])
def test_parts_are_the_bundle_cut(part_bytes: int, tmp_path: Path) -> None:
    """Whatever their size, parts in order are the bundle, byte for byte; each is read by itself, and as one file they unpack."""
    bundle = as_outputs(planted(tmp_path / "tree"))
    whole = bundle.content()
    cut = [b"".join(bundle.pieces(at, at + part_bytes)) for at in range(0, bundle.bytes, part_bytes)]
    paths = [tmp_path / f"part-{number}" for number in range(len(cut))]
    for path, content in zip(paths, cut, strict=True):
        path.write_bytes(content)
    with PartStream(paths) as stream:
        unpack_bundle(stream, tmp_path / "out", Allowance(LIMIT))

    assert b"".join(cut) == whole
    assert len(whole) == bundle.bytes
    assert bundle.parts(part_bytes) == tuple(map(sha256_of, cut))
    assert part_sizes(bundle.bytes, bundle.parts(part_bytes), "parts", part_bytes) == tuple(map(len, cut))
    assert seen(tmp_path / "out") == seen(tmp_path / "tree")


def test_listed_paths_come_with_their_folders(tmp_path: Path) -> None:
    """A list of names and paths becomes the tree that the names spell, wherever the files were."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "rows.csv").write_bytes(b"1,2")
    (tmp_path / "train.py").write_bytes(b"pass")
    bundle = bundle_paths(
        [("train.py", tmp_path / "train.py"), ("a/b", tmp_path / "elsewhere"), ("a/c", tmp_path / "train.py")],
        Allowance(LIMIT),
    )

    names = unpack_bundle(bundle.content(), tmp_path / "out", Allowance(LIMIT))
    assert names == ("a", "a/b", "a/b/rows.csv", "a/c", "train.py")
    with pytest.raises(InvalidField, match="named twice"):
        bundle_paths([("x", tmp_path / "train.py")] * 2, Allowance(LIMIT))
    with pytest.raises(InvalidField, match="relative"):
        bundle_paths([("../x", tmp_path / "train.py")], Allowance(LIMIT))


UNBUNDLABLE: dict[str, Callable[[Path], None]] = {
    "symbolic link": lambda at: at.symlink_to("/etc/passwd"),
    "a symbolic link ": lambda at: at.symlink_to("/etc"),
    " a symbolic link": lambda at: at.symlink_to("nowhere"),
    "fifo": lambda at: os.mkfifo(at),
    "socket": lambda at: make_socket(at),
    "folders deep": lambda at: (at / "/".join("d" * 70)).mkdir(parents=True),
}


@pytest.mark.parametrize(("why", "make"), UNBUNDLABLE.items(), ids=UNBUNDLABLE)
def test_only_plain_files_and_folders_are_bundled(why: str, make: Callable[[Path], None], tmp_path: Path) -> None:
    """Of a client's inputs, links and special files are refused by name; of a job's outputs they are left out by name, and all else is delivered."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "good").write_bytes(b"work")
    make(tmp_path / "inner" / "evil")
    with pytest.raises(InvalidField, match=why.strip()) as refusal:
        as_inputs(tmp_path)
    made = as_outputs(tmp_path)

    assert "inner/" in refusal.value.field
    assert "inner/good" in names_in(made.content())
    (left_out,) = made.left_out
    assert "inner/" in left_out.path
    assert why.strip() in left_out.why


ODD_NAMES = {
    "two\nlines": r"two\x0alines",
    "caf\udce9": r"caf\xe9",
    "back\\slash": r"back\x5cslash",
    "\x85": r"\xc2\x85",
}


def test_odd_names_are_delivered_escaped(tmp_path: Path) -> None:
    """Names that no bundle may hold are delivered under others that give them back byte for byte, and become no other file's."""
    (tmp_path / "tree").mkdir()
    for number, name in enumerate([*ODD_NAMES, "plain", r"caf\xe9"]):
        (tmp_path / "tree" / name).write_text(f"{number}")
    made = as_outputs(tmp_path / "tree")
    unpack_bundle(made.content(), tmp_path / "out", Allowance(LIMIT))

    found = {path.name: int(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert made.left_out == ()
    assert found == {escaped: number for number, escaped in enumerate([*ODD_NAMES.values(), "plain", r"caf\x5cxe9"])}
    for name, escaped in ODD_NAMES.items():
        assert codecs.escape_decode(escaped.encode())[0] == os.fsencode(name)  # type: ignore[attr-defined]


def test_inputs_with_odd_names_are_refused(tmp_path: Path) -> None:
    """A client is told which name will not do, before anything is sent."""
    (tmp_path / "two\nlines").write_bytes(b"")
    with pytest.raises(InvalidField, match="control characters"):
        as_inputs(tmp_path)


def test_inputs_keep_to_their_limits(tmp_path: Path) -> None:
    """One byte or one file more than allowed is refused; the limit itself is not."""
    (tmp_path / "f").write_bytes(b"1234")

    assert as_inputs(tmp_path, 4, 1).content()
    with pytest.raises(InvalidField, match="holds 4 bytes"):
        as_inputs(tmp_path, 3)
    with pytest.raises(InvalidField, match="more than 0 files"):
        as_inputs(tmp_path, 4, 0)


def test_what_does_not_fit_is_left_out_alone(tmp_path: Path) -> None:
    """A sparse file of a size beyond the order's disk is left out by name, what comes after it is delivered."""
    with (tmp_path / "b.sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)
    for name in ("a", "c"):
        (tmp_path / name).write_bytes(bytes(400))
    made = as_outputs(tmp_path, 1_000)

    assert names_in(made.content()) == ["a", "c"]
    assert [(one.path, one.why) for one in made.left_out] == [
        ("b.sparse", f"has {1 << 40} bytes, and 600 are left of the order's disk")
    ]


def test_too_many_files_are_cut_off(tmp_path: Path) -> None:
    """Of more files than a job may deliver as many as that come, and the result says that there were more."""
    for number in range(20):
        (tmp_path / f"{number}").touch()
    made = as_outputs(tmp_path, limit_entries=7)

    assert len(names_in(made.content())) == 7
    assert len(made.left_out) == 1


def test_further_names_of_a_file_come_last(tmp_path: Path) -> None:
    """Hard links are copies as far as the allowance goes, which counts each; no content is lost for another's second name."""
    (tmp_path / "a").write_bytes(bytes(400))
    for name in ("b", "c", "d"):
        os.link(tmp_path / "a", tmp_path / name)
    (tmp_path / "z").write_bytes(b"z" * 100)
    made = as_outputs(tmp_path, 1_000)

    assert names_in(made.content()) == ["a", "b", "z"]
    assert [one.path for one in made.left_out] == ["c", "d"]
    assert "another name of a" in made.left_out[0].why


def test_outputs_of_one_job_share_an_allowance(tmp_path: Path) -> None:
    """What one output has taken is not there for the next."""
    allowance = Allowance(1_000, 3)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_bytes(bytes(600))
        (tmp_path / name / "b").touch()
    made = [bundle_outputs(tmp_path / name, allowance) for name in ("first", "second")]

    assert len(made[0].entries) == 2
    assert made[1].entries == ()
    assert {one.path for one in made[1].left_out} <= {"a", "b"}
    assert made[1].left_out


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """A declared output that is a link, or a file that changes between looking and sending, is told and not followed."""
    (tmp_path / "f").write_bytes(b"before")
    made = as_outputs(tmp_path)
    (tmp_path / "f").write_bytes(b"later, and longer")
    with pytest.raises(InvalidField, match="changed while"):
        made.content()
    (tmp_path / "link").symlink_to(tmp_path / "f")

    assert bundle_outputs(tmp_path / "link", Allowance(LIMIT)).left_out[0].why.startswith("is a symbolic link")


BOUNDED = """
import resource, sys
from pathlib import Path
from marketplace.domain.bundles import bundle_outputs
from marketplace.domain.bundle_rules import Allowance
resource.setrlimit(resource.RLIMIT_AS, (300 << 20,) * 2)
made = bundle_outputs(Path(sys.argv[1]), Allowance(2 << 30))
print(made.bytes, len(made.parts()))
"""


def test_a_large_output_takes_no_memory(tmp_path: Path) -> None:
    """A sparse file of a gigabyte is hashed part by part in a process that may not have a third of that."""
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
    ran = subprocess.run([sys.executable, "-c", BOUNDED, str(tmp_path)], capture_output=True, text=True, check=False)

    assert ran.stdout.split() == [str((1 << 30) + 1536), "17"], ran.stderr
