"""How a snapshot is written down: canonical JSON (RFC 8785) with everything that can change the plan, and nothing else.

``reading`` reads it back. Rows of orders and offers are most of it, and most of them stay the same from round to round: what was written
once is kept by the writer. That makes a document faster and never different: a test compares with ``canonical_json`` of the plain ``content``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from marketplace.domain.book import BookOrder, BookView, RefusedFill, delegation_of
from marketplace.domain.canonical import parse_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address, Bytes32, Sha256, sha256_in
from marketplace.domain.ledger import Delegation, LeaseRecord
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.policy import Policy
from marketplace.domain.spec import Constraints, Group, Resources
from marketplace.domain.units import TokenUnits
from marketplace.domain.wire import (
    ORDER_FIELDS,
    block_to_wire,
    camel,
    lease_to_wire,
    offer_to_wire,
    order_to_wire,
    reputation_to_wire,
)
from scheduler.engine.kept import Form, KeptRows

if TYPE_CHECKING:
    from scheduler.engine.snapshot import Snapshot

SNAPSHOT_VERSION = 6
_DEMANDS_KEPT = 100_000


class SnapshotWriter:
    """Writes snapshots, one after the other: what stayed from one to the next is copied. Who begins with another writer loses only time."""

    def __init__(self) -> None:
        write = partial(_order_row, lru_cache(_DEMANDS_KEPT)(_demand_text))
        self._orders = KeptRows(Form[BookOrder](attrgetter("signed.id"), "S66", write, _NAMED_IN_ORDERS))
        self._offers = KeptRows(Form[Offer](attrgetter("id"), "i8", _offer_row, _NAMED_IN_OFFERS))

    def written(self, snapshot: Snapshot) -> bytes:
        """The canonical JSON of ``content(snapshot)``."""
        self._orders = orders = self._orders.of(snapshot.view.orders)
        self._offers = offers = self._offers.of(snapshot.view.offers)
        named = _named_in_rows(orders, offers)
        parts: dict[str, bytes] = {name: _json(value) for name, value in _small_parts(snapshot, named).items()}
        parts["accounts"] = _amounts(_accounts(snapshot, named))
        tables, pieces = {"offers": offers.text, "orders": orders.text}, list[bytes | memoryview]()
        for name in sorted([*parts, *tables]):
            pieces += [b'%s"%s":' % (b"," if pieces else b"{", name.encode())]
            pieces += [parts[name]] if name in parts else [b"[", tables[name], b"]"]
        return b"".join((*pieces, b"}"))


def content(snapshot: Snapshot) -> dict[str, Any]:
    """The document as plain values: what ``SnapshotWriter`` writes, said plainly."""
    named = _named_in(snapshot)
    return _small_parts(snapshot, named) | {
        "accounts": {who: str(units) for who, units in _accounts(snapshot, named)},
        "orders": [order_content(order) for order in sorted(snapshot.view.orders, key=attrgetter("id"))],
        "offers": [offer_to_wire(offer) for offer in sorted(snapshot.view.offers, key=attrgetter("id"))],
    }


@dataclass(frozen=True, slots=True)
class _Named:
    """Whom and what orders and offers name. Rows about others are left out of the document: they change nothing."""

    on_book: Callable[[Iterable[Bytes32]], set[Bytes32]]
    """Those of these orders that are on the book."""
    clients: set[Address]
    delegations: set[Delegation]
    providers: set[Address]
    machines: set[Sha256]


def _named_in(snapshot: Snapshot) -> _Named:
    orders, offers = snapshot.view.orders, snapshot.view.offers
    return _Named(
        {order.id for order in orders}.intersection,
        {order.signed.order.client for order in orders},
        {pair for order in orders if (pair := delegation_of(order))},
        {offer.provider for offer in offers},
        {sha256_in(offer.spec) for offer in offers},
    )


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


def _small_parts(snapshot: Snapshot, named: _Named) -> dict[str, Any]:
    """All but the long tables."""
    view, classes = snapshot.view, sorted(snapshot.classes, key=attrgetter("number"))
    excused = {one: dict(who) for one in named.on_book(snapshot.excused) if (who := snapshot.excused[one])}
    leased = named.on_book(view.leases) | {fill.signed.id for fill in snapshot.posted if fill.signed.id in view.leases}
    return {
        "version": SNAPSHOT_VERSION,
        "opener": snapshot.opener,
        "block": block_to_wire(view.block),
        "head": block_to_wire(snapshot.now),
        "terms": terms_content(snapshot.terms),
        "policy": {camel(item.name): getattr(snapshot.policy, item.name) for item in fields(Policy)},
        "classes": [{"class": row.number, "name": row.name, "vramMib": row.vram_mib} for row in classes],
        "leases": {one: lease_content(view.leases[one]) for one in leased},
        "machines": {name: parse_json(row.canonical()) for name, row in view.machines.items() if name in named.machines},
        "heartbeats": {who: at for who, at in view.heartbeats.items() if who in named.providers},
        "budgets": _budgets(view, named),
        "reputations": {who: reputation_to_wire(row) for who, row in view.reputations.items() if who in named.providers},
        "faults": {
            who: {"count": row.count, "block": row.block_number}
            for who, row in view.faults.items() if who in named.clients
        },
        "refused": {one: _refusals(view.refused[one]) for one in named.on_book(view.refused) if view.refused[one]},
        "posted": sorted(map(_posted, snapshot.posted), key=lambda row: (row["id"], row["offer"], row["price"])),
        "declined": {one: dict(who) for one in named.on_book(snapshot.declined) if (who := snapshot.declined[one])},
    } | ({"excused": excused} if excused else {})  # fmt: skip


def terms_content(terms: MarketTerms) -> dict[str, Any]:
    """The market's immutables, by the names of their fields."""
    plain = {camel(item.name): getattr(terms, item.name) for item in fields(MarketTerms)}
    return plain | {"bondFloor": str(terms.bond_floor)}


def _accounts(snapshot: Snapshot, named: _Named) -> Iterator[tuple[Address, TokenUnits]]:
    """The free balances of clients and providers, by address."""
    free_of = snapshot.view.accounts.get
    for who in sorted(named.clients | named.providers):
        units = free_of(who)
        if units is not None:
            yield who, units


def _budgets(view: BookView, named: _Named) -> list[dict[str, Any]]:
    """What is left to those who signed orders of this book for their clients."""
    rows = [(pair, view.budgets[pair]) for pair in sorted(named.delegations) if pair in view.budgets]
    return [
        {"account": account, "delegate": delegate, "left": str(budget.left), "until": budget.until}
        for (account, delegate), budget in rows
    ]


def _refusals(rows: Iterable[RefusedFill]) -> list[dict[str, Any]]:
    different = {(row.offer, row.reason.name, row.block_number) for row in rows}
    return [{"offer": offer, "reason": reason, "block": block} for offer, reason, block in sorted(different)]


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


_ORDER_WIRE = sorted(ORDER_FIELDS)
_ORDER_VALUES = attrgetter(*(ORDER_FIELDS[wire] for wire in _ORDER_WIRE))
_ORDER_FORM = "{" + ",".join(f'"{wire}":"%s"' for wire in _ORDER_WIRE) + "}"
"""Addresses, words and integers need no escapes."""


def _order_row(demand_text: Callable[..., str], row: BookOrder) -> bytes:
    delegate = f'"delegate":"{row.delegate}",' if row.delegate else ""
    order = _ORDER_FORM % _ORDER_VALUES(row.signed.order)
    demand = demand_text(row.spec.resources, row.spec.constraints, row.spec.group)
    return (
        f'{{"acceptedAt":{row.accepted_at},{delegate}"id":"{row.signed.id}","order":{order},"spec":{demand}}}'
    ).encode()


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


def _amounts(rows: Iterable[tuple[Address, TokenUnits]]) -> bytes:
    return b"{" + ",".join([f'"{who}":"{units}"' for who, units in rows]).encode() + b"}"


_NAMED_IN_ORDERS: Mapping[str, Callable[[BookOrder], Any]] = {
    "client": attrgetter("signed.order.client"), "delegation": delegation_of,
}  # fmt: skip
_NAMED_IN_OFFERS: Mapping[str, Callable[[Offer], Any]] = {name: attrgetter(name) for name in ("provider", "spec")}


def _named_in_rows(orders: KeptRows[BookOrder], offers: KeptRows[Offer]) -> _Named:
    """``_named_in`` of the snapshot whose rows these are."""
    return _Named(
        orders.known,
        set(orders.names("client")),
        {pair for pair in orders.names("delegation") if pair},
        set(offers.names("provider")),
        {sha256_in(spec) for spec in offers.names("spec")},
    )
