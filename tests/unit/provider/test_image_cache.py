"""The cache of images: by digest, held as long as a serving uses one, the least used first out, and never half of one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from marketplace.domain.errors import ImageUnusable
from marketplace.domain.ids import Sha256
from marketplace.domain.images import ImageTrouble
from marketplace.provider.images.accounts import ImageUser
from marketplace.provider.images.cache import MOUNTS, CachedImage, ImageCache, ImageRecord, images_in

MIB = 1 << 20
A, B, C = (Sha256(letter * 64) for letter in "abc")


class Place:
    """A cache of 100 MiB, and the servings beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.servings = folder / "images", folder / "servings"
        self.servings.mkdir(parents=True)
        self.cache = ImageCache(self.folder, self.servings, 100 * MIB, None)

    def made(self, digest: Sha256, mib: int, user: str) -> CachedImage:
        """Put an image in its place that takes so much, used by a serving that is there."""
        (self.servings / user).mkdir(exist_ok=True)
        with self.cache.making(digest) as room:
            (room.root / "file").write_text(digest)
            room.take(mib * MIB)
            record = ImageRecord("blob", room.bytes, {}, (), (), "/", ImageUser(0, 0, "/"))
            return self.cache.keep(room, digest, record, user)

    def over(self, user: str) -> None:
        """A serving is over: its folder is gone."""
        (self.servings / user).rmdir()

    def names(self) -> list[str]:
        return [image.digest for image in images_in(self.folder, self.servings)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_image_is_found_by_its_digest_and_held(place: Place) -> None:
    """Whoever finds one holds it; it is in use as long as a serving that holds it has a folder."""
    place.made(A, 10, "one")
    (place.servings / "two").mkdir()
    found = place.cache.find(A, "two")
    place.over("one")

    assert found is not None
    assert found.users == ("one", "two")
    assert [image.users for image in images_in(place.folder, place.servings)] == [("two",)]
    assert place.cache.find(B, "two") is None


def test_the_least_used_goes_first(place: Place) -> None:
    """Room is made by removing what no serving uses, the one used longest ago first, and no more than is needed."""
    for digest, user, used_at in ((A, "one", 300), (B, "two", 100), (C, "three", 200)):
        image = place.made(digest, 30, user)
        os.utime(image.folder / "image.json", (used_at, used_at))
        place.over(user)
    place.made(Sha256("d" * 64), 30, "four")

    assert place.names() == [A, C, "d" * 64]


def test_what_a_serving_uses_stays(place: Place) -> None:
    """An image that is too large for what is left beside those in use is refused, and they stay."""
    place.made(A, 60, "one")
    with pytest.raises(ImageUnusable) as refused:
        place.made(B, 60, "two")

    assert refused.value.trouble is ImageTrouble.TOO_BIG
    assert place.names() == [A]
    assert not any((place.folder / "making").iterdir())


def test_an_image_larger_than_the_cache_pushes_nobody_out_for_nothing(place: Place) -> None:
    """It is refused as soon as nothing more can go."""
    place.made(A, 10, "one")
    with pytest.raises(ImageUnusable):
        place.made(B, 200, "two")

    assert place.names() == [A]


def test_a_crash_leaves_nothing_that_is_used(place: Place, tmp_path: Path) -> None:
    """Half a tree has no name, and the next agent removes it; what was whole is found again."""
    place.made(A, 10, "one")
    with place.cache.making(B) as room:
        (room.root / "half").write_text("half")
        (room.packed / "blob").write_text("blob")
        left = room.place
        again = ImageCache(place.folder, place.servings, 100 * MIB, None)  # as after a kill -9 at this line

        assert not left.exists()
        assert not any((place.folder / "packed").iterdir())
    assert again.find(B, "one") is None
    assert again.find(A, "one") is not None


def test_a_tree_made_for_fewer_mounts_is_not_used(place: Place) -> None:
    """What an older agent unpacked may have links where a sandbox mounts something now: it is unpacked anew."""
    made = place.made(A, 10, "one")
    record = made.folder / "image.json"
    record.write_text(record.read_text().replace(MOUNTS, "0" * 16))

    assert place.cache.find(A, "one") is None
    place.over("one")
    ImageCache(place.folder, place.servings, 100 * MIB, None)
    assert place.names() == []


def test_room_of_one_that_is_given_up_is_free_again(place: Place) -> None:
    """A pull that fails takes no room from the next one."""
    with place.cache.making(A) as room:
        room.take(90 * MIB)
    place.made(B, 90, "one")

    assert place.names() == [B]
