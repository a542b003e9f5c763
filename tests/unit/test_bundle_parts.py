"""Parts that are read once: they are deleted as they are unpacked, so that nothing lies on the disk twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.domain.bundle_parts import PartStream
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.bundles import bundle_paths
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import sha256_of
from marketplace.domain.unpacking import unpacking

PART = 4096


def cut(content: bytes, folder: Path) -> list[Path]:
    """The content's parts as files by their names: equal ones are one file."""
    paths = []
    for start in range(0, len(content), PART):
        piece = content[start : start + PART]
        paths.append(folder / sha256_of(piece))
        paths[-1].write_bytes(piece)
    return paths


@pytest.fixture
def bundle(tmp_path: Path) -> bytes:
    """Small files, a large one, and one whose parts are all alike."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(20):
        (source / f"a{number:02}").write_bytes(bytes([number]) * 3000)
    (source / "large").write_bytes(b"".join(number.to_bytes(4, "big") for number in range(20_000)))
    (source / "zeros").write_bytes(bytes(40_000))
    return bundle_paths([(path.name, path) for path in source.iterdir()], Allowance(1 << 20)).content()


def on_disk(*folders: Path) -> int:
    return sum(path.stat().st_size for folder in folders if folder.exists() for path in folder.iterdir())


def test_what_is_unpacked_never_lies_there_twice(bundle: bytes, tmp_path: Path) -> None:
    """Parts and files together take no more than the bundle and one part, at any time; at the end there are no parts."""
    parts, into, most = tmp_path / "parts", tmp_path / "into", 0
    parts.mkdir()

    class Watched(PartStream):
        def read(self, size: int) -> bytes:
            nonlocal most
            most = max(most, on_disk(parts, into))
            return super().read(min(size, PART))

    with Watched(cut(bundle, parts)) as stream:
        for _ in unpacking(stream, into, Allowance(1 << 20), when_judged=stream.consume):
            pass

    assert len(list(into.iterdir())) == 22
    assert most <= len(bundle) + PART
    assert not list(parts.iterdir())


def test_what_comes_again_is_kept(bundle: bytes, tmp_path: Path) -> None:
    """A part that another input needs, too, stays for that one; a bundle that is refused has cost nothing."""
    paths = cut(bundle, tmp_path)
    with PartStream(paths, frozenset(paths[:1])) as stream:
        list(unpacking(stream, tmp_path / "into", Allowance(1 << 20), when_judged=stream.consume))

    assert paths[0].exists()
    assert not paths[1].exists()

    paths = cut(bundle, tmp_path)
    with pytest.raises(InvalidField), PartStream(paths) as stream:
        list(unpacking(stream, tmp_path / "again", Allowance(10), when_judged=stream.consume))

    assert all(path.exists() for path in paths)


def test_a_part_that_grows_meanwhile_is_read_as_far_as_it_went(tmp_path: Path) -> None:
    """What is appended to it is no part of the bundle, and the next part follows where it did."""
    paths = cut(b"".join(bytes([number]) * PART for number in (1, 2)), tmp_path)
    with PartStream(paths) as stream:
        with paths[0].open("ab") as grown:
            grown.write(b"more")

        assert stream.read(3 * PART) == bytes([1]) * PART + bytes([2]) * PART
        assert stream.seek(10) == 10
        assert stream.read(3 * PART) == bytes([1]) * (PART - 10) + bytes([2]) * PART
        assert (stream.tell(), stream.seek(-1, 2), stream.seek(-5, 1), stream.seek(-1)) == (
            2 * PART,
            2 * PART - 1,
            2 * PART - 6,
            0,
        )
        assert stream.read(2) == b"\1\1"
