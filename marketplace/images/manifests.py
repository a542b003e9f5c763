"""Manifests, indexes and configurations of images (OCI 1.1, Docker v2 schema 2): bounded before they are parsed, read strictly.

Of these documents only what is used here is read, and all of that is checked. They may say more.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, TypeVar

from msgspec import DecodeError, Meta, Struct, ValidationError, field
from msgspec.json import Decoder

from marketplace.domain.errors import ImageUnusable
from marketplace.domain.ids import Sha256
from marketplace.domain.images import ImageTrouble
from marketplace.domain.limits import MAX_PARTS, MIB, PART_BYTES

T = TypeVar("T")

MAX_MANIFEST_BYTES: Final = MIB
MAX_CONFIG_BYTES: Final = 4 * MIB
MAX_LAYERS: Final = 256
MAX_LAYER_BYTES: Final = 1 << 40
PARTS: Final = "bourse.parts"
"""The annotation by which a layer that is larger than a part names its parts among the market's blobs, in order."""

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
MANIFEST_TYPES: Final = (OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_PLAIN = (OCI_LAYER, "application/vnd.docker.image.rootfs.diff.tar")
COMPRESSIONS: Final = {
    **dict.fromkeys(_PLAIN, ""),
    **dict.fromkeys((f"{_PLAIN[0]}+gzip", f"{_PLAIN[1]}.gzip"), "gzip"),
    **dict.fromkeys((f"{_PLAIN[0]}+zstd", f"{_PLAIN[1]}.zstd"), "zstd"),
}
"""How a layer's media type says that it is packed."""

Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
Word = Annotated[str, Meta(max_length=128_000, pattern=r"^[^\0]*$")]
Short = Annotated[str, Meta(max_length=256)]


class Platform(Struct, frozen=True):
    """For which machines a manifest of an index is."""

    architecture: Short = ""
    os: Short = ""


class Descriptor(Struct, frozen=True, rename="camel"):
    """A blob by its hash, with its size and kind."""

    digest: Digest
    size: Annotated[int, Meta(ge=0, le=MAX_LAYER_BYTES)]
    media_type: Short = ""
    platform: Platform | None = None
    annotations: dict[str, str] | None = None

    @property
    def sha256(self) -> Sha256:
        return Sha256(self.digest.removeprefix("sha256:"))

    def parts(self) -> tuple[tuple[Sha256, int], ...]:
        """The market's blobs that it is made of, each with its size: itself, or its parts. Raises ImageUnusable."""
        said = (self.annotations or {}).get(PARTS)
        if said is None:
            return ((self.sha256, self.size),)
        names, count = said.split(" "), -(-self.size // PART_BYTES)
        if len(names) != count or not all(len(name) == 64 and not name.strip("0123456789abcdef") for name in names):
            raise refused(f"{self.digest}: {PARTS} must name {count} blobs, one for each {PART_BYTES} bytes")
        sizes = (min(PART_BYTES, self.size - start) for start in range(0, self.size, PART_BYTES))
        return tuple((Sha256(name), size) for name, size in zip(names, sizes, strict=True))


class ImageManifest(Struct, frozen=True, rename="camel"):
    """One image: its configuration and its layers, the lowest first."""

    config: Descriptor
    layers: Annotated[list[Descriptor], Meta(max_length=MAX_LAYERS)]
    schema_version: int = 2
    media_type: Short = ""

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """All that it names."""
        return (self.config, *self.layers)

    @property
    def packed_bytes(self) -> int:
        """The size of all that it names."""
        return sum(blob.size for blob in self.blobs)


class ImageIndex(Struct, frozen=True, rename="camel"):
    """Several images, for several kinds of machine."""

    manifests: Annotated[list[Descriptor], Meta(max_length=1024)]
    media_type: Short = ""


class RunConfig(Struct, frozen=True, rename="pascal"):
    """How the image wants to be run."""

    env: Annotated[list[Word], Meta(max_length=1024)] | None = None
    entrypoint: Annotated[list[Word], Meta(max_length=1024)] | None = None
    cmd: Annotated[list[Word], Meta(max_length=1024)] | None = None
    working_dir: Annotated[str, Meta(max_length=4096, pattern=r"^[^\0]*$")] | None = None
    user: Short | None = None


class Rootfs(Struct, frozen=True):
    """The hashes of the layers as they are unpacked, the lowest first."""

    diff_ids: Annotated[list[Digest], Meta(max_length=MAX_LAYERS)]


class ImageConfig(Struct, frozen=True):
    """An image's configuration."""

    rootfs: Rootfs
    architecture: Short = ""
    os: Short = ""
    config: RunConfig | None = None

    @property
    def run(self) -> RunConfig:
        return self.config or RunConfig()


class _Kind(Struct, frozen=True, rename="camel"):
    """As much as tells a manifest from an index."""

    media_type: Short = ""
    manifests: list[Any] | None = None
    layers: list[Any] | None = field(default=None)


def refused(why: str) -> ImageUnusable:
    """What is said of an image that breaks a rule."""
    return ImageUnusable(ImageTrouble.REFUSED, why)


def check_digest(content: bytes, name: Sha256, what: str) -> None:
    """Raise ImageUnusable where the content is not what its name says."""
    if hashlib.sha256(content).hexdigest() != name:
        raise refused(f"{what} sha256:{name} holds other bytes than its name says")


def read_manifest(content: bytes) -> ImageManifest | ImageIndex:
    """A manifest or an index, which is told by what it holds and must not contradict its media type. Raises ImageUnusable."""
    kind = _read(_Kind, content, "manifest", MAX_MANIFEST_BYTES)
    if kind.manifests is not None and kind.layers is None and kind.media_type in ("", *INDEX_TYPES):
        return _read(ImageIndex, content, "index", MAX_MANIFEST_BYTES)
    if kind.manifests is not None or kind.media_type not in ("", *MANIFEST_TYPES):
        raise refused(f"a manifest of kind {kind.media_type!r} is not known here")
    manifest = _read(ImageManifest, content, "manifest", MAX_MANIFEST_BYTES)
    for layer in manifest.layers:
        if layer.media_type not in COMPRESSIONS:
            raise refused(f"a layer of kind {layer.media_type!r} is not known here")
    return manifest


def require_manifest(content: bytes, name: Sha256) -> ImageManifest:
    """The manifest of this name, and no index. Raises ImageUnusable."""
    check_digest(content, name, "manifest")
    found = read_manifest(content)
    if isinstance(found, ImageIndex):
        raise refused("it is an index of several images, where one image's manifest has to be")
    return found


def market_blobs(content: bytes, name: Sha256) -> dict[Sha256, int]:
    """All blobs of the market's that an image there is made of, but for its manifest, with their sizes. Raises ImageUnusable."""
    manifest = require_manifest(content, name)
    found = dict(part for blob in manifest.blobs for part in blob.parts())
    if len(found) > MAX_PARTS:
        raise ImageUnusable(ImageTrouble.TOO_BIG, f"it has more than {MAX_PARTS} parts")
    return found


def chosen_of(index: ImageIndex, architecture: str) -> Descriptor:
    """The index's image for Linux on such a machine. Raises ImageUnusable."""
    for one in index.manifests:
        if one.platform and (one.platform.os, one.platform.architecture) == ("linux", architecture):
            return one
    told = sorted({f"{one.platform.os}/{one.platform.architecture}" for one in index.manifests if one.platform})
    raise ImageUnusable(
        ImageTrouble.ARCH, f"it is for {', '.join(told[:8]) or 'nothing named'}, not linux/{architecture}"
    )


def read_config(content: bytes, manifest: ImageManifest, architecture: str) -> ImageConfig:
    """The manifest's configuration. Raises ImageUnusable where it is another one, or of an image for another machine."""
    check_digest(content, manifest.config.sha256, "configuration")
    config = _read(ImageConfig, content, "configuration", MAX_CONFIG_BYTES)
    if len(config.rootfs.diff_ids) != len(manifest.layers):
        raise refused("manifest and configuration differ in the number of layers")
    if (config.os, config.architecture) != ("linux", architecture):
        machine = f"{config.os or '?'}/{config.architecture or '?'}"
        raise ImageUnusable(ImageTrouble.ARCH, f"it is for {machine}, not linux/{architecture}")
    return config


def _read(kind: type[T], content: bytes, what: str, most_bytes: int) -> T:
    if len(content) > most_bytes:
        raise ImageUnusable(ImageTrouble.TOO_BIG, f"its {what} has more than {most_bytes} bytes")
    try:
        return Decoder(kind).decode(content)
    except ValidationError as exc:
        raise refused(f"its {what} breaks a rule: {exc}") from None
    except (DecodeError, RecursionError, UnicodeError) as exc:
        raise refused(f"its {what} is no JSON: {exc}") from None
