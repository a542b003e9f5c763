"""Files of a folder that never change while they are served: kept in memory, with what HTTP says of them worked out once.

Names below ``assets/`` carry a hash of their content and may be kept for ever; all else is asked for again, by its ETag.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from pathlib import Path

from marketplace.gateway.tags import tag_of

KINDS = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8", ".json": "application/json",
}  # fmt: skip
"""What is served; files of other kinds are not."""
_PACKED_ALREADY = frozenset({".woff2"})
FOR_EVER = "public, max-age=31536000, immutable"
MOST_FILES, MOST_BYTES = 256, 4 << 20
"""A page that is larger was not made by us."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is sent."""

    content: bytes
    packed: bytes | None
    """The same by gzip; None where that saves nothing."""
    kind: str
    etag: str
    caching: str

    @classmethod
    def of(cls, path: Path, *, for_ever: bool) -> StaticFile:
        content = path.read_bytes()
        packed = None if path.suffix in _PACKED_ALREADY else _packed(content)
        return cls(content, packed, KINDS[path.suffix], tag_of(content), FOR_EVER if for_ever else "no-cache")

    def saying(self, content: bytes) -> StaticFile:
        """The same file with other content."""
        return replace(self, content=content, packed=self.packed and _packed(content), etag=tag_of(content))


Folder = dict[str, StaticFile]
"""By their paths below the folder."""


def read_folder(folder: Path) -> Folder | None:
    """What there is to serve; None where no page was built. Links out of the folder are not followed."""
    if not (folder / "index.html").is_file():
        return None
    found = Folder()
    for path in sorted(folder.rglob("*"))[:MOST_FILES]:
        if path.suffix in KINDS and path.is_file() and not path.is_symlink() and path.stat().st_size <= MOST_BYTES:
            name = path.relative_to(folder).as_posix()
            found[name] = StaticFile.of(path, for_ever=name.startswith("assets/"))
    return found


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)
