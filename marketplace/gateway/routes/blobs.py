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
from marketplace.gateway.methods import is_head
from marketplace.gateway.openapi import bytes_asked, told
from marketplace.gateway.parameters import BlobName, Flag, LeaseId
from marketplace.gateway.ranges import is_known, range_asked
from marketplace.gateway.responses import answer, created
from marketplace.gateway.signing_told import SIGNED
from marketplace.gateway.streams import lines_of
from marketplace.services.quotas import Reservation
from marketplace.services.uploads import Upload

router = APIRouter(tags=["blobs"])

_CHUNK_BYTES = 1 << 16
_WORTH_PACKING_BYTES = 1 << 20
_GZIP_BITS = 31
"""zlib's word for a gzip header and its largest window."""
_KIND = "application/octet-stream"
_BYTES: dict[str, Any] = {"content": {_KIND: {"schema": {"type": "string", "format": "binary"}}}}
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: _BYTES,
    206: {**_BYTES, "description": "The bytes that `Range` asks for"},
    304: {"description": "`If-None-Match` names it: the content of a name never changes"},
}
_UPLOAD = bytes_asked("the content; a 413 problem beyond the sender's limit") | {"security": SIGNED}


@router.put("/v1/blobs/{name}", status_code=201, responses=told(BlobAnswer, 200, 201), openapi_extra=_UPLOAD)
async def put_blob(name: BlobName, request: Request, desks: DesksHere, public: Flag = "false") -> Response:
    """Keep a file under its hash, for its sender and the parties of leases that it is for; with ``public=true`` for everybody. The sender is known before the first byte is read: the name is the body's hash that it signed."""
    blob = Sha256(name)
    with desks.uploads.reservation() as held:
        admit = partial(_admit, request, desks, blob, public == "true", held)
        upload, limit_bytes, size = await anyio.to_thread.run_sync(admit)
        if size is not None:
            return answer(BlobAnswer(blob, size))
        kept = await _keep(request, desks, upload, limit_bytes)
    return created(BlobAnswer(blob, kept), f"/v1/blobs/{blob}")


async def _keep(request: Request, desks: Desks, upload: Upload, limit_bytes: int) -> int:
    """Read the file and keep it; its size."""
    if upload.is_strange:
        # Read before a place and a thread are taken: who has no money keeps nobody else's file from being sent.
        content: Iterable[bytes] = [piece async for piece in pieces(request, limit_bytes)]
        return await anyio.to_thread.run_sync(partial(desks.uploads.keep, upload, content, limit_bytes))
    lines = lines_of(request)
    with lines.upload_places.one_for(upload.payer or upload.sender):
        keep = partial(desks.uploads.keep, upload, UploadPieces(request, limit_bytes), limit_bytes)
        return await anyio.to_thread.run_sync(keep, limiter=lines.uploads)


@router.get("/v1/blobs/{name}", responses=_CONTENT)
def get_blob(name: BlobName, request: Request, reader: Uploader, desks: DesksHere) -> Response:
    """A public file, or one that the reader brought: all of it, or a range. Large ones are compressed on the way, where that is asked for and pays."""
    blob = Sha256(name)
    return _content(request, desks, blob, desks.uploads.size(reader, blob))


@router.get("/v1/leases/{lease_id}/blobs/{name}", responses=_CONTENT)
def get_lease_blob(
    lease_id: LeaseId, name: BlobName, request: Request, reader: LeaseReader, desks: DesksHere
) -> Response:
    """A file that the lease's work or result names, for the lease's parties; before it is open, for those of its order."""
    blob = Sha256(name)
    desks.access.require_blob(reader, bytes32(lease_id), blob)
    return _content(request, desks, blob, desks.uploads.size_of(blob))


def _content(request: Request, desks: Desks, blob: Sha256, size: int) -> Response:
    """The content, or the part of it that is asked for, never to be taken for a page of ours. Nothing of it where the client has it."""
    tag, packed_tag = f'"{blob}"', f'"{blob}-gzip"'
    headers = _headers(tag)
    if is_known(request.headers, tag, packed_tag):
        return Response(None, 304, headers)
    if is_head(request):
        return Response(None, 200, headers | {"Content-Length": str(size)}, _KIND)
    wanted = range_asked(request.headers, size, tag)
    part = wanted or range(size)
    length = {"Content-Length": str(len(part))}
    stream = desks.uploads.open(blob)
    if wanted:
        place = {"Content-Range": f"bytes {part.start}-{part.stop - 1}/{size}"}
        return StreamingResponse(_chunks(stream, part), 206, headers | length | place, _KIND)
    if size >= _WORTH_PACKING_BYTES and _takes_gzip(request) and _shrinks(stream):
        packed = {"Content-Encoding": "gzip", "ETag": packed_tag}
        return StreamingResponse(_packed(_chunks(stream, part)), 200, headers | packed, _KIND)
    if size <= _CHUNK_BYTES:
        return Response(
            b"".join(_chunks(stream, part)), 200, headers, _KIND
        )  # read at once, in the thread that we are in
    return StreamingResponse(_chunks(stream, part), 200, headers | length, _KIND)


def _admit(
    request: Request, desks: Desks, blob: Sha256, is_public: bool, held: Reservation
) -> tuple[Upload, int, int | None]:
    """What comes from whom, how much it may be, and its size where the sender has brought it before. Raises Unauthorized, OverQuota."""
    sender, represented = sender_of(request, desks, blob), account_represented(request)
    upload = Upload(blob, sender, is_public, desks.chain.paced_head().timestamp)
    kept = desks.uploads.kept(upload)
    if kept is not None:
        return upload, 0, kept
    return (*desks.uploads.admit(upload, represented, promised_bytes(request), held), None)


def _headers(tag: str) -> dict[str, str]:
    return {
        "ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, max-age=31536000, immutable", "Vary": "Accept-Encoding", "Content-Disposition": "attachment", "Content-Security-Policy": "default-src 'none'; sandbox",
    }  # fmt: skip


def _chunks(stream: BinaryIO, part: range) -> Iterator[bytes]:
    with stream:
        stream.seek(part.start)
        left = len(part)
        while chunk := stream.read(min(_CHUNK_BYTES, left)):
            left -= len(chunk)
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
