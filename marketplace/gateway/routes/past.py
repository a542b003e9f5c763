"""The past: prices over time, scores, statements, delegates, and whether the market is solvent."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.history import HistoryAnswer, ScorePage, SpanSeconds
from marketplace.api.statements import DelegatePage, SolvencyAnswer, StatementPage
from marketplace.domain.ids import address
from marketplace.domain.units import UnixTime
from marketplace.gateway.answer_cache import AboutProjection
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.openapi import told
from marketplace.gateway.parameters import (
    AccountAddress,
    AfterAddress,
    AfterPlace,
    Bucket,
    ClassName,
    Limit,
    Since,
    Upto,
    class_from,
)
from marketplace.gateway.responses import answer

router = APIRouter(tags=["past"], route_class=AboutProjection)

CSV = "text/csv"
_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {CSV: {"schema": {"type": "string"}}}}}


@router.get("/v1/history/{class_name}", responses=told(HistoryAnswer))
def get_history(
    class_name: ClassName, desks: DesksHere, since: Since = None, upto: Upto = None, bucket: Bucket = "3600"
) -> Response:
    """What GPUs of a class have cost, and how many were let and listed, in spans of block time."""
    seconds = cast("SpanSeconds", int(bucket))
    first, last = (None if at is None else UnixTime(int(at)) for at in (since, upto))
    return answer(desks.past.history(class_from(class_name), seconds, first, last))


@router.get("/v1/providers/{provider}/scores", responses=told(ScorePage))
def list_scores(provider: AccountAddress, desks: DesksHere, after: AfterPlace = None, limit: Limit = "50") -> Response:
    """How a provider's score has moved, with what moved it, newest first."""
    return answer(desks.past.scores(address(provider), after, int(limit)))


@router.get("/v1/accounts/{account}/statement", responses=told(StatementPage))
def get_statement(account: AccountAddress, desks: DesksHere, after: AfterPlace = None, limit: Limit = "50") -> Response:
    """Everything that came into an account's free balance, and went, newest first."""
    return answer(desks.past.statement(address(account), after, int(limit)))


@router.get("/v1/accounts/{account}/statement.csv", responses=_CSV)
def get_statement_file(account: AccountAddress, desks: DesksHere, after: AfterPlace = None) -> Response:
    """The statement as a file for sheets, 10,000 entries at most; ``Bourse-Next`` tells where another goes on."""
    content, onward = desks.past.statement_file(address(account), after)
    headers = {"Content-Disposition": f'attachment; filename="statement-{address(account)}.csv"'}
    return Response(content, 200, headers | ({"Bourse-Next": onward} if onward else {}), CSV + "; charset=utf-8")


@router.get("/v1/accounts/{account}/delegates", responses=told(DelegatePage))
def list_delegates(
    account: AccountAddress, desks: DesksHere, after: AfterAddress = None, limit: Limit = "50"
) -> Response:
    """Whom the account has given a budget, what is left of it, and what it was charged for."""
    return answer(desks.past.delegates(address(account), None if after is None else address(after), int(limit)))


@router.get("/v1/solvency", responses=told(SolvencyAnswer))
def get_solvency(desks: DesksHere) -> Response:
    """What the market holds beside what it owes, at one block."""
    return answer(desks.past.solvency())
