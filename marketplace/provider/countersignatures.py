"""Whether the client's side has signed a receipt of ours: checked here, whatever a gateway says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from marketplace.api.receipts import ReceiptTold
from marketplace.chain.signing import SigningDomain, receipt_id, recover
from marketplace.domain.orders import Order
from marketplace.domain.receipts import Receipt
from marketplace.domain.units import Seconds

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


def prepayments(
    told: Iterable[ReceiptTold], of: Receipt, known: Seconds, order: Order, domain: SigningDomain
) -> tuple[tuple[Receipt, str], ...]:
    """The client side's receipt over the most seconds beyond ``known``, of those that it signed ahead of the meter: as far as the order
    guarantees, which is as far as the contract takes it. ``of`` is a progress receipt of the serving, over whatever seconds."""
    ahead = dict.fromkeys(
        (item.receipt, item.signature)
        for item in told
        if item.role == "client"
        and item.receipt == replace(of, used_seconds=item.receipt.used_seconds)
        and known < item.receipt.used_seconds <= order.min_seconds
    )
    looked_at = islice(sorted(ahead, key=lambda one: -one[0].used_seconds), MOST_SIGNATURES)
    return tuple(islice((one for one in looked_at if is_countersigned(*one, order, domain)), 1))


def is_countersigned(ours: Receipt, signature: str, order: Order, domain: SigningDomain) -> bool:
    """Whether this is the client's, or its acceptor's, signature under our receipt, to its last field."""
    signer = recover(receipt_id(ours, domain), signature)
    return signer is not None and order.is_client_side(signer)
