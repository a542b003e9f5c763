"""Whether the client's side has signed a receipt of ours: checked here, whatever a gateway says."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from marketplace.api.receipts import ReceiptTold
from marketplace.chain.signing import SigningDomain, receipt_id, recover
from marketplace.domain.orders import Order
from marketplace.domain.receipts import Receipt

MOST_SIGNATURES = 16
"""An honest gateway keeps no more of one side under one receipt."""


def countersignatures(
    told: Iterable[ReceiptTold], ours: Receipt, order: Order, domain: SigningDomain
) -> tuple[str, ...]:
    """The client side's signature under our very receipt, if it is among what a gateway tells. The gateway vouches for nothing, and
    cannot keep us busy: few signatures are looked at, beside the agent's step."""
    claimed = dict.fromkeys(item.signature for item in told if item.role == "client" and item.receipt == ours)
    looked_at = islice(claimed, MOST_SIGNATURES)
    return tuple(islice((one for one in looked_at if is_countersigned(ours, one, order, domain)), 1))


def is_countersigned(ours: Receipt, signature: str, order: Order, domain: SigningDomain) -> bool:
    """Whether this is the client's, or its acceptor's, signature under our receipt, to its last field."""
    signer = recover(receipt_id(ours, domain), signature)
    return signer is not None and order.is_client_side(signer)
