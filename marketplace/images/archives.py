"""Images as files: folders and archives in OCI's layout, and what ``docker save`` writes. Read where they lie, never unpacked."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Final, Protocol, TypeVar

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder

from marketplace.domain.errors import InvalidField
from marketplace.images.manifests import (
    MAX_CONFIG_BYTES,
    MAX_LAYERS,
    MAX_MANIFEST_BYTES,
    OCI_LAYER,
    ImageIndex,
    ImageManifest,
    check_digest,
    chosen_of,
    read_manifest,
    refused,
)

T = TypeVar("T")

_INDEX: Final = "index.json"
_SAVED: Final = "manifest.json"
_GZIP_MAGIC: Final = b"\x1f\x8b"


class ImageFiles(Protocol):
    """The files of an image, by name."""

    def has(self, name: str) -> bool: ...

    def open(self, name: str) -> IO[bytes]:
        """Raises KeyError, OSError."""


class FolderFiles:
    """Of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def open(self, name: str) -> IO[bytes]:
        return (self._folder / name).open("rb")


class TarFiles:
    """Of an archive, which must not be packed as a whole."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {member.name.removeprefix("./"): member for member in tar if member.isreg() or member.issym()}

    def has(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> IO[bytes]:
        found = self._tar.extractfile(self._members[name])
        if found is None:
            raise KeyError(name)
        return found


@dataclass(frozen=True, slots=True)
class FiledLayer:
    """A layer in its file. ``digest`` is its name where it has one; a saved layer has none until it is packed."""

    file: str
    media_type: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class FiledImage:
    """An image as it lies there."""

    config: bytes
    layers: tuple[FiledLayer, ...]
    manifest: bytes = b""
    """Its own; empty where it has none in OCI's or the registry's form."""


class _Saved(Struct, frozen=True, rename="pascal"):
    """An entry of the list that ``docker save`` writes."""

    config: str
    layers: Annotated[list[str], Meta(max_length=MAX_LAYERS)]


@contextmanager
def opened_files(path: Path) -> Iterator[ImageFiles]:
    """The files of a folder or an archive. Raises InvalidField where it is neither."""
    if path.is_dir():
        yield FolderFiles(path)
        return
    try:
        with tarfile.open(path, mode="r:") as tar:
            yield TarFiles(tar)
    except tarfile.TarError as exc:
        raise InvalidField("image", f"{path} is no archive of an image: {exc}") from None


def filed_image(files: ImageFiles, architecture: str) -> FiledImage:
    """The one image for such a machine. Raises ImageUnusable, InvalidField."""
    try:
        if files.has(_INDEX):
            return _of_layout(files, architecture)
        if files.has(_SAVED):
            return _of_saved(files)
    except KeyError as exc:
        raise InvalidField("image", f"has no file {exc.args[0]!r}") from None
    raise InvalidField("image", f"holds neither {_INDEX} (OCI) nor {_SAVED} (docker save)")


def _of_layout(files: ImageFiles, architecture: str) -> FiledImage:
    found = read_manifest(_small(files, _INDEX, MAX_MANIFEST_BYTES))
    content = b""
    while isinstance(found, ImageIndex):
        one = found.manifests[0] if len(found.manifests) == 1 else chosen_of(found, architecture)
        content = _small(files, _place(one.digest), MAX_MANIFEST_BYTES)
        check_digest(content, one.sha256, "manifest")
        found = read_manifest(content)
    config = _small(files, _place(found.config.digest), MAX_CONFIG_BYTES)
    return FiledImage(config, tuple(_filed(found)), content)


def _filed(manifest: ImageManifest) -> Iterator[FiledLayer]:
    for layer in manifest.layers:
        yield FiledLayer(_place(layer.digest), layer.media_type, layer.digest)


def _of_saved(files: ImageFiles) -> FiledImage:
    try:
        saved = Decoder(list[_Saved]).decode(_small(files, _SAVED, MAX_MANIFEST_BYTES))
    except DecodeError as exc:
        raise InvalidField("image", f"{_SAVED} cannot be read: {exc}") from None
    if len(saved) != 1:
        raise InvalidField("image", f"holds {len(saved)} images; save one")
    layers = []
    for name in saved[0].layers:
        with files.open(name) as file:
            is_packed = file.read(2) == _GZIP_MAGIC
        layers.append(FiledLayer(name, OCI_LAYER + ("+gzip" if is_packed else "")))
    return FiledImage(_small(files, saved[0].config, MAX_CONFIG_BYTES), tuple(layers))


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _small(files: ImageFiles, name: str, most_bytes: int) -> bytes:
    with files.open(name) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise refused(f"{name} has more than {most_bytes} bytes")
    return content
