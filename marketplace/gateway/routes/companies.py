"""Companies: providers that are code."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.companies import CompanyAnswer
from marketplace.domain.ids import address
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.openapi import told
from marketplace.gateway.parameters import CompanyAddress
from marketplace.gateway.responses import answer

router = APIRouter(tags=["companies"])


@router.get("/v1/companies/{company}", responses=told(CompanyAnswer))
def get_company(company: CompanyAddress, desks: DesksHere) -> Response:
    """Whose it is, who speaks for it, to whom its income is pledged, and its offers."""
    return answer(desks.companies.company(address(company)))
