"""Leases: where one stands, its receipts, and what came of the job."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from marketplace.api.leases import LeaseAnswer, LeasePage, OutputsAnswer
from marketplace.api.receipts import ReceiptsAnswer, ReceiptSubmission, ReceiptTold
from marketplace.chain.shares import Part
from marketplace.domain.canonical import canonical_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import address, bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.wire import receipt_from_wire, signature_from_wire
from marketplace.gateway.answer_cache import AboutProjection
from marketplace.gateway.auth import DesksHere, LeaseReader, Sender
from marketplace.gateway.bodies import JsonObject, RawBody, only_fields
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import (
    AfterLease,
    ClientLeases,
    IdempotencyKey,
    LeaseId,
    Limit,
    OfferFilter,
    PayeeLeases,
    ProviderLeases,
    StatusFilter,
)
from marketplace.gateway.responses import Written, answer, once
from marketplace.services.leases import LeaseFilter, LeaseKind
from marketplace.services.receipts import PostedReceipt

router = APIRouter(tags=["leases"])
past = APIRouter(tags=["leases"], route_class=AboutProjection)


@past.get("/v1/leases", responses=told(LeasePage))
def list_leases(
    desks: DesksHere, offer: OfferFilter = None, provider: ProviderLeases = None, client: ClientLeases = None, payee: PayeeLeases = None,
    status: StatusFilter = None, after: AfterLease = None, limit: Limit = "50",
) -> Response:  # fmt: skip
    """The leases of one offer, provider, client or payee, the newest openings first."""
    asked_by: dict[str, str | None] = {"offer": offer, "provider": provider, "client": client, "payee": payee}
    named = [(kind, whose) for kind, whose in asked_by.items() if whose is not None]
    if len(named) != 1:
        raise InvalidField("offer", "give exactly one of offer, provider, client, payee")
    (kind, whose) = named[0]
    by = LeaseFilter(cast("LeaseKind", kind), whose if kind == "offer" else address(whose))
    found = desks.leases.page(by, LeaseStatus[status.upper()] if status else None, after, int(limit))
    return answer(found)


@router.get("/v1/leases/{lease_id}", responses=told(LeaseAnswer))
def get_lease(lease_id: LeaseId, desks: DesksHere) -> Response:
    """The lease, with its order, its deadline, and its provider's last sign of life."""
    return answer(desks.leases.lease(bytes32(lease_id)))


@router.get("/v1/leases/{lease_id}/outputs", responses=told(OutputsAnswer))
def get_outputs(lease_id: LeaseId, reader: LeaseReader, desks: DesksHere) -> Response:
    """The provider's result document, for the lease's parties; hash it, it is the receipt's ``result``."""
    desks.access.require(reader, bytes32(lease_id), Part.OUTPUTS)
    return answer(desks.leases.outputs(bytes32(lease_id)))


@router.get("/v1/leases/{lease_id}/receipts", responses=told(ReceiptsAnswer))
def list_receipts(lease_id: LeaseId, desks: DesksHere) -> Response:
    """Both sides' receipts of the current serving, oldest first."""
    return answer(desks.receipts.receipts(bytes32(lease_id)))


@router.post(
    "/v1/leases/{lease_id}/receipts", status_code=201, responses=told(ReceiptTold, 200, 201),
    openapi_extra=asked(ReceiptSubmission),
)  # fmt: skip
def post_receipt(
    lease_id: LeaseId, request: Request, desks: DesksHere, sender: Sender, document: JsonObject, body: RawBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:  # fmt: skip
    """Leave one side's signed receipt for the other; 200 where it was left before."""
    posted = _posted(document)

    def write() -> Written:
        row, is_new = desks.receipts.post(sender, bytes32(lease_id), posted)
        return Written(row, is_new, row.at)

    return once(request, desks, sender, idempotency_key, body, f"/v1/leases/{posted.receipt.lease}/receipts", write)


def _posted(document: dict[str, Any]) -> PostedReceipt:
    only_fields(document, required=("receipt", "role", "signature"), optional=("resultDocument",))
    read, role = receipt_from_wire(document["receipt"]), document["role"]
    if role not in ("provider", "client"):
        raise InvalidField("role", 'must be "provider" or "client"')
    signature = signature_from_wire(document["signature"])
    return PostedReceipt(read, role, signature, _result(document.get("resultDocument")))


def _result(document: Any) -> bytes | None:
    """The canonical bytes of the result document: those that its hash is over."""
    if document is None:
        return None
    try:
        return canonical_json(document)
    except InvalidField as error:
        raise InvalidField("resultDocument" + error.field.removeprefix("$"), error.rule) from None
