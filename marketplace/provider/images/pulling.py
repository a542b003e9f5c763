"""Pulling one image: manifest, configuration, blobs, then the tree. All of it slow, none of it near the money."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final

import structlog

from marketplace.domain.errors import DeadlinePassed, ImageUnusable
from marketplace.domain.ids import Sha256
from marketplace.domain.images import ImageName
from marketplace.images.manifests import (
    MAX_CONFIG_BYTES,
    ImageConfig,
    ImageIndex,
    ImageManifest,
    check_digest,
    chosen_of,
    read_config,
    read_manifest,
    refused,
)
from marketplace.provider.images.accounts import ImageUser
from marketplace.provider.images.cache import CachedImage, ImageCache, ImageRecord, ImageRoom
from marketplace.provider.images.sources import ImageSource, arrived
from marketplace.provider.images.unpacking import unpack_image

ARCHITECTURE: Final = "amd64"
"""Of the machines that this package runs on."""
PULL_SECONDS: Final = 3_600.0
"""By the machine's clock: what is not here by then is given up."""
_TELL_SECONDS: Final = 5.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pull:
    """One image that one serving waits for."""

    name: ImageName
    serving: str
    source: ImageSource
    tell: Callable[[str], None]
    """Says something in the job's log."""


class ImagePuller:
    """Brings images into the cache, each once at a time."""

    def __init__(self, cache: ImageCache, seconds: float = PULL_SECONDS) -> None:
        self._cache, self._seconds = cache, seconds
        self._lock = threading.Lock()
        self._under_way: set[Sha256] = set()

    def found(self, name: ImageName, serving: str) -> CachedImage | None:
        """The image where it is here, held for this serving."""
        return self._cache.find(name.digest, serving)

    def pull(self, wanted: Pull) -> CachedImage | None:
        """The image, held for its serving; None while another serving's pull of it is under way: ask again.

        Raises ImageUnusable, DeadlinePassed, GatewayUnavailable (worth trying again), OSError.
        """
        digest = wanted.name.digest
        with self._alone(digest) as is_ours:
            if not is_ours:
                return None
            return self._cache.find(digest, wanted.serving) or self._pulled(wanted)

    @contextmanager
    def _alone(self, digest: Sha256) -> Iterator[bool]:
        with self._lock:
            is_ours = digest not in self._under_way
            self._under_way.add(digest)
        try:
            yield is_ours
        finally:
            if is_ours:
                with self._lock:
                    self._under_way.discard(digest)

    def _pulled(self, wanted: Pull) -> CachedImage:
        began = monotonic()
        with self._cache.making(wanted.name.digest) as room:
            try:
                made = self._made(wanted, room, _Spending(room, began + self._seconds, self._seconds))
            except ImageUnusable:
                self._cache.drop_packed(room)
                raise
        seconds = round(monotonic() - began)
        wanted.tell(
            f"image {wanted.name}: {made.record.bytes >> 20} MiB, ready after {seconds} s, which are not charged"
        )
        _log.info("image.ready", image=str(wanted.name), mib=made.record.bytes >> 20, seconds=seconds)
        return made

    def _made(self, wanted: Pull, room: ImageRoom, spending: _Spending) -> CachedImage:
        manifest = _manifest(wanted)
        progress = _Progress(wanted, manifest.packed_bytes)
        for blob in manifest.blobs:
            wanted.source.fetch(blob, room.packed, spending.take)
            progress.came(blob.size)
        with arrived(manifest.config, room.packed) as file:
            config = read_config(file.read(MAX_CONFIG_BYTES + 1), manifest, ARCHITECTURE)
        user = unpack_image(
            manifest, config, lambda blob: arrived(blob, room.packed), room.root, room.aside, spending.take
        )
        unpacked = room.bytes - manifest.packed_bytes
        record = _record(wanted.name, config, user, max(0, unpacked))
        return self._cache.keep(room, wanted.name.digest, record, wanted.serving)


class _Spending:
    """Counts what a pull takes of the disk, and gives it up when its time is over."""

    def __init__(self, room: ImageRoom, until: float, seconds: float) -> None:
        self._room, self._until, self._seconds = room, until, seconds

    def take(self, count: int) -> None:
        if monotonic() >= self._until:
            raise DeadlinePassed("pulling the image", round(self._seconds))
        self._room.take(count)


class _Progress:
    """Tells now and then how far a pull is."""

    def __init__(self, wanted: Pull, total_bytes: int) -> None:
        self._wanted, self._total, self._come = wanted, total_bytes, 0
        self._told_at = monotonic()
        wanted.tell(f"image {wanted.name}: pulling {max(1, total_bytes >> 20)} MiB")

    def came(self, count: int) -> None:
        self._come += count
        if monotonic() >= self._told_at + _TELL_SECONDS:
            self._told_at = monotonic()
            self._wanted.tell(f"image {self._wanted.name}: {self._come >> 20} of {self._total >> 20} MiB")


def _manifest(wanted: Pull) -> ImageManifest:
    """The manifest that the name stands for; of an index, that of this machine's kind."""
    content = wanted.source.manifest(wanted.name.digest)
    check_digest(content, wanted.name.digest, "manifest")
    found = read_manifest(content)
    if isinstance(found, ImageIndex):
        chosen = chosen_of(found, ARCHITECTURE)
        content = wanted.source.manifest(chosen.sha256)
        check_digest(content, chosen.sha256, "manifest")
        found = read_manifest(content)
    if isinstance(found, ImageIndex):
        raise refused("an index of indexes")
    return found


def _record(name: ImageName, config: ImageConfig, user: ImageUser, size: int) -> ImageRecord:
    run = config.run
    pairs = (pair.partition("=") for pair in run.env or ())
    env = {key: value for key, separator, value in pairs if separator and key.isidentifier() and key.isascii()}
    working_dir = run.working_dir if run.working_dir and run.working_dir.startswith("/") else "/"
    return ImageRecord(str(name), size, env, tuple(run.entrypoint or ()), tuple(run.cmd or ()), working_dir, user)
