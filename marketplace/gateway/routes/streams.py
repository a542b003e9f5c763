"""What is told as it happens: a job's log, and the market's events."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from marketplace.api.leases import LogLength
from marketplace.api.live import BookChanges, HeadTold, OfferChanges, ReorganisationTold, SignOfLifeTold
from marketplace.chain.shares import Part
from marketplace.domain.ids import address, bytes32
from marketplace.gateway.auth import DesksHere, LeaseReader, LogSender
from marketplace.gateway.bodies import LogChunk
from marketplace.gateway.following import Following
from marketplace.gateway.methods import is_head
from marketplace.gateway.negotiation import require_taken
from marketplace.gateway.openapi import REF, bytes_asked, told
from marketplace.gateway.parameters import (
    AccountFollowed,
    ClassFollowed,
    EventId,
    Flag,
    LastEventId,
    LastLogEventId,
    LeaseId,
    Offset,
    OrderFollowed,
    class_from,
)
from marketplace.gateway.problems import HttpRefusal
from marketplace.gateway.responses import answer
from marketplace.gateway.streams import (
    ENDED,
    EVENT_STREAM,
    PLAIN_TEXT,
    address_of,
    event_stream,
    headers_only,
    in_thread,
    lines_of,
    log_events,
    market_events,
)

router = APIRouter(tags=["streams"])

# Of no type: some who read this expect one event here, others the text of all.
_EVENT: dict[str, Any] = {"description": "Server-sent events, each with a name, an id, and JSON as its data"}
_LIVE = {
    "head": HeadTold, "reorg": ReorganisationTold, "book": BookChanges, "offer": OfferChanges, "heartbeat": SignOfLifeTold,
}  # fmt: skip
_NAMED = {name: {"$ref": REF + kind.__name__} for name, kind in _LIVE.items()}
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {EVENT_STREAM: {"schema": {**_EVENT, "x-events": _NAMED}}}}
}
"""With the form of each event's data, by its name, for those who make types of it."""
_LOG: dict[int | str, dict[str, Any]] = {
    200: {"content": {PLAIN_TEXT: {"schema": {"type": "string"}}, EVENT_STREAM: {"schema": _EVENT}}},
    204: {"description": "The log is over, and who asks has read its `end`"},
}
_CHUNK = bytes_asked("the next piece of the log, at most 256 KiB")


@router.get("/v1/leases/{lease_id}/logs", responses=_LOG)
async def get_log(
    lease_id: LeaseId, request: Request, reader: LeaseReader, desks: DesksHere, offset: Offset = "0", follow: Flag = "true",
    last_event_id: LastLogEventId = None,
) -> Response:  # fmt: skip
    """The log from ``offset`` on, as it grows, for the lease's parties; with ``follow=false`` what there is now, as plain text. Who comes back after its ``end`` gets a 204."""
    require_taken(request, (EVENT_STREAM if follow == "true" else PLAIN_TEXT,))
    lease, start = bytes32(lease_id), _start(offset, last_event_id)
    reads = lines_of(request).reads
    # The first read is made before the answer begins: what is wrong is still a problem then, with its status.
    await in_thread(reads, desks.access.require, reader, lease, Part.LOG)
    content = await in_thread(reads, desks.leases.log_so_far, lease, start)
    if follow == "true":
        if is_head(request):
            return headers_only()
        has_ended = not content and (last_event_id or "").endswith(ENDED)
        if has_ended and await in_thread(reads, desks.leases.is_log_complete, lease):
            return Response(None, 204)
        return event_stream(request, lines_of(request).log_places, log_events(request, desks, lease, start))
    length = start if content else await in_thread(reads, desks.leases.log_length, lease)
    if start > length:
        raise HttpRefusal(416, "LogOffset", "offset", f"must be at most {length}, where the log ends", length=length)
    headers = {"Bourse-Log-Next": str(start + len(content))}
    return Response(content, 200, headers, PLAIN_TEXT + "; charset=utf-8")


@router.post("/v1/leases/{lease_id}/logs", responses=told(LogLength), openapi_extra=_CHUNK)
def append_log(
    lease_id: LeaseId, chunk: LogChunk, sender: LogSender, desks: DesksHere, offset: Offset = "0"
) -> Response:
    """Append a piece of log where the log ends; 409 with its ``length`` where it ends elsewhere."""
    start = int(offset)
    length = desks.leases.append_log(sender, bytes32(lease_id), start, chunk)
    if length != start + len(chunk):
        raise HttpRefusal(409, "LogOffset", "offset", f"must be {length}, where the log ends", length=length)
    return answer(LogLength(length))


@router.get("/v1/events", responses=_EVENTS)
async def get_events(
    request: Request, desks: DesksHere, after: EventId = None, live: Flag = "false", order: OrderFollowed = None,
    account: AccountFollowed = None, gpu: ClassFollowed = None, last_event_id: LastEventId = None,
) -> Response:  # fmt: skip
    """The market's events as the indexer tells them: from ``after`` on, or from now on; with ``live=true`` blocks, the book, offers and
    signs of life, too. Hints: the chain is the evidence."""
    following = Following(
        is_live=live == "true", order=None if order is None else bytes32(order), account=None if account is None else address(account),
        gpu_class=None if gpu is None else class_from(gpu).number,
    )  # fmt: skip
    lines_of(request).event_places.require_room(address_of(request))  # before anything is read for who gets no place
    seen = last_event_id or after
    if seen is None:
        seen = await in_thread(lines_of(request).reads, desks.board.last_event_id)
    # What is wrong is still a problem now, with its status.
    await in_thread(lines_of(request).reads, desks.board.read_events, seen)
    if is_head(request):
        return headers_only()
    # Looked up before the answer begins: who has its head misses nothing that happens from then on.
    start = await in_thread(lines_of(request).reads, following.start, desks.board, seen)
    return event_stream(request, lines_of(request).event_places, market_events(request, desks, start, following))


def _start(offset: str, last_event_id: str | None) -> int:
    """Where to go on: an event's id is the offset after it, of the last one with a word that it was the last."""
    if last_event_id is None:
        return int(offset)
    return int(last_event_id.removesuffix(ENDED))
