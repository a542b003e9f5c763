"""Images for tests, layer by layer: what a builder writes, and what none would."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from marketplace.domain.errors import ImageUnusable
from marketplace.domain.ids import Sha256
from marketplace.domain.images import ImageTrouble
from marketplace.images.manifests import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    ImageManifest,
    read_config,
    require_manifest,
)
from marketplace.provider.executors.base import MOUNT_FILES, MOUNT_FOLDERS
from marketplace.provider.images.accounts import ImageUser
from marketplace.provider.images.unpacking import unpack_image

KINDS = {
    "file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE, "fifo": tarfile.FIFOTYPE,
}  # fmt: skip
LIMIT = 8 << 20
NOTHING = Sha256("0" * 64)

Item = tuple[Any, ...]


def item(name: str, kind: str = "file", content: bytes | str = b"", mode: int = 0o755) -> Item:
    """One entry: ``content`` is a link's target, too."""
    return name, kind, content, mode


def layer(*items: Item, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A layer as a tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, kind, content, mode in items:
            member = tarfile.TarInfo(name)
            member.type, member.mode = KINDS[kind], mode
            if kind == "file":
                member.size = len(content)
            elif kind in ("link", "hard"):
                member.linkname = content
            tar.addfile(member, io.BytesIO(content if kind == "file" else b""))
    return stream.getvalue()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Image:
    """An image in memory: its manifest's name, and all its blobs."""

    manifest: Sha256 = NOTHING
    blobs: dict[str, bytes] = field(default_factory=dict)

    def keep(self, content: bytes) -> dict[str, Any]:
        self.blobs[digest(content)] = content
        return {"digest": digest(content), "size": len(content)}

    def document(self, value: dict[str, Any]) -> dict[str, Any]:
        return self.keep(json.dumps(value).encode())

    def read(self) -> ImageManifest:
        return require_manifest(self.blobs[f"sha256:{self.manifest}"], self.manifest)


PACKED = {
    "": (OCI_LAYER, lambda plain: plain),
    "gzip": (f"{OCI_LAYER}+gzip", lambda plain: gzip.compress(plain, 1)),
    "zstd": (f"{OCI_LAYER}+zstd", zstandard.ZstdCompressor(level=1).compress),
}


def image(
    *layers: bytes, packed: str = "gzip", architecture: str = "amd64", config: dict[str, Any] | None = None
) -> Image:
    """An image of these layers, all hashes right."""
    made, (kind, pack) = Image(), PACKED[packed]
    named = [made.keep(pack(plain)) | {"mediaType": kind} for plain in layers]
    root = {"type": "layers", "diff_ids": [digest(plain) for plain in layers]}
    told = {"architecture": architecture, "os": "linux", "rootfs": root, "config": config or {}}
    configured = made.document(told) | {"mediaType": OCI_CONFIG}
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": configured, "layers": named}
    made.manifest = Sha256(made.document(manifest)["digest"].removeprefix("sha256:"))
    return made


def unpacked(made: Image, place: Path, limit_bytes: int = LIMIT) -> tuple[Path, ImageUser]:
    """Unpack it below ``place``; the root, and whom it is to be run as. What spends more than the limit is too big."""
    left = limit_bytes

    def spend(count: int) -> None:
        nonlocal left
        left -= count
        if left < 0:
            raise ImageUnusable(ImageTrouble.TOO_BIG, "too many bytes")

    @contextmanager
    def opened(blob: Descriptor) -> Iterator[BinaryIO]:
        yield io.BytesIO(made.blobs[blob.digest])

    manifest = made.read()
    config = read_config(made.blobs[manifest.config.digest], manifest, "amd64")
    root, aside = place / "root", place / "aside"
    root.mkdir(parents=True)
    aside.mkdir()
    return root, unpack_image(manifest, config, opened, root, aside, spend)


def found(root: Path) -> dict[str, str]:
    """All that lies below a folder, by name: a file's content, a link's target with an arrow, or a slash for a folder."""
    seen: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        seen[name] = f"-> {path.readlink()}" if path.is_symlink() else "/" if path.is_dir() else path.read_text()
    return seen


def without_mounts(seen: dict[str, str]) -> dict[str, str]:
    """What of it the image brought itself."""
    mounts = [os.fsdecode(path) for path in (*MOUNT_FOLDERS, *MOUNT_FILES)]
    ours = {"/".join(path.split("/")[:depth]) for path in mounts for depth in range(1, 4)}
    return {name: content for name, content in seen.items() if name not in ours}


def raw(name: bytes, kind: bytes = b"0", content: bytes = b"", target: bytes = b"", **fields: bytes) -> bytes:
    """One entry byte by byte, its checksum right whatever it says; ``fields``: others at their places (``size``, ``magic``)."""
    places = {"name": 0, "mode": 100, "size": 124, "kind": 156, "target": 157, "magic": 257, "prefix": 345}
    block = bytearray(512)
    told = {
        "name": name[:100], "mode": b"0000755\0", "size": b"%011o\0" % len(content), "kind": kind,
        "target": target[:100], "magic": b"ustar\x0000",
    }  # fmt: skip
    for field_name, value in (told | fields).items():
        block[places[field_name] : places[field_name] + len(value)] = value
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * ord(" "))
    return bytes(block) + content + bytes(-len(content) % 512)


def pax(**records: str) -> bytes:
    """A pax header with these records."""
    lines = b""
    for key, value in records.items():
        body = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length += 1
        lines += str(length).encode() + body
    return raw(b"x", b"x", lines)


END = bytes(1024)


def archive(*entries: bytes) -> bytes:
    """Entries as an archive."""
    return b"".join(entries) + END
