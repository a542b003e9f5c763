"""The parameters of paths and queries, as strict as the bodies: ASCII digits and hex only, no coercion."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from fastapi import Header, Path, Query

from marketplace.api.fields import decimal_pattern
from marketplace.api.quotes import CLASS_NAMES
from marketplace.domain.classes import GpuClass, class_named, class_numbered, load_classes
from marketplace.gateway.streams import ENDED

ADDRESS = "^0[xX][0-9a-fA-F]{40}$"
_BYTES32 = "^0[xX][0-9a-fA-F]{64}$"
_SHA256 = "^[0-9a-f]{64}$"
_NUMBER = "^(0|[1-9][0-9]{0,11})$"
SHARE = "^(log|outputs)[.][0-9]{1,12}[.]0[xX][0-9a-fA-F]{40}[.]0[xX]([0-9a-fA-F]{2}){0,4096}$"
_EVENT_ID = "^[0-9]{1,18}(-[0-9]{1,18})?$"
_CLASS = "^[A-Za-z0-9._-]{1,32}$"
_KNOWN_CLASSES = {"pattern": f"^({decimal_pattern(len(load_classes()) - 1)[1:-1]}|{CLASS_NAMES})$"}
"""What the catalogue has; its names are taken in any case."""

OrderId = Annotated[str, Path(pattern=_BYTES32, description="the order's EIP-712 digest")]
LeaseId = Annotated[str, Path(pattern=_BYTES32, description="the lease's id, which is its order's")]
OfferNumber = Annotated[str, Path(pattern=_NUMBER, description="the offer's number in the contract")]
RoundHash = Annotated[str, Path(pattern=_BYTES32, description="the round's hash, as `BatchOpened` has it")]
BlobName = Annotated[str, Path(pattern=_SHA256, description="sha256 of the content, in lower case")]
AccountAddress = Annotated[str, Path(pattern=ADDRESS)]
VaultAddress = Annotated[str, Path(pattern=ADDRESS, description="one of `GET /v1/vaults`")]
LoanNumber = Annotated[str, Path(pattern=_NUMBER, description="the loan's number in its vault")]
CompanyAddress = Annotated[str, Path(pattern=ADDRESS, description="a provider that is a company")]
ClassName = Annotated[
    str, Path(pattern=_CLASS, description="a GPU class, by number or by name", json_schema_extra=_KNOWN_CLASSES)
]

ClientFilter = Annotated[str, Query(pattern=ADDRESS, description="the orders of this client")]
ProviderFilter = Annotated[str | None, Query(pattern=ADDRESS, description="only this provider's offers")]
OffersNamed = Annotated[
    str,
    Query(
        alias="offers",
        max_length=1_300,
        pattern="^(0|[1-9][0-9]{0,11})(,(0|[1-9][0-9]{0,11})){0,99}$",
        description="numbers of offers, with commas between, at most 100",
    ),
]
ProviderNamed = Annotated[str, Query(alias="provider", pattern=ADDRESS, description="whose sign of life is asked for")]
ClassFilter = Annotated[
    str | None,
    Query(
        alias="class",
        pattern=_CLASS,
        description="only this class, by number or name",
        json_schema_extra=_KNOWN_CLASSES,
    ),
]
Flag = Literal["true", "false"]
After = Annotated[str | None, Query(pattern=_NUMBER, description="`next` of the page before")]
AfterRound = Annotated[
    str | None, Query(pattern="^(0|[1-9][0-9]{0,11})-0x[0-9a-f]{64}$", description="`next` of the page before")
]
_PLACE = "^[0-9]{12}-[0-9]{6}$"
AfterPlace = Annotated[str | None, Query(pattern=_PLACE, description="`next` of the page before")]
AfterAddress = Annotated[str | None, Query(pattern=ADDRESS, description="`next` of the page before")]
AfterLease = Annotated[str | None, Query(pattern="^[0-9]{12}-0x[0-9a-f]{64}$", description="`next` of the page before")]
AfterBid = Annotated[
    str | None, Query(pattern="^(0|[1-9][0-9]{0,24})-0x[0-9a-f]{64}$", description="`next` of the page before")
]
Depth = Annotated[str, Query(pattern="^([1-9][0-9]?|100)$", description="asks, and bids, at most: 1 to 100")]
Since = Annotated[
    str | None,
    Query(alias="from", pattern=_NUMBER, description="block time in the first span; the newest 60 without it"),
]
Upto = Annotated[
    str | None, Query(alias="to", pattern=_NUMBER, description="block time in the last span; now without it")
]
Bucket = Annotated[Literal["60", "3600", "86400"], Query(description="how long a span is, in seconds")]
OfferFilter = Annotated[str | None, Query(alias="offer", pattern=_NUMBER, description="leases of this offer")]
ProviderLeases = Annotated[str | None, Query(alias="provider", pattern=ADDRESS, description="leases that it serves")]
ClientLeases = Annotated[str | None, Query(alias="client", pattern=ADDRESS, description="leases of its orders")]
PayeeLeases = Annotated[str | None, Query(alias="payee", pattern=ADDRESS, description="leases that pay it")]
StatusFilter = Annotated[
    Literal["None", "Open", "Claimed", "Disputed", "Closed"] | None,
    Query(alias="status", description="only those that stand so; `None`: given back"),
]
Limit = Annotated[str, Query(pattern="^([1-9][0-9]?|100)$", description="items on a page, 1 to 100")]
Offset = Annotated[str, Query(pattern=_NUMBER, description="bytes from the log's beginning")]
EventId = Annotated[str | None, Query(pattern=_EVENT_ID, description="the id of the last event seen")]
OrderFollowed = Annotated[
    str | None, Query(alias="order", pattern=_BYTES32, description="only what is about this order")
]
AccountFollowed = Annotated[
    str | None, Query(alias="account", pattern=ADDRESS, description="only what concerns this account")
]
ClassFollowed = Annotated[
    str | None,
    Query(
        alias="class",
        pattern=_CLASS,
        description="only what is about GPUs of this class, by number or name",
        json_schema_extra=_KNOWN_CLASSES,
    ),
]
SharedBy = Annotated[
    str | None,
    Query(alias="share", pattern=SHARE, description="a party's leave to read, as `bourse share` makes it"),
]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[!-~]{1,128}$",
        description="1 to 128 visible ASCII characters; replays the first answer",
    ),
]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", pattern=_EVENT_ID, description="resumes a broken stream")
]
LastLogEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", pattern=f"^[0-9]{{1,12}}({ENDED})?$", description="resumes a broken log")
]


def class_from(text: str, *, field: str = "class") -> GpuClass:
    """A class by number or by name. Raises InvalidField."""
    is_number = re.fullmatch(_NUMBER, text) is not None
    return class_numbered(int(text), field=field) if is_number else class_named(text, field=field)
