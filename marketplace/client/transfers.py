"""Bundles on their way to and from a gateway, part by part: what is there already is not sent, or fetched, again.

One part at a time and in order, so that a line is never shared by two, and at most one part lies on the disk beside the
files that it is made of.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.bundles import Bundle
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32, Sha256
from marketplace.domain.limits import PART_BYTES
from marketplace.sealing import SealedFile


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """How far inputs have come on their way to the gateway."""

    done_bytes: int
    """There by now."""
    total_bytes: int
    spared_bytes: int = 0
    """Of those, there before: sent by an earlier try, or for another job."""


OnUpload = Callable[[UploadProgress], None]


def send_bundle(
    api: GatewayApi,
    bundle: Bundle | SealedFile,
    parts: Sequence[Sha256],
    spool: Path,
    part_bytes: int = PART_BYTES,
    on_upload: OnUpload = lambda upload: None,
) -> None:
    """Have the gateway hold every part; ``spool`` is a folder with room for one. May be repeated, and goes on where it was.

    ``on_upload`` is told before the first part, and after each.

    Raises InvalidField where a file is not what it was when the parts were named, and a GatewayError.
    """
    upload = UploadProgress(0, bundle.bytes)
    on_upload(upload)
    for number, name in enumerate(parts):
        start, end = number * part_bytes, min((number + 1) * part_bytes, bundle.bytes)
        is_there = api.has_blob(name)
        if not is_there:
            _send_part(api, bundle, start, name, spool, part_bytes)
        upload = UploadProgress(end, bundle.bytes, upload.spared_bytes + (end - start if is_there else 0))
        on_upload(upload)


def _send_part(
    api: GatewayApi, bundle: Bundle | SealedFile, start: int, name: Sha256, spool: Path, part_bytes: int
) -> None:
    with tempfile.NamedTemporaryFile(dir=spool, prefix=".part-") as stream:
        digest = hashlib.sha256()
        for piece in bundle.pieces(start, start + part_bytes):
            digest.update(piece)
            stream.write(piece)
        stream.flush()
        if digest.hexdigest() != name:
            raise InvalidField("bundle", "changed while it was being sent")
        api.put_blob(Path(stream.name))


def fetch_part(
    api: GatewayApi, name: Sha256, size: int, folder: Path, lease: Bytes32 | None, field: str = "part"
) -> Path:
    """The lease's part as a file of its name in ``folder``, verified by hash and size; one that is there was verified when it came.

    ``field`` is what names it. Raises HashMismatch, InvalidField and a GatewayError.
    """
    place = folder / name
    if not place.exists():
        api.fetch_blob_into(name, place, lease=lease, limit_bytes=size)
    if (actual := place.stat().st_size) != size:
        raise InvalidField(field, f"{name} has {actual} bytes, not {size}")
    return place
