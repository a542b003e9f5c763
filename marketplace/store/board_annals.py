"""How the past stands on the board: one sorted set of lines, each led by whom it is found by and by its place in the chain.

``kind:whose:place:text`` in the order of bytes, so that a page is one range of it; and spans of time as rows of a hash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any

from marketplace.domain.annals import Annals, BudgetCharge, Movement, OpenedLease, ScoreChange, Totals
from marketplace.domain.events import LogRef
from marketplace.domain.history import Span, SpanName
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.reputation import Outcome
from marketplace.domain.units import Bps, TokenUnits
from marketplace.domain.wire import block_from_wire, block_to_wire, event_to_wire
from marketplace.store.board_rows import text_of

MOVEMENTS, SCORES, CHARGES, DELEGATES, EVENTS = "movement", "score", "charge", "delegate", "event"
OFFERS, PROVIDERS, CLIENTS, PAYEES = "offer", "provider", "client", "payee"
"""Kinds of lines; the last four are of leases."""
FIRST_PLACE, LAST_PLACE = "", "\x7f"


def lines_of(annals: Annals) -> Iterator[str]:
    """What these annals add to the sorted set."""
    for movement in annals.movements:
        yield _line(MOVEMENTS, movement.account, place_of(movement.ref), _movement_text(movement))
    for score in annals.scores:
        yield _line(SCORES, score.provider, place_of(score.ref), _score_text(score))
    for charge in annals.charges:
        yield _line(CHARGES, f"{charge.account}.{charge.delegate}", place_of(charge.ref), _charge_text(charge))
    for account, delegate in annals.delegations:
        yield _line(DELEGATES, account, delegate, "")
    for order, event in annals.told:
        wire = event_to_wire(event)
        wire["fields"] = {name: value for name, value in wire["fields"].items() if name != "order" or value == order}
        yield _line(EVENTS, order, place_of(event.ref), text_of(wire))
    for opening in annals.openings:
        yield from _opening_lines(opening)


def _opening_lines(opening: OpenedLease) -> Iterator[str]:
    named = (
        (OFFERS, str(opening.offer)),
        (PROVIDERS, opening.provider),
        (CLIENTS, opening.client),
        (PAYEES, opening.payee),
    )
    for kind, whose in named:
        yield _line(kind, whose, f"{opening.opened_in_block:012d}-{opening.lease}", "")


def place_of(ref: LogRef) -> str:
    """Where in the chain, such that later places come behind in the order of bytes."""
    return f"{ref.block.number:012d}-{ref.log_index:06d}"


def whose(kind: str, who: str) -> str:
    """What all lines of this kind of somebody begin with."""
    return f"{kind}:{who}:"


def _line(kind: str, who: str, place: str, text: str) -> str:
    return f"{whose(kind, who)}{place}:{text}"


def place_and_text(line: bytes) -> tuple[str, str]:
    _, _, place, text = line.decode().split(":", 3)
    return place, text


def _movement_text(movement: Movement) -> str:
    return text_of([str(movement.amount), str(movement.balance), movement.event, movement.lease, *_ref(movement.ref)])


def movement_in(account: Address, text: str) -> Movement:
    amount, balance, event, lease, *ref = json.loads(text)
    return Movement(account, int(amount), TokenUnits(int(balance)), event, lease, _ref_in(ref))


def _score_text(score: ScoreChange) -> str:
    return text_of([score.score_bps, score.outcome.value, score.lease, *_ref(score.ref)])


def score_in(provider: Address, text: str) -> ScoreChange:
    score, outcome, lease, *ref = json.loads(text)
    return ScoreChange(provider, Bps(score), Outcome(outcome), Bytes32(lease), _ref_in(ref))


def _charge_text(charge: BudgetCharge) -> str:
    return text_of([str(charge.amount), charge.order, *_ref(charge.ref)])


def charge_in(account: Address, delegate: Address, text: str) -> BudgetCharge:
    amount, order, *ref = json.loads(text)
    return BudgetCharge(account, delegate, TokenUnits(int(amount)), Bytes32(order), _ref_in(ref))


def _ref(ref: LogRef) -> tuple[Any, ...]:
    return block_to_wire(ref.block), ref.tx_hash, ref.log_index


def _ref_in(words: list[Any]) -> LogRef:
    block, tx, index = words
    return LogRef(block_from_wire(block), Bytes32(tx), index)


def span_field(name: SpanName) -> str:
    return f"{name.gpu_class}:{name.seconds}:{name.start}"


def span_text(span: Span) -> str:
    """Money as text: Redis' scripts have no wide numbers."""
    first, last, lowest, highest, weighted, *counts = astuple(span)
    return text_of([*map(str, (first, last, lowest, highest, weighted)), *counts])


def span_in(text: bytes) -> Span:
    return Span(*map(int, json.loads(text)))


def totals_text(totals: Totals) -> str:
    return text_of([str(totals.free), str(totals.locked)])


def totals_in(text: bytes | None) -> Totals:
    free, locked = json.loads(text) if text else (0, 0)
    return Totals(TokenUnits(int(free)), TokenUnits(int(locked)))
