"""Handing over what a job left: its outputs, log, result and receipt, to every gateway.

One that has them is enough for the claim of having delivered; the others are offered them all the same, for as long as the
serving stays: a gateway may take what it is given and show it to nobody.
"""

from __future__ import annotations

import structlog

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import GatewayProblem
from marketplace.domain.ids import Bytes32
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import Result
from marketplace.provider.attendance import Attendance
from marketplace.provider.closing import send_outputs
from marketplace.provider.home import ServingFolder
from marketplace.provider.preparing import seconds_for

_log = structlog.get_logger()


def offer_to_all(attendance: Attendance, receipt: Receipt, signature: str, result: Result, head: BlockRef) -> None:
    """Offer it to the gateways that do not have it yet, and note those that have. Raises OSError, and InvalidField for a file
    that is not what it was: this machine has lost it."""
    folder, holders = attendance.folder, attendance.holders
    for answer in attendance.delivering.answers(head.number):
        if answer.found is not None:
            holders.add(answer.line)
        elif answer.problem is not None:
            _log.warning(
                "receipt.not_delivered", lease=receipt.lease, gateway=answer.line.url, reason=answer.problem.reason,
                error=str(answer.problem),
            )  # fmt: skip
    is_elsewhere = bool(holders)
    attendance.delivering.begin(
        lambda line: deliver(line.api, folder, receipt, signature, result, is_elsewhere=is_elsewhere),
        head.number,
        seconds=seconds_for(sum(output.bytes for output in result.outputs)),
        but=holders,
    )


def deliver(
    api: GatewayApi,
    folder: ServingFolder,
    receipt: Receipt,
    signature: str,
    result: Result,
    *,
    is_elsewhere: bool = False,
) -> Bytes32:
    """Upload outputs and log, then hand our receipt to the client's side; the lease's id. May be repeated: it goes on where it was.

    ``is_elsewhere``: another gateway has the outputs; so one that refuses them is told the receipt, which names them, all the same.
    """
    try:
        send_outputs(api, folder, result)
    except GatewayProblem:
        if is_elsewhere:
            api.post_receipt(receipt.lease, receipt, "provider", signature, result)
        raise
    api.post_receipt(receipt.lease, receipt, "provider", signature, result)
    return receipt.lease
