"""Unpacking bundles: whatever a stranger made of one, nothing but plain files and folders comes out, in its folder."""

from __future__ import annotations

import contextlib
import os
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.errors import InvalidField
from marketplace.domain.unpacking import unpack_bundle
from tests.unit.bundled_trees import LIMIT, as_inputs, crafted, member, plant, seen, trees


def with_checksum(block: bytearray) -> bytearray:
    """Make a damaged header believable again, so that damage gets past the checksum."""
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * ord(" "))
    return block


@settings(max_examples=200, deadline=None)
@given(trees, st.data())
def test_damaged_bundles_are_refused_or_harmless(tree: object, data: st.DataObject) -> None:
    """Whatever bytes are changed, cut or added, unpacking writes below its folder or says InvalidField."""
    with TemporaryDirectory() as folder:
        plant(tree, Path(folder) / "source")
        bundle = bytearray(as_inputs(Path(folder) / "source").content())
        for _ in range(data.draw(st.integers(1, 8))):
            place = data.draw(st.integers(0, len(bundle) - 1))
            bundle[place] = data.draw(st.integers(0, 255))
            header = slice(place - place % 512, place - place % 512 + 512)
            bundle[header] = with_checksum(bundle[header])
        cut = data.draw(st.integers(0, len(bundle)))
        with contextlib.suppress(InvalidField):
            unpack_bundle(bytes(bundle[:cut]), Path(folder) / "inner" / "into", Allowance(LIMIT))

        assert {child.name for child in Path(folder).iterdir()} <= {"source", "inner"}


MALICIOUS: dict[str, bytes] = {
    "parent folder": crafted(member("../evil")),
    "parent folder inside": crafted(member("a", type=b"5"), member("a/../../evil")),
    "absolute path": crafted(member("/etc/evil")),
    "empty part": crafted(member("a", type=b"5"), member("a//evil")),
    "no name": crafted(member("")),
    "newline in the name": crafted(member("a\nb")),
    "escape sequence in the name": crafted(member("a\x1b[2Jb")),
    "C1 control in the name": crafted(member("a\x9bb")),
    "NUL in a long name": crafted(member("a" * 120 + "\0" + "b")),
    "not UTF-8": crafted(member("a\udcff")),
    "part too long": crafted(member("a" * 256)),
    "folder through a dot": crafted(member("a/./evil")),
    "contiguous file": crafted(member("evil", type=b"7")),
    "GNU sparse file": crafted(member("evil", type=b"S")),
    "pax header": crafted(member("evil", b"20 path=../evil____\n", type=b"x")),
    "pax path that leads out": crafted(member("x", b"20 path=../evil____\n", type=b"x"), member("evil")),
    "pax path for all that follow": crafted(member("x", b"13 path=evil\n", type=b"g"), member("a")),
    "pax record longer than its header": crafted(member("x", b"99 path=evil\n", type=b"x"), member("a")),
    "pax record without a length": crafted(member("x", b"path=evil\n", type=b"x"), member("a")),
    "pax size beyond the end": crafted(member("x", b"13 size=9999\n", type=b"x"), member("a")),
    "pax size that is no number": crafted(member("x", b"11 size=-1\n", type=b"x"), member("a")),
    "pax sparse file": crafted(member("x", b"22 GNU.sparse.major=1\n", type=b"x"), member("a")),
    "pax header of a megabyte": crafted(member("x", bytes(1 << 20), type=b"x"), member("a")),
    "prefix that leads out": crafted(member("../" + "a" * 90 + "/" + "b" * 90), archive_format=tarfile.USTAR_FORMAT),
    "long name and nothing after it": crafted(member("././@LongLink", b"a" * 120, type=b"L")),
    "long name of a gigabyte": crafted(member("././@LongLink", type=b"L", size=1 << 30), member("evil")),
    "duplicate": crafted(member("a", b"1"), member("a", b"2")),
    "duplicate out of order": crafted(member("b"), member("a"), member("b")),
    "file used as a folder": crafted(member("a"), member("a/b")),
    "folder used as a file": crafted(member("a/b"), member("a")),
    "more folders than entries": crafted(*(member("/".join([f"{n}", *"d" * 60, "f"])) for n in range(2))),
    "folder with content": crafted(member("a", b"x", type=b"5")),
    "too deep": crafted(*(member("/".join("d" * depth), type=b"5") for depth in range(1, 67))),
    "content missing": crafted(member("a", size=1 << 19)),
    "10 GB of nothing": crafted(member("a", size=10 << 30)),
    "2^95 bytes": crafted(member("a", size=1 << 80)),
    "too many bytes in all": crafted(member("a", bytes(LIMIT)), member("b", b"x")),
    "too many entries": crafted(*(member(f"{n:03}") for n in range(101))),
    "no end": crafted(member("a"))[:-1024],
    "half an end": crafted(member("a"))[:-512],
    "something after the end": crafted(member("a")) + bytes(511) + b"x",
    "half a block after the end": crafted(member("a")) + bytes(256),
    "empty": b"",
    "gzip": b"\x1f\x8b" + bytes(1500),
    "wrong checksum": crafted(member("a")).replace(b"a", b"b", 1),
}


@pytest.mark.parametrize("bundle", MALICIOUS.values(), ids=MALICIOUS)
def test_malicious_bundles_are_refused_and_leave_nothing(bundle: bytes, tmp_path: Path) -> None:
    """Each way to write outside, to fill the disk or to confuse is refused before the first byte is written."""
    with pytest.raises(InvalidField):
        unpack_bundle(bundle, tmp_path / "into", Allowance(LIMIT, 100))

    assert list(tmp_path.rglob("*")) == []


def test_a_link_that_is_already_there_is_not_followed(tmp_path: Path) -> None:
    """A symlink planted in the target folder stops the unpacking, as a folder and as a file."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "a").symlink_to(tmp_path / "outside")
    (tmp_path / "into" / "f").symlink_to(tmp_path / "outside" / "f")
    for bundle in (crafted(member("a", type=b"5"), member("a/evil", b"x")), crafted(member("f", b"x"))):
        with pytest.raises(InvalidField, match="already there"):
            unpack_bundle(bundle, tmp_path / "into", Allowance(LIMIT))

    assert list((tmp_path / "outside").iterdir()) == []


def test_a_file_that_is_already_there_is_not_overwritten(tmp_path: Path) -> None:
    """Two inputs of one job cannot overwrite each other's files, but may share folders."""
    bundle = crafted(member("a", type=b"5"), member("a/f", b"1"))
    unpack_bundle(bundle, tmp_path, Allowance(LIMIT))
    unpack_bundle(crafted(member("a", type=b"5"), member("a/g", b"2")), tmp_path, Allowance(LIMIT))
    with pytest.raises(InvalidField, match="a/f"):
        unpack_bundle(bundle, tmp_path, Allowance(LIMIT))

    assert seen(tmp_path) == {"a": {"f": (b"1", False), "g": (b"2", False)}}


def test_bundles_of_one_job_share_an_allowance(tmp_path: Path) -> None:
    """One bundle that is unpacked at several places counts each time, files and bytes alike."""
    bundle = crafted(member("a", bytes(600)), member("b", bytes(600)))
    for allowance in (Allowance(3_000), Allowance(LIMIT, 5)):
        for place in ("first", "second"):
            unpack_bundle(bundle, tmp_path / f"{id(allowance)}" / place, allowance)
        with pytest.raises(InvalidField, match=r"3000 are allowed|more than 5 files"):
            unpack_bundle(bundle, tmp_path / f"{id(allowance)}" / "third", allowance)

        assert not (tmp_path / f"{id(allowance)}" / "third").exists()


def test_files_come_out_for_everybody_to_read(tmp_path: Path) -> None:
    """Whatever mode an archive says: its owner may write, all may read, and what is executable all may run."""
    unpack_bundle(
        crafted(member("plain", b"1", mode=0o600), member("tool", b"2", mode=0o7777)), tmp_path, Allowance(LIMIT)
    )

    umask = os.umask(0)
    os.umask(umask)
    assert {path.name: path.stat().st_mode & 0o7777 for path in tmp_path.iterdir()} == {
        "plain": 0o644 & ~umask, "tool": 0o755 & ~umask,
    }  # fmt: skip
