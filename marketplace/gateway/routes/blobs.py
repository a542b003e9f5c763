"""Files by hash. Who knows a hash may read; who signs may write, as much as it may."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from marketplace.domain.errors import NotFound
from marketplace.domain.ids import Address, Sha256
from marketplace.gateway.auth import DesksHere, account_represented, sender_of
from marketplace.gateway.bodies import UploadPieces, pieces
from marketplace.gateway.desks import Desks
from marketplace.gateway.openapi import bytes_asked, told
from marketplace.gateway.parameters import BlobName
from marketplace.gateway.responses import answer
from marketplace.gateway.schemas import BlobAnswer
from marketplace.gateway.streams import lines_of
from marketplace.services.uploads import STRANGER_LIMIT_BYTES

router = APIRouter(tags=["blobs"])

_CHUNK_BYTES = 1 << 16
_WORTH_PACKING_BYTES = 1 << 20
_GZIP_BITS = 31
"""zlib's word for a gzip header and its largest window."""
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
_UPLOAD = bytes_asked("the content; a 413 problem beyond the sender's limit")


@router.put("/v1/blobs/{name}", status_code=201, responses=told(BlobAnswer, 200, 201), openapi_extra=_UPLOAD)
async def put_blob(name: BlobName, request: Request, desks: DesksHere) -> Response:
    """Keep a file under its hash. The sender is known before the first byte is read: the name is the body's hash that it signed."""
    blob = Sha256(name)
    sender, limit_bytes, size = await anyio.to_thread.run_sync(partial(_admit, request, desks, blob))
    if size is not None:
        return answer({"sha256": blob, "bytes": size})
    if limit_bytes <= STRANGER_LIMIT_BYTES:
        # Read before a place and a thread are taken: who has no money keeps nobody else's file from being sent.
        content: Iterable[bytes] = [piece async for piece in pieces(request, limit_bytes)]
        kept = await anyio.to_thread.run_sync(partial(desks.uploads.keep, blob, content, limit_bytes))
        return answer({"sha256": blob, "bytes": kept}, 201)
    lines = lines_of(request)
    with lines.upload_places.one_for(sender):
        keep = partial(desks.uploads.keep, blob, UploadPieces(request, limit_bytes), limit_bytes)
        kept = await anyio.to_thread.run_sync(keep, limiter=lines.uploads)
    return answer({"sha256": blob, "bytes": kept}, 201)


@router.get("/v1/blobs/{name}", responses=_CONTENT)
def get_blob(name: BlobName, request: Request, desks: DesksHere) -> Response:
    """The content, never to be taken for a page of ours. Large ones are compressed on the way, where that is asked for and pays."""
    blob = Sha256(name)
    size = _size(desks, blob)
    stream, headers = desks.uploads.open(blob), _headers(blob, size)
    chunks = _chunks(stream)
    if size >= _WORTH_PACKING_BYTES and _takes_gzip(request) and _shrinks(stream):
        del headers["Content-Length"]
        headers |= {"Content-Encoding": "gzip", "ETag": f'"{blob}-gzip"'}
        chunks = _packed(chunks)
    return StreamingResponse(chunks, 200, headers, "application/octet-stream")


@router.head("/v1/blobs/{name}", responses=_CONTENT)
def head_blob(name: BlobName, desks: DesksHere) -> Response:
    """Whether the file is here, and how large it is."""
    blob = Sha256(name)
    size = _size(desks, blob)
    return Response(b"", 200, _headers(blob, size), "application/octet-stream")


def _admit(request: Request, desks: Desks, blob: Sha256) -> tuple[Address, int, int | None]:
    """Who sends, how much it may send, and the file's size where it is here already. Raises Unauthorized."""
    sender, represented = sender_of(request, desks, blob), account_represented(request)
    return sender, desks.uploads.limit_bytes(sender, represented), desks.uploads.size(blob)


def _size(desks: Desks, blob: Sha256) -> int:
    size = desks.uploads.size(blob)
    if size is None:
        raise NotFound("blob", blob)
    return size


def _headers(blob: Sha256, size: int) -> dict[str, str]:
    return {
        "Content-Length": str(size), "ETag": f'"{blob}"', "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding", "Content-Disposition": "attachment", "Content-Security-Policy": "default-src 'none'; sandbox",
    }  # fmt: skip


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _takes_gzip(request: Request) -> bool:
    return "gzip" in (word.strip() for word in request.headers.get("accept-encoding", "").lower().split(","))


def _shrinks(stream: BinaryIO) -> bool:
    """Whether the beginning of the file packs to three quarters or less: bundles are packed already."""
    first = stream.read(_CHUNK_BYTES)
    stream.seek(0)
    return 4 * len(zlib.compress(first, 1)) <= 3 * len(first)


def _packed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP_BITS)
    yield from filter(None, map(packer.compress, pieces))
    yield packer.flush()
