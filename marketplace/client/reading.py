"""Reads the gateway's answers, through the records of ``marketplace.api``, into ``answers``.

Every function takes the body as it came, and what was asked where the answer names it. What breaks a rule is an UnreadableAnswer.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec import Raw

from marketplace.api import records
from marketplace.api.reading import MOST_LIST_BYTES, as_answer, read, same
from marketplace.client.answers import (
    AccountAnswer,
    Beat,
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
from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.declines import Decline, ObstacleReason, SignedDecline, one_line
from marketplace.domain.errors import GatewayProblem, InvalidField, UnreadableAnswer
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.models import BlockRef, GpuClass
from marketplace.domain.results import Result, read_result
from marketplace.domain.spec import Machine, read_machine
from marketplace.domain.units import TokenUnits, UnixTime


def market(body: bytes) -> MarketDescription:
    told = read(records.MarketAnswer, body)
    return MarketDescription(told.terms(), told.catalogue, told.opener, told.arbiter, told.block.ref())


def classes(body: bytes) -> tuple[GpuClass, ...]:
    return tuple(item.row() for item in read(records.ClassPage, body, most_bytes=MOST_LIST_BYTES).items)


def offers(body: bytes) -> tuple[tuple[OfferAnswer, ...], str | None]:
    """A page of offers, and from where the list goes on."""
    page = read(records.OfferPage, body, most_bytes=MOST_LIST_BYTES)
    return tuple(map(_offer, page.items)), page.next


def _offer(told: records.ListedOffer) -> OfferAnswer:
    return OfferAnswer(told.offer(), told.class_name, _machine(told.machine), told.last_heartbeat, told.reliability_bps)


def _machine(document: Raw) -> Machine | None:
    if bytes(document) == b"null":
        return None
    try:
        return read_machine(bytes(document))
    except InvalidField as exc:
        raise as_answer(exc) from None


def bids(body: bytes, gpu_class: int) -> tuple[Bytes32, ...]:
    book = read(records.Book, body, most_bytes=MOST_LIST_BYTES)
    same("class", book.gpu_class, gpu_class)
    return tuple(bid.id for bid in book.bids)


def quotes(body: bytes) -> tuple[Quote, ...]:
    return tuple(map(_quote, read(records.Quotes, body, most_bytes=MOST_LIST_BYTES).quotes))


def _quote(told: records.Quote) -> Quote:
    return Quote(
        told.offer.offer(),
        told.class_name,
        _units_or_none(told.locked),
        _units_or_none(told.bond),
        told.reason,
        told.detail,
    )


def _units_or_none(value: int | None) -> TokenUnits | None:
    return None if value is None else TokenUnits(int(value))


def order_id(body: bytes, asked: Bytes32) -> Bytes32:
    """What a posted order is called, which is what we called it."""
    same("id", read(records.OrderName, body).id, asked)
    return asked


def order(body: bytes, asked: Bytes32) -> OrderAnswer:
    told = read(records.OrderAnswer, body)
    same("id", told.id, asked)
    return OrderAnswer(told.id, told.order.order(), told.state, told.withdrawn_at is not None, told.accepted_at)


def explanation(body: bytes, asked: Bytes32) -> ExplanationAnswer:
    told = read(records.Explanation, body)
    same("order", told.order, asked)
    document = {
        "order": told.order, "placedOn": told.placed_on, "reasons": told.reasons, "nearestMiss": told.nearest_miss,
        "block": {"number": told.block.number, "hash": told.block.hash, "timestamp": told.block.timestamp},
    }  # fmt: skip
    return ExplanationAnswer(asked, told.placed_on, told.reasons, told.nearest_miss, document)


def lease(body: bytes, asked: Bytes32) -> LeaseAnswer:
    told = read(records.LeaseAnswer, body)
    same("id", told.id, asked)
    return LeaseAnswer(told.record(), told.block.ref(), told.last_heartbeat, told.deadline)


def receipts(body: bytes, asked: Bytes32) -> tuple[SignedReceipt, ...]:
    found = read(records.Receipts, body, most_bytes=MOST_LIST_BYTES).receipts
    for item in found:
        same("receipt.lease", item.receipt.lease, asked)
    return tuple(SignedReceipt(item.role, item.receipt.receipt(), item.signature) for item in found)


def job_key(body: bytes, asked: Bytes32) -> str:
    """Sealed: whose it is, and whether it is this job's, shows when it is opened."""
    found = read(records.JobKey, body)
    same("lease", found.lease, asked)
    return found.key


def declines(body: bytes, asked: Bytes32) -> tuple[SignedDecline, ...]:
    """Those whose reason is one that we know: a newer provider may have others."""
    found = read(records.Declines, body).declines
    for item in found:
        same("lease", item.lease, asked)
    return tuple(
        SignedDecline(
            Decline(item.lease, item.opened_at, ObstacleReason(item.reason), one_line(item.detail)), item.signature
        )
        for item in found
        if item.reason in set(map(str, ObstacleReason))
    )


def outputs(body: bytes, asked: Bytes32) -> Outputs:
    told = read(records.Outputs, body, most_bytes=MOST_LIST_BYTES)
    same("lease", told.lease, asked)
    try:
        content = canonical_json(parse_json(bytes(told.result), field="result"))
        return Outputs(content, read_result(content))
    except InvalidField as exc:
        raise as_answer(exc) from None


def log_length(body: bytes) -> int:
    return read(records.LogLength, body).length


def beat(body: bytes) -> UnixTime:
    return read(records.HeartbeatAnswer, body).at


def rounds(body: bytes) -> tuple[tuple[RoundEntry, ...], str | None]:
    """A page of rounds, and from where the list goes on."""
    page = read(records.RoundPage, body, most_bytes=MOST_LIST_BYTES)
    return tuple(RoundEntry(item.round, item.block, item.bytes) for item in page.items), page.next


def log_chunk(event: bytes, offset: int) -> LogChunk:
    """A piece of a log that goes on at ``offset``."""
    told = read(records.LogPiece, event)
    same("offset", told.offset, offset)
    if not offset < told.next <= offset + len(event):
        raise UnreadableAnswer("next", "must be behind offset, by no more than the event is long")
    return LogChunk(told.offset, told.text, told.next)


def log_end(event: bytes) -> int:
    return read(records.LogEnd, event).length


def problem(event: bytes) -> GatewayProblem:
    """A problem that ended a stream."""
    told = read(records.Problem, event)
    return GatewayProblem(told.status, told.reason or f"Http{told.status}", told.detail, told.field)


def account(body: bytes, who: Address) -> AccountAnswer:
    told = read(records.AccountAnswer, body)
    same("address", told.address, who)
    block: BlockRef | None = told.block.ref() if told.block else None
    return AccountAnswer(who, TokenUnits(int(told.free)), block)


def beats(body: bytes) -> tuple[Beat, ...]:
    found = read(records.Heartbeats, body).heartbeats
    return tuple(Beat(one.provider, OfferId(one.offer), one.at, one.signature) for one in found)


def provider(body: bytes, asked: Address) -> ProviderAnswer:
    told = read(records.ProviderAnswer, body, most_bytes=MOST_LIST_BYTES)
    same("address", told.address, asked)
    return ProviderAnswer(
        address=asked, offers=tuple(map(_offer, told.offers)), live_leases=told.live_leases, last_heartbeat=told.last_heartbeat,
        reputation=told.reputation.reputation(), block=told.block.ref(),
    )  # fmt: skip


def result_document(result: Result) -> Any:
    """The result as the JSON object whose canonical form its hash names."""
    return json.loads(result.canonical())
