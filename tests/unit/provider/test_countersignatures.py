"""What an agent makes of the signatures that a gateway tells it are its client's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.api.receipts import ReceiptTold, Side
from marketplace.chain.signing import Key
from marketplace.domain.ids import ZERO_BYTES32, OfferId
from marketplace.domain.receipts import Receipt
from marketplace.domain.units import Seconds, UnixTime
from marketplace.provider.countersignatures import MOST_SIGNATURES, countersignatures
from tests.hostile.gateway.telling import DOMAIN, KEY, ORDER

CLIENT = Key(bytes([9]) * 32)
THEIRS = replace(ORDER, client=CLIENT.address)
OURS = Receipt(ZERO_BYTES32, OfferId(1), UnixTime(7), Seconds(60), ZERO_BYTES32, last=True)
SIGNATURE = CLIENT.sign_receipt(OURS, DOMAIN)


def told(signature: str, receipt: Receipt = OURS, role: Side = "client") -> ReceiptTold:
    return ReceiptTold.of(role, receipt, signature, UnixTime(9))


@pytest.mark.parametrize(
    "lie",
    [
        told(KEY.sign_receipt(OURS, DOMAIN)),
        told(SIGNATURE, replace(OURS, used_seconds=Seconds(1))),
        told(CLIENT.sign_receipt(replace(OURS, used_seconds=Seconds(1)), DOMAIN)),
        told("0x" + "00" * 65),
        told("0x"),
    ],
)
def test_only_the_clients_word_under_our_receipt_counts(lie: ReceiptTold) -> None:
    """Another's signature, another receipt, or one that is none: the right one beside it is found all the same."""
    assert countersignatures([lie], OURS, THEIRS, DOMAIN) == ()
    assert countersignatures([lie, told(SIGNATURE)], OURS, THEIRS, DOMAIN) == (SIGNATURE,)


def test_a_gateway_cannot_keep_us_busy_with_signatures() -> None:
    """Of any number that it tells so few are looked at that nothing waits for it; an honest one tells fewer."""
    crowd, right = [told(f"0x{number:0130x}") for number in range(50_000)], told(SIGNATURE)

    assert countersignatures([*crowd[: MOST_SIGNATURES - 1], right], OURS, THEIRS, DOMAIN) == (SIGNATURE,)
    assert countersignatures([*crowd, right], OURS, THEIRS, DOMAIN) == ()
