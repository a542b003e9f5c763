"""How a snapshot is written down: canonical JSON (RFC 8785) with everything that can change the plan, and nothing else.

``reading`` reads it back. Rows of orders and offers are most of it, and most of them stay the same from round to round: what was written
once is kept. That makes a document faster and never different: a test compares with ``canonical_json`` of the plain ``content``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from marketplace.domain.book import BookOrder, delegation_of
from marketplace.domain.canonical import parse_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32, sha256_in
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.models import Fill, MarketTerms, Offer
from marketplace.domain.spec import Constraints, Group, Resources
from marketplace.domain.wire import (
    ORDER_FIELDS,
    block_to_wire,
    camel,
    lease_to_wire,
    offer_to_wire,
    order_to_wire,
    reputation_to_wire,
)
from scheduler.engine.policy import Policy

if TYPE_CHECKING:
    from scheduler.engine.snapshot import Snapshot

SNAPSHOT_VERSION = 2
_DEMANDS_KEPT = 100_000


def snapshot_bytes(snapshot: Snapshot) -> bytes:
    """The canonical JSON of ``content(snapshot)``."""
    view = snapshot.view
    parts = {name: _json(value) for name, value in _small_parts(snapshot).items()}
    parts["accounts"] = _texts(_accounts(snapshot))
    parts["orders"] = b"[" + b",".join(_ORDER_ROWS.written(view.orders)) + b"]"
    parts["offers"] = b"[" + b",".join(_OFFER_ROWS.written(view.offers)) + b"]"
    return b"{" + b",".join(b'"%s":%s' % (name.encode(), parts[name]) for name in sorted(parts)) + b"}"


def content(snapshot: Snapshot) -> dict[str, Any]:
    """The document as plain values: what ``snapshot_bytes`` writes, said plainly."""
    return _small_parts(snapshot) | {
        "accounts": _accounts(snapshot),
        "orders": [order_content(order) for order in sorted(snapshot.view.orders, key=attrgetter("id"))],
        "offers": [offer_to_wire(offer) for offer in sorted(snapshot.view.offers, key=attrgetter("id"))],
    }


def order_content(order: BookOrder) -> dict[str, Any]:
    """Without its signature: a snapshot may be shown to anyone, and whoever has the signature may open the order (P-22)."""
    demand = _demand(order.spec.resources, order.spec.constraints, order.spec.group)
    delegate = {"delegate": order.delegate} if order.delegate else {}
    return delegate | {
        "id": order.id, "order": order_to_wire(order.signed.order), "acceptedAt": order.accepted_at, "spec": demand,
    }  # fmt: skip


def lease_content(record: LeaseRecord) -> dict[str, Any]:
    """Without its order: that is the one of the same id on the book."""
    return {name: value for name, value in lease_to_wire(record).items() if name not in ("id", "order")}


def _small_parts(snapshot: Snapshot) -> dict[str, Any]:
    """All but the long tables. Rows about strangers to this book are left out: they change nothing."""
    view = snapshot.view
    ids = {order.id for order in view.orders}
    known = ids | {fill.signed.id for fill in snapshot.posted}
    clients = {order.signed.order.client for order in view.orders}
    providers, machines = {offer.provider for offer in view.offers}, {sha256_in(offer.spec) for offer in view.offers}
    return {
        "version": SNAPSHOT_VERSION,
        "opener": snapshot.opener,
        "block": block_to_wire(view.block),
        "head": block_to_wire(snapshot.now),
        "terms": terms_content(snapshot.terms),
        "policy": {camel(item.name): getattr(snapshot.policy, item.name) for item in fields(Policy)},
        "classes": [{"class": row.number, "name": row.name, "vramMib": row.vram_mib} for row in sorted(snapshot.classes, key=attrgetter("number"))],
        "leases": {one: lease_content(record) for one, record in view.leases.items() if one in known},
        "machines": {name: parse_json(row.canonical()) for name, row in view.machines.items() if name in machines},
        "heartbeats": {who: at for who, at in view.heartbeats.items() if who in providers},
        "budgets": _budgets(snapshot),
        "reputations": {who: reputation_to_wire(row) for who, row in view.reputations.items() if who in providers},
        "faults": {
            who: {"count": row.count, "block": row.block_number} for who, row in view.faults.items() if who in clients
        },
        "refused": {one: _refusals(snapshot, one) for one, rows in view.refused.items() if one in ids and rows},
        "posted": sorted(map(_posted, snapshot.posted), key=lambda row: (row["id"], row["offer"], row["price"])),
        "declined": {one: dict(who) for one, who in snapshot.declined.items() if one in ids and who},
    }  # fmt: skip


def terms_content(terms: MarketTerms) -> dict[str, Any]:
    """The market's immutables, by the names of their fields."""
    plain = {camel(item.name): getattr(terms, item.name) for item in fields(MarketTerms)}
    return plain | {"bondFloor": str(terms.bond_floor)}


def _accounts(snapshot: Snapshot) -> dict[str, str]:
    """The free balances of clients and providers."""
    view = snapshot.view
    parties = {order.signed.order.client for order in view.orders} | {offer.provider for offer in view.offers}
    return {who: str(view.accounts[who]) for who in sorted(parties) if who in view.accounts}


def _budgets(snapshot: Snapshot) -> list[dict[str, Any]]:
    """What is left to those who signed orders of this book for their clients."""
    view = snapshot.view
    wanted = sorted({pair for order in view.orders if (pair := delegation_of(order)) and pair in view.budgets})
    return [
        {"account": account, "delegate": delegate, "left": str(budget.left), "until": budget.until}
        for account, delegate in wanted
        for budget in [view.budgets[account, delegate]]
    ]


def _refusals(snapshot: Snapshot, order: Bytes32) -> list[dict[str, Any]]:
    rows = {(row.offer, row.reason.name, row.block_number) for row in snapshot.view.refused[order]}
    return [{"offer": offer, "reason": reason, "block": block} for offer, reason, block in sorted(rows)]


def _posted(fill: Fill) -> dict[str, Any]:
    """Such an order may have left the book: its row stands here in full."""
    return {
        "id": fill.signed.id, "offer": fill.offer, "order": order_to_wire(fill.signed.order), "price": str(fill.price),
    }  # fmt: skip


def _demand(resources: Resources, constraints: Constraints, group: Group | None) -> dict[str, Any]:
    """What clearing looks at of a job spec, in the spec's own form; defaults are left out."""
    asked: dict[str, Any] = {"resources": _set_fields(resources), "constraints": _set_fields(constraints)}
    if group is not None:
        asked["group"] = {"id": group.id, "rank": group.rank, "size": group.size}
    return {name: value for name, value in asked.items() if value}


def _set_fields(row: Resources | Constraints) -> dict[str, Any]:
    rows = {item.name: (getattr(row, item.name), item.default) for item in fields(row)}
    return {name: value for name, (value, default) in rows.items() if value != default}


# Quick writing --------------------------------------------------------------------------------------------------------


Row = TypeVar("Row")


class _Kept(Generic[Row]):
    """Rows as they were written, by the identity of the values; these are kept alive, so that an identity means the same."""

    def __init__(self, key: str, write: Callable[[Row], bytes]) -> None:
        self._key, self._write = attrgetter(key), write
        self._values: list[Row] = []
        self._texts: dict[int, bytes] = {}

    def written(self, values: Iterable[Row]) -> list[bytes]:
        """The rows of these values, sorted by their key; only those are written that were not there the last time."""
        wanted, known = {id(value): value for value in values}, self._texts
        stayed = [value for value in self._values if id(value) in wanted]
        # What stayed is sorted already: little is left to do.
        self._values = sorted(stayed + [one for at, one in wanted.items() if at not in known], key=self._key)
        texts = [known.get(id(value)) or self._write(value) for value in self._values]
        self._texts = dict(zip(map(id, self._values), texts, strict=True))
        return texts


_ORDER_WIRE = sorted(ORDER_FIELDS)
_ORDER_VALUES = attrgetter(*(ORDER_FIELDS[wire] for wire in _ORDER_WIRE))
_ORDER_FORM = "{" + ",".join(f'"{wire}":"%s"' for wire in _ORDER_WIRE) + "}"
"""Addresses, words and integers need no escapes."""


def _order_row(row: BookOrder) -> bytes:
    delegate = f'"delegate":"{row.delegate}",' if row.delegate else ""
    order = _ORDER_FORM % _ORDER_VALUES(row.signed.order)
    demand = _demand_text(row.spec.resources, row.spec.constraints, row.spec.group)
    return (
        f'{{"acceptedAt":{row.accepted_at},{delegate}"id":"{row.signed.id}","order":{order},"spec":{demand}}}'
    ).encode()


@lru_cache(_DEMANDS_KEPT)
def _demand_text(resources: Resources, constraints: Constraints, group: Group | None) -> str:
    return _json(_demand(resources, constraints, group)).decode()


def _offer_row(offer: Offer) -> bytes:
    return _json(offer_to_wire(offer))


def _json(value: Any) -> bytes:
    """Canonical for what stands in a snapshot: no key needs more than ASCII, no integer more than 53 bits."""
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise InvalidField("snapshot", "must not hold lone surrogates") from None


def _texts(rows: Mapping[str, str]) -> bytes:
    """An object of texts that need no escapes, by sorted keys."""
    return b"{" + ",".join([f'"{name}":"{text}"' for name, text in rows.items()]).encode() + b"}"


# One of each for all snapshots of this process: a scheduler writes one after the other, and it holds no more than the last one had.
_ORDER_ROWS = _Kept[BookOrder]("signed.id", _order_row)
_OFFER_ROWS = _Kept[Offer]("id", _offer_row)
