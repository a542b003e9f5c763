"""Bringing container images to the market's own blobs: manifest, configuration and layers, each under its own hash.

A layer that is larger than a part is cut into parts, each a blob, and its descriptor in the manifest names them. Nothing that
is there already is sent again, so what broke off goes on where it was. Who may read them: the uploader, and the parties of
leases whose specs name the image.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

from msgspec.json import Encoder

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256, sha256_of
from marketplace.domain.images import BLOB_REGISTRY, ImageName, TaggedImage, read_reference
from marketplace.domain.limits import PART_BYTES
from marketplace.images.archives import FiledLayer, ImageFiles, filed_image, opened_files
from marketplace.images.manifests import (
    MAX_MANIFEST_BYTES,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    PARTS,
    Descriptor,
    ImageIndex,
    ImageManifest,
    check_digest,
    chosen_of,
    read_config,
    read_manifest,
    refused,
)
from marketplace.images.registries import Registry, fetch_whole

ARCHITECTURE: Final = "amd64"
_CHUNK_BYTES: Final = 1 << 20


Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image that the market has now."""

    name: ImageName
    bytes: int
    """Of all its blobs."""
    sent_bytes: int
    """Of those that were not there before."""


def push_named(api: GatewayApi, image: str, say: Say = lambda _: None) -> Pushed:
    """Bring what somebody typed: what lies there is a file; what does not is the name of an image at a registry."""
    if Path(image).exists():
        return push_image(api, Path(image), say)
    named = read_reference(image)
    if named is None or (isinstance(named, ImageName) and named.is_blob):
        raise InvalidField("image", "must be a folder, an archive, or an image of a registry")
    return push_from_registry(api, named, say)


def push_image(api: GatewayApi, path: Path, say: Say = lambda _: None) -> Pushed:
    """Bring the image in a folder or an archive. Raises InvalidField, ImageUnusable, and what the gateway refuses."""
    with opened_files(path) as files, TemporaryDirectory(prefix="bourse-") as spool:
        return _Pusher(api, Path(spool), say).push(files)


def resolved(text: str, say: Say = lambda _: None) -> str:
    """The image as a spec can name it: a tag is asked for at its registry, from here, and what it stands for is said. Raises InvalidField,
    ImageUnusable, RegistryUnavailable."""
    found = read_reference(text)
    if not isinstance(found, TaggedImage):
        return text
    name = _registry_of(found).resolve(found)
    say(f"{found} is {name}")
    return str(name)


def push_from_registry(api: GatewayApi, image: TaggedImage | ImageName, say: Say = lambda _: None) -> Pushed:
    """Bring an image of a registry to the market's own blobs."""
    registry = _registry_of(image)
    with TemporaryDirectory(prefix="bourse-") as place:
        folder = Path(place, "image")
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        content = registry.manifest(image.tag if isinstance(image, TaggedImage) else f"sha256:{image.digest}")
        if isinstance(image, ImageName):
            check_digest(content, image.digest, "manifest")
        found = read_manifest(content)
        if isinstance(found, ImageIndex):
            chosen = chosen_of(found, ARCHITECTURE)
            content = registry.manifest(chosen.digest)
            check_digest(content, chosen.sha256, "manifest")
            found = read_manifest(content)
        if isinstance(found, ImageIndex):
            raise refused("an index of indexes")
        for number, blob in enumerate(found.blobs, 1):
            say(f"fetching blob {number} of {len(found.blobs)}, {blob.size >> 20} MiB")
            fetch_whole(registry, blob, blobs, lambda _: None)
        (blobs / sha256_of(content)).write_bytes(content)
        named = {"digest": f"sha256:{sha256_of(content)}", "size": len(content), "mediaType": OCI_MANIFEST}
        (folder / "index.json").write_bytes(Encoder().encode({"schemaVersion": 2, "manifests": [named]}))
        return push_image(api, folder, say)


def _registry_of(image: TaggedImage | ImageName) -> Registry:
    """Whoever types a registry's name may ask it wherever it lies; this machine's own is spoken to without TLS."""
    name = image.registry.partition(":")[0]
    plain = frozenset({image.registry} if name in ("localhost", "127.0.0.1") else ())
    return Registry(image.registry, image.path, frozenset({image.registry, name}), plain)


class _Pusher:
    """One image on its way to one gateway."""

    def __init__(self, api: GatewayApi, spool: Path, say: Say) -> None:
        self._api, self._spool, self._say = api, spool, say
        self._sent = 0

    def push(self, files: ImageFiles) -> Pushed:
        filed = filed_image(files, ARCHITECTURE)
        config = Descriptor(f"sha256:{sha256_of(filed.config)}", len(filed.config), OCI_CONFIG)
        layers = []
        for number, layer in enumerate(filed.layers, 1):
            self._say(f"layer {number} of {len(filed.layers)}")
            layers.append(self._layer(files, layer))
        if filed.manifest and not any(layer.annotations for layer in layers):
            content = filed.manifest
        else:
            content = Encoder(order="deterministic").encode(_document(config, layers))
        manifest = read_manifest(content)
        if not isinstance(manifest, ImageManifest) or len(content) > MAX_MANIFEST_BYTES:
            raise refused("its manifest is too large")
        read_config(filed.config, manifest, ARCHITECTURE)
        self._put(filed.config)
        self._put(content)
        return Pushed(
            ImageName(BLOB_REGISTRY, "", sha256_of(content)), manifest.packed_bytes + len(content), self._sent
        )

    def _layer(self, files: ImageFiles, layer: FiledLayer) -> Descriptor:
        """Have the market hold a layer; how the manifest names it."""
        with _Packed(files, layer, self._spool) as (file, media_type):
            whole, size, names = _measured(file)
            if layer.digest not in ("", f"sha256:{whole}"):
                raise InvalidField("image", f"{layer.file} holds other bytes than its name says")
            for number, name in enumerate(names):
                file.seek(number * PART_BYTES)
                self._part(file, name)
        named = {PARTS: " ".join(names)} if len(names) > 1 else None
        return Descriptor(f"sha256:{whole}", size, media_type, annotations=named)

    def _part(self, file: IO[bytes], name: Sha256) -> None:
        if self._api.has_blob(name):
            return
        place = self._spool / "part"
        with place.open("wb") as part:
            for piece in _pieces(file, PART_BYTES):
                part.write(piece)
        self._sent += place.stat().st_size
        if self._api.put_blob(place) != name:
            raise InvalidField("image", "changed while it was being sent")

    def _put(self, content: bytes) -> None:
        if not self._api.has_blob(sha256_of(content)):
            self._sent += len(content)
            self._api.put_blob(content)


class _Packed:
    """A layer as it is sent: one that lies there unpacked and without a name is packed first."""

    def __init__(self, files: ImageFiles, layer: FiledLayer, spool: Path) -> None:
        self._files, self._layer, self._place = files, layer, spool / "layer"
        self._file: IO[bytes] | None = None

    def __enter__(self) -> tuple[IO[bytes], str]:
        self._file = self._files.open(self._layer.file)
        if self._layer.digest or self._layer.media_type != OCI_LAYER:
            return self._file, self._layer.media_type
        with (
            self._file as plain,
            self._place.open("wb") as packed,
            gzip.GzipFile("", "wb", 6, packed, mtime=0) as packer,
        ):
            shutil.copyfileobj(plain, packer, _CHUNK_BYTES)
        self._file = self._place.open("rb")
        return self._file, f"{OCI_LAYER}+gzip"

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _document(config: Descriptor, layers: list[Descriptor]) -> dict[str, object]:
    """A manifest as JSON has it."""
    named = {"config": _told(config), "layers": [_told(layer) for layer in layers]}
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, **named}


def _told(one: Descriptor) -> dict[str, object]:
    said = {"mediaType": one.media_type, "digest": one.digest, "size": one.size}
    return said | ({"annotations": one.annotations} if one.annotations else {})


def _measured(file: IO[bytes]) -> tuple[Sha256, int, tuple[Sha256, ...]]:
    """The hash and size of all of it, and the hashes of its parts."""
    whole, size, names = hashlib.sha256(), 0, list[Sha256]()
    while True:
        part = hashlib.sha256()
        before = size
        for piece in _pieces(file, PART_BYTES):
            part.update(piece)
            whole.update(piece)
            size += len(piece)
        if size == before and names:
            break
        names.append(Sha256(part.hexdigest()))
        if size - before < PART_BYTES:
            break
    return Sha256(whole.hexdigest()), size, tuple(names)


def _pieces(file: IO[bytes], most_bytes: int) -> Iterator[bytes]:
    while most_bytes and (piece := file.read(min(_CHUNK_BYTES, most_bytes))):
        most_bytes -= len(piece)
        yield piece
