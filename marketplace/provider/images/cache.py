"""Unpacked images on the disk, by the hash of their manifests: kept for the next job, and removed, the least used first, for room.

images/trees/<digest>/root         what a sandbox gets as its root; never written to again
images/trees/<digest>/image.json   how it is to be run, and its size; its time is when it was used last
images/trees/<digest>/users/<serving>   an empty file for each serving that uses it, in force as long as the serving has a folder
images/packed/<digest>/            blobs that have arrived of one that is being pulled
images/making/<any>/               half a tree; nobody looks in there, and what an agent finds there when it starts, it removes
images/gone/<any>/                 on its way out

A tree appears under its name in one step, when all of it was verified. An agent that dies at any point leaves no half of one.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Final

from marketplace.domain.errors import ImageUnusable
from marketplace.domain.ids import Sha256
from marketplace.domain.images import ImageTrouble
from marketplace.provider.executors.base import MOUNT_FILES, MOUNT_FOLDERS, JobImage
from marketplace.provider.executors.folders import hand_over
from marketplace.provider.executors.removal import remove
from marketplace.provider.images.accounts import ImageUser

_STEP_BYTES: Final = 32 << 20
"""Room is taken in such steps, so that nobody is pushed out for a few bytes."""
_RECORD: Final = "image.json"
_libc = ctypes.CDLL(None, use_errno=True)
_USERS: Final = "users"
MOUNTS: Final = hashlib.sha256(b"\0".join((*MOUNT_FOLDERS, b"", *MOUNT_FILES))).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What is written down about an unpacked image."""

    name: str
    """By which it was pulled."""
    bytes: int
    """What it took to unpack it, which is no less than it takes of the disk."""
    env: dict[str, str]
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    working_dir: str
    user: ImageUser
    mounts: str = MOUNTS
    """What the sandbox mounts in it, as a hash: a tree that was made before for fewer places may have links of its own there."""


@dataclass(frozen=True, slots=True)
class CachedImage:
    """One that is here."""

    digest: Sha256
    folder: Path
    record: ImageRecord
    users: tuple[str, ...]
    """Servings that use it."""
    used_at: int
    """The machine's clock, seconds since 1970."""

    def for_job(self) -> JobImage:
        told, user = self.record, self.record.user
        return JobImage(self.folder / "root", told.env, user.uid, user.gid, user.home, told.working_dir)


class ImageCache:
    """The folder. One agent's at a time, and any number of its threads'."""

    def __init__(self, folder: Path, servings: Path, quota_bytes: int, owner: int | None) -> None:
        """``servings``: where each serving has a folder of its name. ``owner``: whom trees belong to; None: whoever makes them."""
        self._folder, self._servings, self._owner = folder, servings, owner
        self.quota_bytes = quota_bytes
        self._lock = threading.Lock()
        self._granted: dict[object, int] = {}
        for name in ("trees", "packed", "making", "gone"):
            (folder / name).mkdir(parents=True, exist_ok=True, mode=0o711)
        for name in ("packed", "making", "gone"):
            _remove_all(folder / name)
        for image in images_in(folder, servings):
            if image.record.mounts != MOUNTS and not image.users:
                self._drop(image)

    def find(self, digest: Sha256, user: str) -> CachedImage | None:
        """The image, held for this serving from now on; None where it is not here."""
        with self._lock:
            place = self._folder / "trees" / digest
            if not (place / _RECORD).exists() or cached_in(place, self._servings).record.mounts != MOUNTS:
                return None
            (place / _USERS / user).touch()
            os.utime(place / _RECORD)
            return cached_in(place, self._servings)

    @contextmanager
    def making(self, digest: Sha256) -> Iterator[ImageRoom]:
        """Room for one that is to be pulled; what was made in it and not put in its place is gone afterwards."""
        place = self._folder / "making" / f"{digest[:16]}-{token_hex(8)}"
        room = ImageRoom(self, place, self._folder / "packed" / digest)
        for folder in (room.root, room.aside, room.packed):
            folder.mkdir(parents=True, mode=0o711, exist_ok=True)
        try:
            yield room
        finally:
            with self._lock:
                self._granted.pop(room, None)
            _remove_whole(place)

    def keep(self, room: ImageRoom, digest: Sha256, record: ImageRecord, user: str) -> CachedImage:
        """Put what was made in its place, held for this serving. Nothing of it may change any more."""
        place = room.place
        if self._owner is not None:
            hand_over((room.root,), self._owner)
        _remove_whole(room.aside)
        (place / _USERS).mkdir()
        (place / _USERS / user).touch()
        with (place / _RECORD).open("w") as file:
            file.write(json.dumps(asdict(record)))
        _sync(place)
        with self._lock:
            place.rename(self._folder / "trees" / digest)
            self._granted.pop(room, None)
        _remove_whole(room.packed)
        return cached_in(self._folder / "trees" / digest, self._servings)

    def drop_packed(self, room: ImageRoom) -> None:
        """Forget what has arrived of an image that is of no use."""
        _remove_whole(room.packed)

    def grant(self, room: ImageRoom, more_bytes: int) -> None:
        """Let a room grow, at the cost of images that nobody uses. Raises ImageUnusable where that is not enough."""
        with self._lock:
            here = images_in(self._folder, self._servings)
            taken = sum(image.record.bytes for image in here) + sum(self._granted.values())
            unused = sorted((image for image in here if not image.users), key=lambda image: image.used_at)
            while taken + more_bytes > self.quota_bytes:
                if not unused:
                    held = taken - self._granted.get(room, 0)
                    raise ImageUnusable(
                        ImageTrouble.TOO_BIG,
                        f"it takes more than {(self.quota_bytes - held) >> 20} MiB of disk, which is what this provider has for it",
                    )
                gone = unused.pop(0)
                taken -= gone.record.bytes
                self._drop(gone)
            self._granted[room] = self._granted.get(room, 0) + more_bytes

    def _drop(self, image: CachedImage) -> None:
        aside = self._folder / "gone" / token_hex(8)
        image.folder.rename(aside)
        _remove_whole(aside)


class ImageRoom:
    """Room for one image: where it is made, and how much of the disk it has taken."""

    def __init__(self, cache: ImageCache, place: Path, packed: Path) -> None:
        self._cache, self.place, self.packed = cache, place, packed
        self.root, self.aside = place / "root", place / "aside"
        self.bytes = self._granted = 0

    def take(self, count: int) -> None:
        """Count what is written; raise ImageUnusable where there is no room for it."""
        self.bytes += count
        while self.bytes > self._granted:
            self._cache.grant(self, _STEP_BYTES)
            self._granted += _STEP_BYTES


def images_in(folder: Path, servings: Path) -> list[CachedImage]:
    """All images that are there; a folder of an agent that may be at work."""
    trees = folder / "trees"
    return (
        [cached_in(place, servings) for place in sorted(trees.iterdir()) if (place / _RECORD).exists()]
        if trees.is_dir()
        else []
    )


def cached_in(place: Path, servings: Path) -> CachedImage:
    words = json.loads((place / _RECORD).read_bytes())
    lists = {name: tuple(words[name]) for name in ("entrypoint", "cmd")}
    record = ImageRecord(**({"mounts": ""} | words | lists | {"user": ImageUser(**words["user"])}))
    users = tuple(sorted(user.name for user in (place / _USERS).iterdir() if (servings / user.name).exists()))
    return CachedImage(Sha256(place.name), place, record, users, int((place / _RECORD).stat().st_mtime))


def _sync(folder: Path) -> None:
    """Have the disk hold all of a tree before it gets its name: after a power cut there is all of it or none."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(handle) != 0:
            raise OSError(ctypes.get_errno(), "the disk does not keep what was written")
    finally:
        os.close(handle)


def _remove_all(folder: Path) -> None:
    for child in folder.iterdir():
        _remove_whole(child)


def _remove_whole(folder: Path) -> None:
    while not remove(folder):
        pass
