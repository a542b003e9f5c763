"""Whether a plan holds: asked of the contract's rules fill by fill, or of all fills at once where there are too many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from marketplace.domain.budgets import NO_BUDGET
from marketplace.domain.fills import Fill, FillFacts, refusal_of_fill, refusal_of_signer
from marketplace.domain.pricing import bond_of, lock_of, worst_cost_of
from marketplace.domain.units import GpuCount, TokenUnits, UnixTime
from scheduler.engine.documents.snapshot import Snapshot
from scripts.bench.columns import NOBODY, Columns


def broken_rules(snapshot: Snapshot, columns: Columns, fills: Sequence[Fill]) -> list[str]:
    """All that is wrong with these fills, opened one after the other: what the contract would refuse, and what a spec rules out."""
    found = _against_specs(columns, fills)
    return found or [why for at in snapshot.mining_times for why in _refusals(snapshot, fills, at)]


def _refusals(snapshot: Snapshot, fills: Iterable[Fill], at: UnixTime) -> list[str]:
    """The contract's answers other than yes, while it counts every GPU and every token unit."""
    view, found = snapshot.view, list[str]()
    offers = {offer.id: offer for offer in view.offers}
    money, budgets, opened = dict(view.accounts), dict(view.budgets), set[str]()
    delegates = {order.id: order.delegate for order in view.orders}
    for fill in fills:
        order, offer = fill.signed.order, offers[fill.offer]
        signer = delegates[fill.signed.id] or order.client
        pair = order.client, signer
        clients, providers = money.get(order.client, TokenUnits(0)), money.get(offer.provider, TokenUnits(0))
        facts = FillFacts(at, snapshot.opener, snapshot.lease_of(fill.signed.id), offer, clients, providers)
        refusal = refusal_of_fill(fill, facts, snapshot.terms) or refusal_of_signer(
            order, signer, budgets.get(pair, NO_BUDGET), at, charged=facts.lease.charged
        )
        if refusal or fill.signed.id in opened:
            found.append(f"{fill.signed.id} on {fill.offer}: {refusal.name if refusal else 'opened twice'}")
            continue
        opened.add(fill.signed.id)
        locked = lock_of(order, fill.price)
        offers[offer.id] = replace(offer, free=GpuCount(offer.free - order.gpus))
        money[order.client] = TokenUnits(clients - locked - (0 if facts.lease.tip_paid else order.tip))
        bond = bond_of(locked, offer.bond_bps, snapshot.terms.bond_floor)
        money[offer.provider] = TokenUnits(money[offer.provider] - bond)
        if signer != order.client and not facts.lease.charged:
            budgets[pair] = replace(budgets[pair], left=TokenUnits(budgets[pair].left - worst_cost_of(order)))
    return found


def broken_rules_at_once(columns: Columns, fills: Sequence[Fill]) -> list[str]:
    """The same question for a large plan, in columns. Nothing is opened or paid back during a plan, so sums decide."""
    found = _against_specs(columns, fills)
    if found:
        return found
    orders, offers = columns.rows_of(fills)
    prices = np.array([fill.price for fill in fills], dtype=np.int64)
    locks = columns.locks(orders, prices)
    signed = orders[columns.delegate[orders] != NOBODY]
    spent, charged, used = (np.zeros_like(one) for one in (columns.balance, columns.budget, columns.free))
    np.add.at(spent, columns.client[orders], locks + columns.tip[orders])
    np.add.at(spent, columns.provider[offers], columns.bonds(offers, locks))
    np.add.at(charged, columns.delegate[signed], columns.worst_costs(signed))
    np.add.at(used, offers, columns.gpus[orders])
    checks = {
        "an order was opened twice": len(np.unique(orders)) < len(orders),
        "a price is below the ask": (prices < columns.ask[offers]).any(),
        "a price is above the limit": (prices > columns.limit[orders]).any(),
        "an offer has fewer GPUs": (used > columns.free).any(),
        "an account has less money": (spent > columns.balance).any(),
        "a delegate's budget is smaller": (charged > columns.budget).any(),
    }
    return [sentence for sentence, is_broken in checks.items() if is_broken]


def _against_specs(columns: Columns, fills: Sequence[Fill]) -> list[str]:
    """Orders that may not be opened, and offers that their orders do not take."""
    orders, offers = set(columns.order_ids), set(columns.offer_ids)
    unknown = [fill for fill in fills if fill.signed.id not in orders or fill.offer not in offers]
    if unknown:
        return [f"{fill.signed.id} on {fill.offer}: may not be opened" for fill in unknown]
    of_order, of_offer = columns.rows_of(fills)
    fits = columns.accepts[columns.demand[of_order], columns.kind[of_offer]]
    fits &= (columns.pinned[of_order] == NOBODY) | (columns.pinned[of_order] == of_offer)
    return [f"{fills[n].signed.id} on {fills[n].offer}: does not fit" for n in np.flatnonzero(~fits).tolist()]
