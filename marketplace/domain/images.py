"""Names of container images in a spec, always with a digest: what is signed is bytes, never a tag that somebody may move.

host                                   the provider's own job runtime
blob@sha256:DIGEST                     a manifest among the market's own blobs
registry.example/path@sha256:DIGEST    a manifest at a registry: the name carries its host, and there is no default one
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256

HOST_IMAGE: Final = "host"
BLOB_REGISTRY: Final = "blob"
RULE: Final = 'must be "host", "blob@sha256:DIGEST" or "registry.example/path@sha256:DIGEST"'

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
REGISTRY: Final = re.compile(
    rf"(?=.{{1,253}}$)(?:{_LABEL}(?:\.{_LABEL})+(?::[1-9][0-9]{{0,4}})?|{_LABEL}:[1-9][0-9]{{0,4}})$"
)
"""A host with a dot in it, or with a port."""
_PATH = re.compile(r"(?=.{1,200}$)[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})$")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")


class ImageTrouble(StrEnum):
    """Why an image cannot be used. The words are those of the obstacles that a provider names (``domain.declines``)."""

    NOT_FOUND = "image_not_found"
    TOO_BIG = "image_too_big"
    REFUSED = "image_refused"
    ARCH = "image_arch"


@dataclass(frozen=True, slots=True)
class ImageName:
    """Where a manifest is, and its sha256."""

    registry: str
    path: str
    digest: Sha256

    @property
    def is_blob(self) -> bool:
        """Whether it is among the market's own blobs."""
        return self.registry == BLOB_REGISTRY

    def __str__(self) -> str:
        place = BLOB_REGISTRY if self.is_blob else f"{self.registry}/{self.path}"
        return f"{place}@sha256:{self.digest}"


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """What people write: an image of a registry by a tag, which is to be resolved before anything is signed."""

    registry: str
    path: str
    tag: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}:{self.tag}"


def read_image(text: str, *, field: str = "spec.image") -> ImageName | None:
    """The image that a spec names; None for ``host``. Raises InvalidField."""
    if text == HOST_IMAGE:
        return None
    place, _, word = text.partition("@")
    digest = _DIGEST.fullmatch(word)
    if digest is None:
        raise InvalidField(field, RULE)
    if place == BLOB_REGISTRY:
        return ImageName(BLOB_REGISTRY, "", Sha256(digest[1]))
    return ImageName(*_place(place, field), Sha256(digest[1]))


def read_reference(text: str, *, field: str = "image") -> ImageName | TaggedImage | None:
    """The same for what people write, where a tag may stand in the digest's place (``latest`` where neither does)."""
    if "@" in text or text == HOST_IMAGE:
        return read_image(text, field=field)
    head, _, last = text.rpartition("/")
    name, _, tag = last.partition(":")
    tag = tag or "latest"
    if not head or not _TAG.fullmatch(tag):
        raise InvalidField(field, f"{RULE}; a tag may stand in the place of the digest")
    return TaggedImage(*_place(f"{head}/{name}", field), tag)


def _place(text: str, field: str) -> tuple[str, str]:
    registry, _, path = text.partition("/")
    if not REGISTRY.fullmatch(registry) or not _PATH.fullmatch(path):
        raise InvalidField(field, RULE)
    return registry, path
