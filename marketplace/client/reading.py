"""Reads the gateway's JSON into ``answers``. What lacks a thing it must have is a GatewayProblem, never a KeyError."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from marketplace.client.answers import (
    AccountAnswer,
    ExplanationAnswer,
    LeaseAnswer,
    LogChunk,
    MarketDescription,
    OfferAnswer,
    OrderAnswer,
    Outputs,
    ProviderAnswer,
    Quote,
    RoundEntry,
    SignedReceipt,
)
from marketplace.domain.canonical import canonical_json
from marketplace.domain.errors import DomainError, GatewayProblem
from marketplace.domain.ids import Address, Bytes32, ClassNumber, address, bytes32
from marketplace.domain.models import BlockRef, GpuClass, MarketTerms
from marketplace.domain.results import Result, read_result
from marketplace.domain.spec import Machine, read_machine
from marketplace.domain.units import Bps, Seconds, TokenUnits, UnixTime
from marketplace.domain.wire import (
    block_from_wire,
    integer_from_wire,
    lease_from_wire,
    offer_from_wire,
    order_from_wire,
    receipt_from_wire,
    reputation_from_wire,
    signature_from_wire,
)

P = ParamSpec("P")
T = TypeVar("T")


def _strict(read: Callable[P, T]) -> Callable[P, T]:
    """Turn whatever a malformed answer breaks into one typed error."""

    @functools.wraps(read)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(*args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError, DomainError) as exc:
            raise GatewayProblem(200, "BadAnswer", f"the gateway's {read.__name__} cannot be read ({exc!r})") from exc

    return wrapped


def items(answer: Any, name: str) -> list[Any]:
    """The list in an answer: a cursor page, an object with the list under its name, or the bare list."""
    found = answer.get(name, answer.get("items")) if isinstance(answer, dict) else answer
    if not isinstance(found, list):
        raise GatewayProblem(200, "BadAnswer", f"the gateway's answer has no list of {name}")
    return found


def whole(value: Any) -> int:
    """A number, as JSON's own or as a decimal string: never one that only Python would read so. Raises InvalidField."""
    return value if isinstance(value, int) and not isinstance(value, bool) else integer_from_wire(value, "number")


def instant(value: Any) -> UnixTime:
    """Block time, as an integer or as ISO-8601."""
    if isinstance(value, int):
        return UnixTime(value)
    return UnixTime(int(datetime.fromisoformat(str(value)).timestamp()))


def _instant_or_none(value: Any) -> UnixTime | None:
    return None if value is None else instant(value)


@_strict
def market(answer: Any) -> MarketDescription:
    token = answer["token"]
    terms = MarketTerms(
        chain_id=whole(answer["chainId"]), market=address(answer["market"]), token=address(token["address"]),
        token_symbol=str(token["symbol"]), token_decimals=whole(token["decimals"]),
        deployed_at_block=whole(answer["deployedAtBlock"]),
        start_grace=_seconds(answer, "startGrace"), claim_grace=_seconds(answer, "claimGrace"),
        challenge_window=_seconds(answer, "challengeWindow"), ruling_window=_seconds(answer, "rulingWindow"),
        bond_floor=TokenUnits(whole(answer["bondFloor"])),
    )  # fmt: skip
    catalogue, opener, arbiter = (address(answer[name]) for name in ("catalogue", "opener", "arbiter"))
    return MarketDescription(terms, catalogue, opener, arbiter, _block(answer["block"]))


def _seconds(answer: Any, name: str) -> Seconds:
    return Seconds(whole(answer[name]))


def _block(value: Any) -> BlockRef:
    return block_from_wire(value)


@_strict
def gpu_class(value: Any) -> GpuClass:
    vram_mib = value.get("vram_mib", value.get("vramMib"))
    return GpuClass(ClassNumber(whole(value["class"])), str(value["name"]), whole(vram_mib))


@_strict
def offer(value: Any) -> OfferAnswer:
    return OfferAnswer(
        offer_from_wire(value), str(value.get("className") or value["class"]), _machine(value.get("machine")),
        _instant_or_none(value.get("lastHeartbeat")), Bps(whole(value["reliabilityBps"])),
    )  # fmt: skip


@_strict
def bids(answer: Any) -> tuple[Bytes32, ...]:
    return tuple(bytes32(item["id"]) for item in items(answer, "bids"))


def _machine(value: Any) -> Machine | None:
    return None if value is None else read_machine(canonical_json(value))


@_strict
def quotes(answer: Any) -> tuple[Quote, ...]:
    return tuple(_quote(item) for item in items(answer, "quotes"))


def _quote(value: Any) -> Quote:
    told = value.get("offer", value)
    return Quote(
        offer=offer_from_wire(told), class_name=str(value.get("className") or told.get("className") or told["class"]),
        locked=_units_or_none(value.get("locked")), bond=_units_or_none(value.get("bond")),
        reason=str(value.get("reason") or ""), detail=str(value.get("detail") or ""),
    )  # fmt: skip


def _units_or_none(value: Any) -> TokenUnits | None:
    return None if value is None else TokenUnits(whole(value))


@_strict
def order(answer: Any) -> OrderAnswer:
    withdrawn = answer.get("withdrawnAt") is not None
    return OrderAnswer(
        Bytes32(answer["id"]), order_from_wire(answer["order"]), str(answer.get("state", "")), withdrawn,
        instant(answer["acceptedAt"]),
    )  # fmt: skip


@_strict
def explanation(told: Any, order_id: Bytes32) -> ExplanationAnswer:
    reasons = {str(name): whole(count) for name, count in dict(told.get("reasons") or {}).items()}
    placed = told.get("placedOn", told.get("placed_on"))
    miss = str(told.get("nearestMiss", told.get("nearest_miss")) or "")
    return ExplanationAnswer(order_id, placed, reasons, miss, told)


@_strict
def lease(answer: Any) -> LeaseAnswer:
    return LeaseAnswer(
        lease_from_wire(answer), _block(answer["block"]), _instant_or_none(answer.get("lastHeartbeat")),
        _instant_or_none(answer.get("deadline")),
    )  # fmt: skip


@_strict
def receipt(value: Any) -> SignedReceipt:
    signed = signature_from_wire(value["signature"])
    return SignedReceipt(str(value["role"]), receipt_from_wire(value["receipt"]), signed)


@_strict
def outputs(answer: Any) -> Outputs:
    told = answer.get("result", answer.get("resultDocument", answer))
    content = canonical_json(told)
    return Outputs(content, read_result(content))


@_strict
def round_entry(value: Any) -> RoundEntry:
    return RoundEntry(bytes32(value["round"]), whole(value["block"]), whole(value["bytes"]))


@_strict
def log_chunk(event: str) -> LogChunk:
    told = json.loads(event)
    offset, text = whole(told["offset"]), str(told["text"])
    return LogChunk(offset, text, whole(told.get("next", offset + len(text.encode()))))


@_strict
def problem(event: str) -> GatewayProblem:
    """A problem that ended a stream."""
    told = json.loads(event)
    return GatewayProblem(whole(told["status"]), str(told["reason"]), str(told["detail"]), str(told.get("field", "")))


@_strict
def account(answer: Any, who: Address) -> AccountAnswer:
    free = answer.get("free", answer.get("balance"))
    block = answer.get("block")
    return AccountAnswer(who, TokenUnits(whole(free)), None if block is None else _block(block))


@_strict
def provider(answer: Any) -> ProviderAnswer:
    return ProviderAnswer(
        address=address(answer["address"]), offers=tuple(offer(item) for item in items(answer, "offers")),
        live_leases=whole(answer["liveLeases"]), last_heartbeat=_instant_or_none(answer.get("lastHeartbeat")),
        reputation=reputation_from_wire(answer["reputation"]), block=_block(answer["block"]),
    )  # fmt: skip


def result_document(result: Result) -> Any:
    """The result as the JSON object whose canonical form its hash names."""
    return json.loads(result.canonical())
