"""What a provider lets in of images, as its inventory says.

[images]
registries = ["registry.example"]                # hosts that images may be pulled from; without them only the market's own blobs
private_registries = ["http://10.0.0.5:5000"]    # the same, where their addresses may be private; https unless it says http
cache_mib = 20480                                # what unpacked images may take of the disk; 0: no job with an image is run
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from marketplace.domain.errors import InvalidField
from marketplace.domain.images import REGISTRY, ImageName
from marketplace.domain.json_reader import Reader

DEFAULT_CACHE_MIB: Final = 20 * 1024
_MOST_REGISTRIES: Final = 64


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """The table ``[images]``."""

    registries: frozenset[str] = frozenset()
    private_registries: frozenset[str] = frozenset()
    """Host names, of those that may lie at private addresses."""
    plain_registries: frozenset[str] = frozenset()
    """Of these, the ones that are spoken to without TLS."""
    cache_mib: int = DEFAULT_CACHE_MIB

    def refusal(self, name: ImageName) -> str:
        """Why an image of this name is not let in; "" where it is."""
        if name.is_blob or name.registry in self.registries | self.private_registries:
            return ""
        return f"the registry {name.registry} is not on this provider's list"


ANY_BLOBS: Final = ImagePolicy()
"""What an inventory says that says nothing."""


def read_policy(reader: Reader) -> ImagePolicy:
    """The inventory's ``[images]``; defaults where it has none. Raises InvalidField."""
    inner = Reader(reader.take("images", dict, {}), "images")
    registries = inner.texts("registries", [], limit=_MOST_REGISTRIES)
    private = inner.texts("private_registries", [], limit=_MOST_REGISTRIES)
    cache_mib = inner.number("cache_mib", 0, 2**32, DEFAULT_CACHE_MIB)
    inner.end()
    hosts = [one.removeprefix("http://").removeprefix("https://") for one in private]
    for host in (*registries, *hosts):
        if not REGISTRY.fullmatch(host):
            raise InvalidField(
                "images.registries", f"{host!r} must be a host with a dot or a port in it, as registry.example"
            )
    plain = frozenset(one.removeprefix("http://") for one in private if one.startswith("http://"))
    return ImagePolicy(frozenset(registries), frozenset(hosts), plain, cache_mib)
