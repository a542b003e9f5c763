"""The forms that the nouns take on the wire and in files: integers of the ABI as decimal strings, bytes as 0x-hex.

One pair of functions per noun, used by the gateway, the SDK, the agent, the journal and the board alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, cast

from marketplace.domain.annals import About
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import Explanation, RejectionReason
from marketplace.domain.errors import InvalidField
from marketplace.domain.events import Event, OfferListed
from marketplace.domain.fills import check_widths, fits_widths
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId, address, bytes32
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.receipts import Receipt
from marketplace.domain.reputation import Outcome, Reputation, Tally
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime, iso_from_time

_DECIMAL = re.compile(r"^(0|[1-9][0-9]{0,77})$")
_HEX = re.compile(r"^0x([0-9a-f]{2})*$")
MAX_SIGNATURE_BYTES = 4096
"""Longer ones exist (EIP-1271 wallets); nobody needs more."""


def camel(name: str) -> str:
    """``max_seconds`` as the ABI spells it: ``maxSeconds``."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


ORDER_FIELDS = {camel(item.name): item.name for item in fields(Order)}
_order_values = attrgetter(*ORDER_FIELDS.values())
_ORDER_TEXT = {"client": address, "opener": address, "acceptor": address, "arbiter": address, "spec": bytes32}


def order_to_wire(order: Order) -> dict[str, str]:
    """The order with the ABI's field names, integers as decimal strings."""
    return dict(zip(ORDER_FIELDS, map(str, _order_values(order)), strict=True))


def order_from_wire(value: Any, path: str = "order") -> Order:
    """Read an order; raise InvalidField for unknown, missing, malformed or too wide fields."""
    order = _usual_order(value)
    if order is not None:
        return order
    if not isinstance(value, dict):
        raise InvalidField(path, "must be an object")
    unknown = sorted(set(value) - set(ORDER_FIELDS))
    if unknown:
        raise InvalidField(f"{path}.{unknown[0]}", "is not a field of an order")
    read: dict[str, Any] = {}
    for wire, name in ORDER_FIELDS.items():
        where = f"{path}.{wire}"
        if wire not in value:
            raise InvalidField(where, "is missing")
        reader = _ORDER_TEXT.get(name)
        read[name] = reader(value[wire], field=where) if reader else integer_from_wire(value[wire], where)
    order = Order(**read)
    try:
        check_widths(order)
    except InvalidField as exc:
        raise InvalidField(f"{path}.{camel(exc.field)}", exc.rule) from None
    return order


def _usual_order(value: Any) -> Order | None:
    """The order, looked at all at once, where nothing is wrong with it and all of it is in lower case; else None. Orders are read a great deal."""
    try:
        texts: tuple[str, ...] = _ORDER_TEXTS(value)
        is_written_so = len(value) == len(texts) and _USUAL_ORDER.fullmatch("\n".join(texts))
    except (KeyError, TypeError):
        return None
    if not is_written_so:
        return None
    values: list[Any] = [read(text) for read, text in zip(_ORDER_READERS, texts, strict=True)]
    order = Order(*values)
    return order if fits_widths(order) else None


_ORDER_TEXTS = itemgetter(*ORDER_FIELDS)
_ORDER_READERS: tuple[Callable[[str], str | int], ...] = tuple(
    str if name in _ORDER_TEXT else int for name in ORDER_FIELDS.values()
)
_USUAL_FORMS: Mapping[object, str] = {
    address: "0x[0-9a-f]{40}", bytes32: "0x[0-9a-f]{64}", None: "(?:0|[1-9][0-9]{0,77})",
}  # fmt: skip
_USUAL_ORDER = re.compile("\n".join(_USUAL_FORMS[_ORDER_TEXT.get(name)] for name in ORDER_FIELDS.values()))


def integer_from_wire(value: Any, path: str) -> int:
    """A non-negative integer as a decimal string without sign, leading zeros or spaces; at most 78 digits."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise InvalidField(path, "must be a non-negative integer as a decimal string")
    return int(value)


def signature_from_wire(value: Any, path: str = "signature") -> str:
    """0x-hex of any length up to 4096 bytes; whether it is good is the contract's question."""
    if not isinstance(value, str) or not _HEX.fullmatch(value.lower()) or len(value) > 2 + 2 * MAX_SIGNATURE_BYTES:
        raise InvalidField(path, "must be 0x-hex")
    return value.lower()


def receipt_to_wire(receipt: Receipt) -> dict[str, Any]:
    return {
        "lease": receipt.lease, "offer": str(receipt.offer), "openedAt": str(receipt.opened_at),
        "usedSeconds": str(receipt.used_seconds), "result": receipt.result, "last": receipt.last,
    }  # fmt: skip


def receipt_from_wire(value: Any, path: str = "receipt") -> Receipt:
    """Read a receipt; raise InvalidField that names the field."""
    if not isinstance(value, dict) or set(value) != {"lease", "offer", "openedAt", "usedSeconds", "result", "last"}:
        raise InvalidField(path, "must have exactly lease, offer, openedAt, usedSeconds, result, last")
    if not isinstance(value["last"], bool):
        raise InvalidField(f"{path}.last", "must be true or false")
    numbers = {name: integer_from_wire(value[name], f"{path}.{name}") for name in ("offer", "openedAt", "usedSeconds")}
    for name, bits in (("offer", 40), ("openedAt", 40), ("usedSeconds", 32)):
        if numbers[name] >> bits:
            raise InvalidField(f"{path}.{name}", f"must be below 2^{bits}")
    return Receipt(
        lease=bytes32(value["lease"], field=f"{path}.lease"), offer=OfferId(numbers["offer"]),
        opened_at=UnixTime(numbers["openedAt"]), used_seconds=Seconds(numbers["usedSeconds"]),
        result=bytes32(value["result"], field=f"{path}.result"), last=value["last"],
    )  # fmt: skip


def block_to_wire(block: BlockRef) -> dict[str, Any]:
    return {
        "number": block.number,
        "hash": block.hash,
        "timestamp": block.timestamp,
        "time": iso_from_time(block.timestamp),
    }


def block_from_wire(value: dict[str, Any]) -> BlockRef:
    return BlockRef(value["number"], Bytes32(value["hash"]), UnixTime(value["timestamp"]))


def offer_to_wire(offer: Offer) -> dict[str, Any]:
    return {
        "id": offer.id, "provider": offer.provider, "class": offer.gpu_class, "gpus": offer.gpus, "free": offer.free,
        "bondBps": offer.bond_bps, "expiresAt": offer.expires_at, "arbiter": offer.arbiter, "price": str(offer.price),
        "minSeconds": offer.min_seconds, "spec": offer.spec,
    }  # fmt: skip


def offer_from_wire(value: dict[str, Any]) -> Offer:
    """Read what ``offer_to_wire`` wrote; not for strangers' input."""
    return Offer(
        id=OfferId(value["id"]), provider=Address(value["provider"]), gpu_class=ClassNumber(value["class"]),
        gpus=GpuCount(value["gpus"]), free=GpuCount(value["free"]), bond_bps=Bps(value["bondBps"]),
        expires_at=UnixTime(value["expiresAt"]), arbiter=Address(value["arbiter"]), price=PricePerGpuHour(int(value["price"])),
        min_seconds=Seconds(value["minSeconds"]), spec=Bytes32(value["spec"]),
    )  # fmt: skip


def lease_to_wire(record: LeaseRecord) -> dict[str, Any]:
    lease = record.lease
    return {
        "id": record.id, "status": lease.status.name.capitalize(), "offer": lease.offer, "provider": record.provider,
        "payee": record.payee, "price": str(lease.price), "openedAt": lease.opened_at, "paidSeconds": lease.paid_seconds,
        "claimedSeconds": lease.claimed_seconds, "changedAt": lease.changed_at, "tipPaid": lease.tip_paid,
        "noReopen": lease.no_reopen, "assigned": lease.assigned, "byAcceptor": lease.by_acceptor, "charged": lease.charged, "exit": record.exit,
        "paid": str(record.paid), "refund": str(record.refund), "compensation": str(record.compensation),
        "openedInBlock": record.opened_in_block, "result": record.result,
        "order": order_to_wire(record.order) if record.order else None,
    }  # fmt: skip


def lease_from_wire(value: dict[str, Any]) -> LeaseRecord:
    """Read what ``lease_to_wire`` wrote; not for strangers' input."""
    lease = Lease(
        status=LeaseStatus[value["status"].upper()], tip_paid=value["tipPaid"], no_reopen=value["noReopen"],
        assigned=value["assigned"], by_acceptor=value["byAcceptor"], charged=value["charged"],
        offer=OfferId(value["offer"]), price=PricePerGpuHour(int(value["price"])), opened_at=UnixTime(value["openedAt"]),
        paid_seconds=Seconds(value["paidSeconds"]), claimed_seconds=Seconds(value["claimedSeconds"]),
        changed_at=UnixTime(value["changedAt"]),
    )  # fmt: skip
    return LeaseRecord(
        id=Bytes32(value["id"]), order=order_from_wire(value["order"]) if value["order"] else None, lease=lease,
        payee=Address(value["payee"]), provider=Address(value["provider"]), opened_in_block=value["openedInBlock"],
        paid=TokenUnits(int(value["paid"])), refund=TokenUnits(int(value["refund"])),
        compensation=TokenUnits(int(value["compensation"])), exit=value["exit"],
        result=Bytes32(value["result"]) if value["result"] else None,
    )  # fmt: skip


def reputation_to_wire(reputation: Reputation) -> dict[str, Any]:
    """Weights as decimal strings, in billionths of a bond floor."""
    return {
        "asOf": reputation.as_of, "heard": str(reputation.heard), "failed": str(reputation.failed),
        "outcomes": {
            outcome.value: {"count": tally.count, "weight": str(tally.weight)}
            for outcome, tally in sorted(reputation.tallies.items())
        },
    }  # fmt: skip


def reputation_from_wire(value: dict[str, Any]) -> Reputation:
    """Read what ``reputation_to_wire`` wrote; not for strangers' input."""
    tallies = {Outcome(name): Tally(tally["count"], int(tally["weight"])) for name, tally in value["outcomes"].items()}
    return Reputation(UnixTime(value["asOf"]), tallies, int(value["heard"]))


_MONEY = frozenset({"TokenUnits", "PricePerGpuHour"})


def event_to_wire(event: Event) -> dict[str, Any]:
    """What the market said, with where: the ABI's names, money as decimal strings."""
    ref = event.ref
    told = {wire: tell(getattr(event, name)) for wire, name, tell in _event_fields(cast("Any", type(event)))}
    if isinstance(event, OfferListed):
        told = {"offer": event.offer.id, "provider": event.offer.provider, "value": told["offer"]}
    return {
        "name": type(event).__name__, "fields": told, "block": _block_told(ref.block), "tx": ref.tx_hash,
        "logIndex": ref.log_index,
    }  # fmt: skip


def about_to_wire(about: About) -> dict[str, Any]:
    """Whom an event concerns: what is told of the market is filtered by it."""
    return {"order": about.order, "accounts": list(about.accounts), "class": about.gpu_class}


@lru_cache(maxsize=64)
def _event_fields(kind: Any) -> tuple[tuple[str, str, Callable[[Any], Any]], ...]:
    """Each field but the first: its name on the wire, its name, and how it is told."""
    names = _ABI_NAMES.get(kind.__name__, {})
    return tuple(
        (names.get(item.name, camel(item.name)), item.name, _TOLD.get(str(item.type), _as_it_is))
        for item in fields(kind)[1:]
    )


_ABI_NAMES: Mapping[str, Mapping[str, str]] = {"Deposited": {"sender": "from"}, "LeaseAssigned": {"sender": "from"}}
"""Names that the contract gives and Python keeps for itself."""


_block_told = lru_cache(maxsize=64)(block_to_wire)
"""A block has many events, and they follow each other. Nobody changes what this returns."""


def _as_it_is(value: Any) -> Any:
    return value


_TOLD: Mapping[str, Callable[[Any], Any]] = {
    "Order": order_to_wire, "Offer": offer_to_wire, "Refusal": attrgetter("name"), **dict.fromkeys(_MONEY, str),
}  # fmt: skip
"""By the type of the field."""


def explanation_to_wire(explanation: Explanation) -> dict[str, Any]:
    return {
        "order": explanation.order, "block": block_to_wire(explanation.block), "placedOn": explanation.placed_on,
        "reasons": {reason.value: count for reason, count in explanation.reasons.items()},
        "nearestMiss": explanation.nearest_miss,
        "offers": {reason.value: list(offers) for reason, offers in explanation.offers.items()},
    }  # fmt: skip


def explanation_from_wire(value: dict[str, Any]) -> Explanation:
    """Read what ``explanation_to_wire`` wrote; not for strangers' input."""
    return Explanation(
        order=Bytes32(value["order"]), block=block_from_wire(value["block"]), placed_on=value["placedOn"],
        reasons={RejectionReason(reason): count for reason, count in value["reasons"].items()},
        nearest_miss=value["nearestMiss"],
        offers={RejectionReason(reason): tuple(offers) for reason, offers in value.get("offers", {}).items()},
    )  # fmt: skip
