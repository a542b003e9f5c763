"""What the folder of blobs promises: a name stands for its content, whole, or for nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.domain.errors import HashMismatch, InvalidField, NotFound, StoreUnavailable
from marketplace.domain.ids import Sha256, sha256_of
from marketplace.store.blobs import FolderBlobs

CONTENT = b"twelve bytes"
NAME = sha256_of(CONTENT)


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")


def files_in(blobs: FolderBlobs) -> list[str]:
    return sorted(path.name for path in blobs.path.rglob("*") if path.is_file() and path.name != ".lock")


@pytest.mark.parametrize(
    "source", [CONTENT, io.BytesIO(CONTENT), [CONTENT[:5], CONTENT[5:]]], ids=["bytes", "file", "chunks"]
)
def test_content_is_found_under_its_hash(blobs: FolderBlobs, source: bytes | io.BytesIO | list[bytes]) -> None:
    """From bytes, from a file, from chunks; twice is the same as once."""
    assert blobs.put(source, NAME, 100) == len(CONTENT)
    assert blobs.put(CONTENT, NAME, 100) == len(CONTENT)

    assert blobs.read(NAME, 100) == CONTENT
    assert blobs.size(NAME) == len(CONTENT)
    assert blobs.has(NAME)
    with blobs.open(NAME) as file:
        assert file.read() == CONTENT
    assert files_in(blobs) == [NAME]
    assert (blobs.path / NAME[:2] / NAME[2:4] / NAME).is_file()


def test_empty_content_is_content(blobs: FolderBlobs) -> None:
    """Nothing has a hash, too."""
    assert blobs.put(b"", sha256_of(b""), 0) == 0
    assert blobs.size(sha256_of(b"")) == 0


def test_content_with_another_hash_leaves_nothing_behind(blobs: FolderBlobs) -> None:
    """Neither under the name that it claimed nor under its own, nor half of it elsewhere."""
    with pytest.raises(HashMismatch):
        blobs.put(b"something else", NAME, 100)

    assert files_in(blobs) == []


def test_content_beyond_the_limit_leaves_nothing_behind(blobs: FolderBlobs) -> None:
    """It is refused when the limit is passed, not after all of it was written."""

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    with pytest.raises(InvalidField):
        blobs.put(endless(), NAME, 10_000)
    with pytest.raises(InvalidField):
        blobs.put(CONTENT, NAME, len(CONTENT) - 1)

    assert files_in(blobs) == []


def test_a_sender_that_breaks_off_leaves_nothing_behind(blobs: FolderBlobs) -> None:
    """An error of the source goes through; what had arrived goes away."""

    def broken() -> Iterator[bytes]:
        yield CONTENT
        raise RuntimeError("the connection is gone")

    with pytest.raises(RuntimeError):
        blobs.put(broken(), NAME, 100)

    assert files_in(blobs) == []


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "", "/", "ab", "z" * 64, NAME + "/", NAME[:63] + "\n", "incoming"]
)
def test_a_name_that_is_none_is_refused(blobs: FolderBlobs, name: str) -> None:
    """No string from outside becomes a path."""
    for ask in (blobs.open, blobs.size, blobs.has):
        with pytest.raises(InvalidField):
            ask(Sha256(name))
    with pytest.raises(InvalidField):
        blobs.put(CONTENT, Sha256(name), 100)

    assert files_in(blobs) == []


def test_a_blob_that_is_not_there_is_not_found(blobs: FolderBlobs) -> None:
    """NotFound where content is asked for, None where its size is."""
    with pytest.raises(NotFound):
        blobs.open(NAME)
    with pytest.raises(NotFound):
        blobs.read(NAME, 100)

    assert blobs.size(NAME) is None
    assert not blobs.has(NAME)


def test_reading_small_content_checks_it_again(blobs: FolderBlobs) -> None:
    """A disk that rots is noticed, and so is content that is larger than the reader expects."""
    blobs.put(CONTENT, NAME, 100)
    with pytest.raises(InvalidField):
        blobs.read(NAME, len(CONTENT) - 1)

    (blobs.path / NAME[:2] / NAME[2:4] / NAME).write_bytes(b"rotten bytes")

    with pytest.raises(HashMismatch):
        blobs.read(NAME, 100)


def test_a_place_that_is_no_folder_is_an_outage(tmp_path: Path) -> None:
    """StoreUnavailable, not a bare OSError."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnavailable):
        FolderBlobs(tmp_path / "file" / "blobs")
