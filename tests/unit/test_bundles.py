"""Bundles: one tree is one hash, and nothing but plain files and folders goes in or comes out."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.domain.bundles import bundle_files, bundle_paths, unpack_bundle, write_bundle
from marketplace.domain.errors import InvalidField

LIMIT = 1 << 20

parts = st.text(st.characters(exclude_characters="/", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..")
)
trees = st.recursive(
    st.tuples(st.binary(max_size=1500), st.booleans()),
    lambda inner: st.dictionaries(parts, inner, max_size=4),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


def plant(tree: object, at: Path) -> None:
    """Make the folder or file that the tree describes."""
    if isinstance(tree, dict):
        at.mkdir(exist_ok=True)
        for name, inner in tree.items():
            plant(inner, at / name)
    else:
        content, is_executable = tree
        at.write_bytes(content)
        at.chmod(0o755 if is_executable else 0o644)


def seen(at: Path) -> object:
    """Describe what is there in the same form."""
    if at.is_dir() and not at.is_symlink():
        return {child.name: seen(child) for child in at.iterdir()}
    return at.read_bytes(), bool(at.stat().st_mode & 0o100)


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """One entry as an attacker would write it."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, content


def crafted(*members: tuple[tarfile.TarInfo, bytes], archive_format: int = tarfile.GNU_FORMAT) -> bytes:
    """An archive with well-formed headers and whatever content, ended as a bundle is."""
    blocks = []
    for header, content in members:
        blocks += [header.tobuf(archive_format, "utf-8", "surrogateescape"), content, bytes(-len(content) % 512)]
    return b"".join(blocks) + bytes(1024)


def with_checksum(block: bytearray) -> bytearray:
    """Make a damaged header believable again, so that damage gets past the checksum."""
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * ord(" "))
    return block


@settings(max_examples=60, deadline=None)
@given(trees)
def test_round_trip(tree: object) -> None:
    """What is bundled comes out again as it was, and bundling that gives the same bytes."""
    with TemporaryDirectory() as folder:
        first, second = Path(folder) / "first", Path(folder) / "second"
        plant(tree, first)
        bundle = bundle_files(first, limit_bytes=LIMIT)
        unpack_bundle(bundle, second, limit_bytes=LIMIT)

        assert seen(second) == tree
        assert bundle_files(second, limit_bytes=LIMIT) == bundle


@settings(max_examples=200, deadline=None)
@given(trees, st.data())
def test_damaged_bundles_are_refused_or_harmless(tree: object, data: st.DataObject) -> None:
    """Whatever bytes are changed, cut or added, unpacking writes below its folder or says InvalidField."""
    with TemporaryDirectory() as folder:
        plant(tree, Path(folder) / "source")
        bundle = bytearray(bundle_files(Path(folder) / "source", limit_bytes=LIMIT))
        for _ in range(data.draw(st.integers(1, 8))):
            place = data.draw(st.integers(0, len(bundle) - 1))
            bundle[place] = data.draw(st.integers(0, 255))
            header = slice(place - place % 512, place - place % 512 + 512)
            bundle[header] = with_checksum(bundle[header])
        cut = data.draw(st.integers(0, len(bundle)))
        with contextlib.suppress(InvalidField):
            unpack_bundle(bytes(bundle[:cut]), Path(folder) / "inner" / "into", limit_bytes=LIMIT)

        assert {child.name for child in Path(folder).iterdir()} <= {"source", "inner"}


def test_the_hash_does_not_depend_on_times_owners_or_order(tmp_path: Path) -> None:
    """Two trees that differ in time, permissions of others and order of making have one hash."""
    for name, files in (("a", ["x", "y"]), ("b", ["y", "x"])):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text(file)
    os.utime(tmp_path / "b" / "x", (1, 1))
    (tmp_path / "b" / "y").chmod(0o600)

    assert bundle_files(tmp_path / "a", limit_bytes=9) == bundle_files(tmp_path / "b", limit_bytes=9)


def test_a_bundle_is_a_tar_archive_like_any_other(tmp_path: Path) -> None:
    """tarfile reads a bundle, long names included, and finds owner, time and modes normalised."""
    long_name = "ä" * 80 + "/" + "n" * 200
    (tmp_path / long_name).parent.mkdir()
    (tmp_path / long_name).write_bytes(b"long")
    with tarfile.open(fileobj=io.BytesIO(bundle_files(tmp_path, limit_bytes=9))) as archive:
        found = [(m.name, m.mode, m.uid, m.gid, m.mtime, m.uname, m.gname, m.size) for m in archive]

    assert found == [("ä" * 80, 0o755, 0, 0, 0, "", "", 0), (long_name, 0o644, 0, 0, 0, "", "", 4)]


def test_a_stream_gets_the_same_bundle(tmp_path: Path) -> None:
    """Writing into a file gives the bytes, the hash and the size of the bundle in memory."""
    (tmp_path / "f").write_bytes(b"content")
    stream = io.BytesIO()
    bundled = write_bundle(tmp_path, stream, limit_bytes=7)

    assert stream.getvalue() == bundle_files(tmp_path, limit_bytes=7)
    assert bundled.sha256 == hashlib.sha256(stream.getvalue()).hexdigest()
    assert (bundled.bytes, bundled.entries) == (len(stream.getvalue()), 1)


def test_listed_paths_come_with_their_folders(tmp_path: Path) -> None:
    """A list of names and paths becomes the tree that the names spell, wherever the files were."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "rows.csv").write_bytes(b"1,2")
    (tmp_path / "train.py").write_bytes(b"pass")
    bundle = bundle_paths(
        [("train.py", tmp_path / "train.py"), ("a/b", tmp_path / "elsewhere"), ("a/c", tmp_path / "train.py")],
        limit_bytes=LIMIT,
    )

    names = unpack_bundle(bundle, tmp_path / "out", limit_bytes=LIMIT)
    assert names == ("a", "a/b", "a/b/rows.csv", "a/c", "train.py")
    with pytest.raises(InvalidField, match="named twice"):
        bundle_paths([("x", tmp_path / "train.py")] * 2, limit_bytes=LIMIT)
    with pytest.raises(InvalidField, match="relative"):
        bundle_paths([("../x", tmp_path / "train.py")], limit_bytes=LIMIT)


def make_socket(at: Path) -> None:
    """Leave a unix socket behind."""
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(at.parent, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/{at.name}")
        os.close(here)


UNBUNDLABLE: dict[str, Callable[[Path], None]] = {
    "a symlink to a secret": lambda at: at.symlink_to("/etc/passwd"),
    "a symlink to a folder": lambda at: at.symlink_to("/etc"),
    "a dangling symlink": lambda at: at.symlink_to("nowhere"),
    "a fifo": lambda at: os.mkfifo(at),
    "a name with a newline": lambda at: at.with_name("a\nb").write_bytes(b""),
    "a name that is not UTF-8": lambda at: Path(os.fsdecode(os.fsencode(at) + b"\xff")).write_bytes(b""),
    "a tree too deep": lambda at: (at / "/".join("d" * 70)).mkdir(parents=True),
}


@pytest.mark.parametrize("make", UNBUNDLABLE.values(), ids=UNBUNDLABLE)
def test_only_plain_files_and_folders_are_bundled(make: Callable[[Path], None], tmp_path: Path) -> None:
    """Links, fifos and odd names in a job's outputs are refused, and the refusal names the entry."""
    (tmp_path / "inner").mkdir()
    make(tmp_path / "inner" / "evil")
    with pytest.raises(InvalidField) as refusal:
        bundle_files(tmp_path, limit_bytes=LIMIT)

    assert "inner/" in refusal.value.field


def test_sockets_are_not_bundled(tmp_path: Path) -> None:
    """A unix socket in a job's outputs is refused."""
    make_socket(tmp_path / "s")
    with pytest.raises(InvalidField, match="regular files"):
        bundle_files(tmp_path, limit_bytes=LIMIT)


def test_making_keeps_to_its_limits(tmp_path: Path) -> None:
    """One byte or one file more than allowed is refused; the limit itself is not."""
    (tmp_path / "f").write_bytes(b"1234")

    assert bundle_files(tmp_path, limit_bytes=4, limit_entries=1)
    with pytest.raises(InvalidField, match="holds 4 bytes"):
        bundle_files(tmp_path, limit_bytes=3)
    with pytest.raises(InvalidField, match="more than 0 files"):
        bundle_files(tmp_path, limit_bytes=4, limit_entries=0)


MALICIOUS: dict[str, bytes] = {
    "parent folder": crafted(member("../evil")),
    "parent folder inside": crafted(member("a", type=b"5"), member("a/../../evil")),
    "absolute path": crafted(member("/etc/evil")),
    "dot": crafted(member("./evil")),
    "empty part": crafted(member("a", type=b"5"), member("a//evil")),
    "no name": crafted(member("")),
    "newline in the name": crafted(member("a\nb")),
    "escape sequence in the name": crafted(member("a\x1b[2Jb")),
    "C1 control in the name": crafted(member("a\x9bb")),
    "NUL in a long name": crafted(member("a" * 120 + "\0" + "b")),
    "not UTF-8": crafted(member("a\udcff")),
    "part too long": crafted(member("a" * 256)),
    "symlink": crafted(member("evil", type=b"2", linkname="/etc/passwd")),
    "hard link": crafted(member("evil", type=b"1", linkname="/etc/passwd")),
    "character device": crafted(member("evil", type=b"3", devmajor=1, devminor=3)),
    "block device": crafted(member("evil", type=b"4", devmajor=8, devminor=0)),
    "fifo": crafted(member("evil", type=b"6")),
    "contiguous file": crafted(member("evil", type=b"7")),
    "GNU sparse file": crafted(member("evil", type=b"S")),
    "pax header": crafted(member("evil", b"20 path=../evil____\n", type=b"x")),
    "pax format": crafted(member("evil"), archive_format=tarfile.PAX_FORMAT),
    "long name of a long name": crafted(member("././@LongLink", b"a" * 120, type=b"L"), member("a" * 120)),
    "long name and nothing after it": crafted(member("././@LongLink", b"a" * 120, type=b"L")),
    "long name of a gigabyte": crafted(member("././@LongLink", type=b"L", size=1 << 30), member("evil")),
    "duplicate": crafted(member("a", b"1"), member("a", b"2")),
    "wrong order": crafted(member("b"), member("a")),
    "file used as a folder": crafted(member("a"), member("a/b")),
    "folder missing": crafted(member("a/b")),
    "folder with content": crafted(member("a", b"x", type=b"5")),
    "too deep": crafted(*(member("/".join("d" * depth), type=b"5") for depth in range(1, 67))),
    "content missing": crafted(member("a", size=1 << 19)),
    "10 GB of nothing": crafted(member("a", size=10 << 30)),
    "2^95 bytes": crafted(member("a", size=1 << 80)),
    "too many bytes in all": crafted(member("a", bytes(LIMIT)), member("b", b"x")),
    "too many entries": crafted(*(member(f"{n:03}") for n in range(101))),
    "no end": crafted(member("a"))[:-1024],
    "half an end": crafted(member("a"))[:-512],
    "something after the end": crafted(member("a")) + bytes(512),
    "empty": b"",
    "gzip": b"\x1f\x8b" + bytes(1500),
    "wrong checksum": crafted(member("a")).replace(b"a", b"b", 1),
}


@pytest.mark.parametrize("bundle", MALICIOUS.values(), ids=MALICIOUS)
def test_malicious_bundles_are_refused_and_leave_nothing(bundle: bytes, tmp_path: Path) -> None:
    """Each way to write outside, to fill the disk or to confuse is refused before the first byte is written."""
    with pytest.raises(InvalidField):
        unpack_bundle(bundle, tmp_path / "into", limit_bytes=LIMIT, limit_entries=100)

    assert list(tmp_path.rglob("*")) == []


def test_a_link_that_is_already_there_is_not_followed(tmp_path: Path) -> None:
    """A symlink planted in the target folder stops the unpacking, as a folder and as a file."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "a").symlink_to(tmp_path / "outside")
    (tmp_path / "into" / "f").symlink_to(tmp_path / "outside" / "f")
    for bundle in (crafted(member("a", type=b"5"), member("a/evil", b"x")), crafted(member("f", b"x"))):
        with pytest.raises(InvalidField, match="already there"):
            unpack_bundle(bundle, tmp_path / "into", limit_bytes=LIMIT)

    assert list((tmp_path / "outside").iterdir()) == []


def test_a_file_that_is_already_there_is_not_overwritten(tmp_path: Path) -> None:
    """Two inputs of one job cannot overwrite each other's files, but may share folders."""
    bundle = crafted(member("a", type=b"5"), member("a/f", b"1"))
    unpack_bundle(bundle, tmp_path, limit_bytes=LIMIT)
    unpack_bundle(crafted(member("a", type=b"5"), member("a/g", b"2")), tmp_path, limit_bytes=LIMIT)
    with pytest.raises(InvalidField, match="a/f"):
        unpack_bundle(bundle, tmp_path, limit_bytes=LIMIT)

    assert seen(tmp_path) == {"a": {"f": (b"1", False), "g": (b"2", False)}}
