"""Where the blobs of an image come from. What arrives is hashed before it has a name here, so none of them is believed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar, cast

from marketplace.api.client.gateway import GatewayApi
from marketplace.client.transfers import fetch_part
from marketplace.domain.bundle_parts import PartStream
from marketplace.domain.errors import GatewayError, GatewayUnavailable, HashMismatch, ImageUnusable, InvalidField
from marketplace.domain.ids import Bytes32, Sha256
from marketplace.domain.images import ImageTrouble
from marketplace.images.manifests import MAX_MANIFEST_BYTES, Descriptor, refused
from marketplace.images.registries import Registry, fetch_whole

T = TypeVar("T")

_CHUNK_BYTES = 1 << 20


class ImageSource(Protocol):
    """One image's blobs, at a registry or at gateways."""

    def manifest(self, digest: Sha256) -> bytes:
        """A manifest or an index, not verified yet. Raises ImageUnusable, GatewayUnavailable (worth trying again)."""

    def fetch(self, blob: Descriptor, folder: Path, spend: Callable[[int], None]) -> None:
        """Have the blob in the folder, whole or in parts (``arrived`` opens it). ``spend`` is told of all that comes."""


class LeaseBlobs:
    """The market's own blobs, as the provider of a lease may read them: from whichever gateway has them."""

    def __init__(self, gateways: Sequence[GatewayApi], lease: Bytes32) -> None:
        self._gateways, self._lease = gateways, lease

    def manifest(self, digest: Sha256) -> bytes:
        return self._from_any(lambda api: api.fetch_blob(digest, lease=self._lease, limit_bytes=MAX_MANIFEST_BYTES))

    def fetch(self, blob: Descriptor, folder: Path, spend: Callable[[int], None]) -> None:
        for part, size in blob.parts():
            spend(0 if (folder / part).exists() else size)
            self._from_any(self._fetching(part, size, folder))

    def _fetching(self, part: Sha256, size: int, folder: Path) -> Callable[[GatewayApi], Path]:
        return lambda api: fetch_part(api, part, size, folder, self._lease, "image")

    def _from_any(self, ask: Callable[[GatewayApi], T]) -> T:
        """Ask one after the other. A gateway that is away may come back; what all of them refuse is not there."""
        problem: GatewayError | None = None
        for api in self._gateways:
            try:
                return ask(api)
            except (HashMismatch, InvalidField) as exc:
                problem = problem or GatewayUnavailable(f"a gateway sends something else: {exc}")
            except GatewayUnavailable as exc:
                problem = exc
            except GatewayError as exc:
                problem = problem or exc
        if isinstance(problem, GatewayUnavailable):
            raise problem
        raise ImageUnusable(ImageTrouble.NOT_FOUND, f"no gateway has it for this lease: {problem}")


class RegistryBlobs:
    """A registry's, as far as the provider's inventory lets it be asked."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def manifest(self, digest: Sha256) -> bytes:
        return self._registry.manifest(f"sha256:{digest}")

    def fetch(self, blob: Descriptor, folder: Path, spend: Callable[[int], None]) -> None:
        fetch_whole(self._registry, blob, folder, spend)


@contextmanager
def arrived(blob: Descriptor, folder: Path) -> Iterator[BinaryIO]:
    """A blob that was fetched, as one stream. Raises ImageUnusable where its parts are not what they make together."""
    whole = folder / blob.sha256
    paths = [whole] if whole.exists() else [folder / name for name, _ in blob.parts()]
    if len(paths) == 1:
        with paths[0].open("rb") as file:
            yield file
        return
    with PartStream(paths) as stream:
        digest = hashlib.sha256()
        while piece := stream.read(_CHUNK_BYTES):
            digest.update(piece)
        if digest.hexdigest() != blob.sha256:
            raise refused(f"the parts of {blob.digest} make other bytes than its name says")
        stream.seek(0)
        yield cast("BinaryIO", stream)  # it is read, and that is all
