"""Files by hash. Who signs may write, as much as it may, and reads what it wrote; everybody reads what is public.

What belongs to a lease is read by its parties, below the lease. A name alone opens nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from marketplace.api.blobs import BlobAnswer
from marketplace.domain.ids import Sha256, bytes32
from marketplace.gateway.auth import DesksHere, LeaseReader, Uploader, account_represented, sender_of
from marketplace.gateway.bodies import UploadPieces, pieces, promised_bytes
from marketplace.gateway.desks import Desks
from marketplace.gateway.openapi import bytes_asked, told
from marketplace.gateway.parameters import BlobName, Flag, LeaseId
from marketplace.gateway.responses import answer
from marketplace.gateway.signing_told import SIGNED
from marketplace.gateway.streams import lines_of
from marketplace.services.uploads import STRANGER_LIMIT_BYTES, Upload

router = APIRouter(tags=["blobs"])

_CHUNK_BYTES = 1 << 16
_WORTH_PACKING_BYTES = 1 << 20
_GZIP_BITS = 31
"""zlib's word for a gzip header and its largest window."""
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
_UPLOAD = bytes_asked("the content; a 413 problem beyond the sender's limit") | {"security": SIGNED}


@router.put("/v1/blobs/{name}", status_code=201, responses=told(BlobAnswer, 200, 201), openapi_extra=_UPLOAD)
async def put_blob(name: BlobName, request: Request, desks: DesksHere, public: Flag = "false") -> Response:
    """Keep a file under its hash, for its sender and the parties of leases that it is for; with ``public=true`` for everybody. The sender is known before the first byte is read: the name is the body's hash that it signed."""
    blob = Sha256(name)
    upload, limit_bytes, size = await anyio.to_thread.run_sync(partial(_admit, request, desks, blob, public == "true"))
    if size is not None:
        return answer(BlobAnswer(blob, size))
    if limit_bytes <= STRANGER_LIMIT_BYTES:
        # Read before a place and a thread are taken: who has no money keeps nobody else's file from being sent.
        content: Iterable[bytes] = [piece async for piece in pieces(request, limit_bytes)]
        kept = await anyio.to_thread.run_sync(partial(desks.uploads.keep, upload, content, limit_bytes))
        return answer(BlobAnswer(blob, kept), 201)
    lines = lines_of(request)
    with lines.upload_places.one_for(upload.sender):
        keep = partial(desks.uploads.keep, upload, UploadPieces(request, limit_bytes), limit_bytes)
        kept = await anyio.to_thread.run_sync(keep, limiter=lines.uploads)
    return answer(BlobAnswer(blob, kept), 201)


@router.get("/v1/blobs/{name}", responses=_CONTENT)
def get_blob(name: BlobName, request: Request, reader: Uploader, desks: DesksHere) -> Response:
    """A public file, or one that the reader brought. Large ones are compressed on the way, where that is asked for and pays."""
    blob = Sha256(name)
    return _content(request, desks, blob, desks.uploads.size(reader, blob))


@router.head("/v1/blobs/{name}", responses=_CONTENT)
def head_blob(name: BlobName, reader: Uploader, desks: DesksHere) -> Response:
    """Whether the file is here for this reader, and how large it is."""
    blob = Sha256(name)
    size = desks.uploads.size(reader, blob)
    return Response(b"", 200, _headers(blob, size), "application/octet-stream")


@router.get("/v1/leases/{lease_id}/blobs/{name}", responses=_CONTENT)
def get_lease_blob(
    lease_id: LeaseId, name: BlobName, request: Request, reader: LeaseReader, desks: DesksHere
) -> Response:
    """A file that the lease's work or result names, for the lease's parties; before it is open, for those of its order."""
    blob = Sha256(name)
    desks.access.require_blob(reader, bytes32(lease_id), blob)
    return _content(request, desks, blob, desks.uploads.size_of(blob))


def _content(request: Request, desks: Desks, blob: Sha256, size: int) -> Response:
    """The content, never to be taken for a page of ours."""
    stream, headers = desks.uploads.open(blob), _headers(blob, size)
    chunks = _chunks(stream)
    if size >= _WORTH_PACKING_BYTES and _takes_gzip(request) and _shrinks(stream):
        del headers["Content-Length"]
        headers |= {"Content-Encoding": "gzip", "ETag": f'"{blob}-gzip"'}
        chunks = _packed(chunks)
    return StreamingResponse(chunks, 200, headers, "application/octet-stream")


def _admit(request: Request, desks: Desks, blob: Sha256, is_public: bool) -> tuple[Upload, int, int | None]:
    """What comes from whom, how much it may be, and its size where the sender has brought it before. Raises Unauthorized, OverQuota."""
    sender, represented = sender_of(request, desks, blob), account_represented(request)
    at = desks.chain.paced_head().timestamp
    kept = desks.uploads.kept(Upload(blob, sender, is_public, at))
    if kept is not None:
        return Upload(blob, sender, is_public, at), 0, kept
    room = desks.uploads.room_for(sender, represented, promised_bytes(request), at)
    return Upload(blob, sender, is_public, at, room.is_strange), room.left, None


def _headers(blob: Sha256, size: int) -> dict[str, str]:
    return {
        "Content-Length": str(size), "ETag": f'"{blob}"', "Cache-Control": "private, max-age=31536000, immutable",
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
