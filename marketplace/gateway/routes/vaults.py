"""Vaults that lend against leases, and their loans."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.vaults import LoanAnswer, VaultAnswer, VaultPage
from marketplace.domain.ids import address
from marketplace.gateway.auth import DesksHere
from marketplace.gateway.openapi import told
from marketplace.gateway.parameters import LoanNumber, VaultAddress
from marketplace.gateway.responses import answer

router = APIRouter(tags=["vaults"])


@router.get("/v1/vaults", responses=told(VaultPage))
def list_vaults(desks: DesksHere) -> Response:
    """The vaults that the operator names: what each holds, is worth, and how many shares wait to leave."""
    return answer(desks.vaults.page())


@router.get("/v1/vaults/{vault}", responses=told(VaultAnswer))
def get_vault(vault: VaultAddress, desks: DesksHere) -> Response:
    """One vault, with its terms and the loans that are not repaid."""
    return answer(desks.vaults.vault(address(vault)))


@router.get("/v1/vaults/{vault}/loans/{loan}", responses=told(LoanAnswer))
def get_loan(vault: VaultAddress, loan: LoanNumber, desks: DesksHere) -> Response:
    """One loan, also one that is over: what is owed, what is sure to come, what stands behind it."""
    return answer(desks.vaults.loan(address(vault), int(loan)))
