"""A snapshot as columns of numbers, read by the domain's rules alone: what the bounds, the other ways to clear and the checks count with.

Nothing here knows the engine, so that a mistake of the engine's cannot hide in what it is measured by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from marketplace.domain.book import BookOrder
from marketplace.domain.budgets import NO_BUDGET
from marketplace.domain.fills import Fill, refusal_of_order
from marketplace.domain.fitting import Pair, mismatch
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.ledger import Delegation
from marketplace.domain.offers import Offer
from marketplace.domain.policy import is_silent
from scheduler.engine.documents.snapshot import Snapshot

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Row = TypeVar("Row")
NOBODY = -1
ENOUGH = 2**62
"""Balances are cut here, so that they fit a column."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Orders that may be opened and offers that are alive. Money is in token units, prices are per GPU-hour.

    Orders that ask for the same are of one ``demand``, offers that nobody can tell apart but by price and room are of one ``kind``.
    """

    order_ids: tuple[Bytes32, ...]
    demand: Ints
    gpus: Ints
    limit: Ints
    seconds: Ints
    tip: Ints
    accepted_at: Ints
    client: Ints
    """Rows of ``balance``."""
    pinned: Ints
    """The row of the one offer that an order is for, else −1."""
    offer_ids: tuple[OfferId, ...]
    kind: Ints
    free: Ints
    ask: Ints
    bond_bps: Ints
    provider: Ints
    """Rows of ``balance``."""
    accepts: Flags
    """Whether a demand (row) takes a kind (column)."""
    balance: Ints
    """Of clients and providers; it also pays for a delegate's orders, at most its ``budget``."""
    delegate: Ints
    """Rows of ``budget``; −1 where the client itself has signed, or the order was charged before."""
    budget: Ints
    bond_floor: int

    def worst_costs(self, orders: Ints) -> Ints:
        """What opening these takes from a delegate's budget, at whatever price (P-25)."""
        costs: Ints = self.locks(orders, self.limit[orders]) + self.tip[orders]
        return costs

    def locks(self, orders: Ints, prices: Ints) -> Ints:
        """T of these orders at these prices (P-03)."""
        locks: Ints = -(-prices * self.gpus[orders] * self.seconds[orders] // 3_600)
        return locks

    def bonds(self, offers: Ints, locks: Ints) -> Ints:
        """B of leases with these locks on these offers (P-04)."""
        bonds: Ints = np.maximum(locks * self.bond_bps[offers] // 10_000, self.bond_floor)
        return bonds

    def rows_of(self, fills: Iterable[Fill]) -> tuple[Ints, Ints]:
        """The rows of the orders and of the offers of these fills."""
        orders = {order: n for n, order in enumerate(self.order_ids)}
        offers = {offer: n for n, offer in enumerate(self.offer_ids)}
        pairs = [(orders[fill.signed.id], offers[fill.offer]) for fill in fills]
        rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return rows[:, 0], rows[:, 1]

    def surplus(self, orders: Ints, offers: Ints) -> int:
        """What these pairs are worth together, per hour: GPUs × (limit − ask)."""
        return int((self.gpus[orders] * (self.limit[orders] - self.ask[offers])).sum())


def columns_of(snapshot: Snapshot) -> Columns:
    """Read a snapshot that has no fills under way: with some, what is left would be the engine's to say."""
    if snapshot.posted:
        raise ValueError("a snapshot to measure by has no posted fills")
    offers = [offer for offer in snapshot.view.offers if _is_there(snapshot, offer)]
    rows = {offer.id: n for n, offer in enumerate(offers)} | {OfferId(0): NOBODY}
    orders = [
        order for order in snapshot.view.orders if order.signed.order.offer in rows and _may_open(snapshot, order)
    ]
    demands, demand = _alike(orders, [_demand_of(snapshot, order) for order in orders])
    asked = [one.spec.constraints for one in demands]
    named = {who for wanted in asked for who in (*wanted.providers, *wanted.exclude_providers)}
    scores = _scores(snapshot, offers) if any(wanted.min_reliability_bps for wanted in asked) else {}
    kinds, kind = _alike(offers, [_kind_of(snapshot, offer, named, scores) for offer in offers])
    accepts, demand, kind = _distinct(_accepted(snapshot, demands, kinds), demand, kind)
    terms = [order.signed.order for order in orders]
    parties = dict.fromkeys((*(term.client for term in terms), *(offer.provider for offer in offers)))
    delegations, delegate = _numbered(_delegation(snapshot, order) for order in orders)
    people = {who: n for n, who in enumerate(parties)}
    return Columns(
        order_ids=tuple(order.id for order in orders),
        demand=demand,
        gpus=_ints(term.gpus for term in terms),
        limit=_ints(term.max_price for term in terms),
        seconds=_ints(term.max_seconds for term in terms),
        tip=_ints(0 if snapshot.lease_of(order.id).tip_paid else order.signed.order.tip for order in orders),
        accepted_at=_ints(order.accepted_at for order in orders),
        client=_ints(people[term.client] for term in terms),
        pinned=_ints(rows[term.offer] for term in terms),
        offer_ids=tuple(offer.id for offer in offers),
        kind=kind,
        free=_ints(offer.free for offer in offers),
        ask=_ints(offer.price for offer in offers),
        bond_bps=_ints(offer.bond_bps for offer in offers),
        provider=_ints(people[offer.provider] for offer in offers),
        accepts=accepts,
        balance=_ints(min(ENOUGH, snapshot.view.accounts.get(who, 0)) for who in people),
        delegate=np.where(np.array([pair is None for pair in delegations], dtype=bool)[delegate], NOBODY, delegate),
        budget=_ints(_left(snapshot, pair) for pair in delegations),
        bond_floor=snapshot.terms.bond_floor,
    )


# Orders and offers, each alone -----------------------------------------------------------------------------------------


def _may_open(snapshot: Snapshot, order: BookOrder) -> bool:
    lease = snapshot.lease_of(order.id)
    terms = order.signed.order
    if any(refusal_of_order(terms, lease, at, snapshot.opener) for at in snapshot.mining_times):
        return False
    return not lease.charged or _is_alive(snapshot, (terms.client, order.delegate) if order.delegate else None)


def _is_alive(snapshot: Snapshot, pair: Delegation | None) -> bool:
    """Of a delegate: whether its time runs until a fill is mined."""
    return pair is None or snapshot.view.budgets.get(pair, NO_BUDGET).is_alive(max(snapshot.mining_times))


def _delegation(snapshot: Snapshot, order: BookOrder) -> Delegation | None:
    """Whose budget its opening is charged to."""
    if order.delegate is None or snapshot.lease_of(order.id).charged:
        return None
    return order.signed.order.client, order.delegate


def _left(snapshot: Snapshot, pair: Delegation | None) -> int:
    """What a delegate may spend; nothing when its time is over before a fill is mined."""
    budget = snapshot.view.budgets.get(pair, NO_BUDGET) if pair else NO_BUDGET
    return min(ENOUGH, budget.left) if budget.is_alive(max(snapshot.mining_times)) else 0


def _is_there(snapshot: Snapshot, offer: Offer) -> bool:
    """Alive when a fill is mined, of a provider that was heard of and that is not its own arbiter."""
    is_heard = not is_silent(snapshot.view.heartbeats.get(offer.provider), snapshot.now.timestamp, snapshot.policy)
    return is_heard and offer.is_alive(max(snapshot.mining_times)) and offer.arbiter != offer.provider


def _demand_of(snapshot: Snapshot, order: BookOrder) -> Hashable:
    """All of an order that decides which offers may serve it, but for GPUs, price and one offer alone."""
    terms, is_term = order.signed.order, order.signed.order.starts_at > min(snapshot.mining_times)
    asked = terms.classes, terms.arbiter, terms.min_bond_bps, terms.min_seconds, is_term
    return asked, order.spec.resources, order.spec.constraints


def _scores(snapshot: Snapshot, offers: Iterable[Offer]) -> dict[Address, int]:
    return {who: snapshot.view.reliability_of(who) for who in {offer.provider for offer in offers}}


def _kind_of(snapshot: Snapshot, offer: Offer, named: set[Address], scores: Mapping[Address, int]) -> Hashable:
    """All of an offer that such a demand looks at. Providers are told apart only where an order names them, or by their scores."""
    who, score = offer.provider if offer.provider in named else None, scores.get(offer.provider, 0)
    is_own = offer.provider == snapshot.opener
    return offer.gpu_class, offer.arbiter, offer.bond_bps, offer.min_seconds, offer.spec, who, score, is_own


# Pairs -----------------------------------------------------------------------------------------------------------------


def _accepted(snapshot: Snapshot, demands: Sequence[BookOrder], kinds: Sequence[Offer]) -> Flags:
    """Demands by kinds, by the rulebook: asked of the first order and the first offer of each, where the class is one that the order takes."""
    found, rows = np.zeros((len(demands), len(kinds)), np.bool_), [snapshot.offer_row(offer) for offer in kinds]
    of_class = defaultdict[ClassNumber, list[int]](list)
    for number, offer in enumerate(kinds):
        of_class[offer.gpu_class].append(number)
    for at, order in enumerate(demands):
        terms, asked, wanted = (
            replace(order.signed.order, offer=OfferId(0)),
            order.spec.resources,
            order.spec.constraints,
        )
        for gpu_class, numbers in of_class.items():
            if terms.accepts(gpu_class):
                for number in numbers:
                    pair = Pair(terms, asked, wanted, rows[number])
                    found[at, number] = mismatch(pair, snapshot.circumstances) is None
    return found


def _distinct(accepts: Flags, demand: Ints, kind: Ints) -> tuple[Flags, Ints, Ints]:
    """The same, with demands that accept the same kinds made one, and kinds that the same demands accept."""
    if not accepts.size:
        return accepts, demand, kind
    _, rows, row_of = np.unique(np.packbits(accepts, axis=1), axis=0, return_index=True, return_inverse=True)
    accepts = accepts[rows]
    _, columns, column_of = np.unique(np.packbits(accepts.T, axis=1), axis=0, return_index=True, return_inverse=True)
    return accepts[:, columns], row_of.reshape(-1)[demand], column_of.reshape(-1)[kind]


def _numbered(values: Iterable[Any]) -> tuple[list[Any], Ints]:
    """The different values, and for each of all its place among them."""
    places: dict[Any, int] = {}
    place = _ints(places.setdefault(value, len(places)) for value in values)
    return list(places), place


def _alike(rows: Sequence[Row], keys: Sequence[Hashable]) -> tuple[list[Row], Ints]:
    """The first of the rows with each key, and for each row the place of its key among them."""
    found, place = _numbered(keys)
    first = dict(zip(reversed(keys), reversed(rows), strict=True))
    return [first[key] for key in found], place


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)
