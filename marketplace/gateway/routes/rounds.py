"""Rounds: what was decided, in the very bytes whose hash is on the chain. What it was decided from is a blob."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from marketplace.api.documents import PlanDocument
from marketplace.api.rounds import RoundPage, RoundTold
from marketplace.domain.ids import bytes32
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.openapi import told
from marketplace.gateway.parameters import AfterRound, Limit, RoundHash
from marketplace.gateway.ranges import is_known
from marketplace.gateway.responses import answer

router = APIRouter(tags=["rounds"])


@router.get("/v1/rounds", responses=told(RoundPage))
def list_rounds(desks: DesksHere, after: AfterRound = None, limit: Limit = "50") -> Response:
    """Rounds that were written down to be posted, those of the newest blocks first."""
    number, _, name = (after or "").partition("-")
    entries, onward = desks.rounds.page((int(number), bytes32(name)) if after else None, int(limit))
    terms = desks.market.terms()
    told = [RoundTold.of(entry.hash, entry.block_number, entry.bytes, entry.sums, terms) for entry in entries]
    return answer(RoundPage(told, None if onward is None else f"{onward[0]}-{onward[1]}"))


@router.get("/v1/rounds/{round_hash}", responses=told(PlanDocument))
def get_round(round_hash: RoundHash, request: Request, desks: DesksHere) -> Response:
    """A round's plan, byte for byte: sha256 of this body is the round's hash."""
    found = desks.rounds.round(bytes32(round_hash))
    tag = f'"{found.hash}"'
    headers = {"ETag": tag, "Cache-Control": "public, max-age=31536000, immutable"}
    if is_known(request.headers, tag):
        return Response(None, 304, headers)
    return Response(found.content, 200, headers, media_type="application/json")
