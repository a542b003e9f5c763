"""The columns against the rules: whole markets judged pair by pair, in the plainest words, and compared with the vectors."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import given, settings

from marketplace.domain.book import BookOrder
from marketplace.domain.budgets import NO_BUDGET
from marketplace.domain.fills import refusal_of_offer, refusal_of_order, refusal_of_signer
from marketplace.domain.ids import sha256_in
from marketplace.domain.leases import NO_LEASE, LeaseStatus
from marketplace.domain.offers import Offer
from marketplace.domain.refusals import Refusal
from marketplace.domain.reputation import NEWCOMER
from marketplace.domain.spec import Resources
from marketplace.domain.units import GpuCount, PricePerGpuHour
from scheduler.engine.columns import ColumnReader
from scheduler.engine.facts import Facts
from scheduler.engine.feasible import Demands, refused_at_once
from scheduler.engine.snapshot import Snapshot
from tests.unit.engine.markets import snapshots
from tests.unit.engine.wild import time_of, wild_market, wild_markets

FOR_ITS_OWN_SAKE = {
    Refusal.BadSignature, Refusal.OverBudget, Refusal.OrderLive, Refusal.OrderClosed, Refusal.OrderExpired,
    Refusal.OpenerNotAllowed, Refusal.TipWithoutOpener, Refusal.BadAmounts, Refusal.TooSoon,
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(wild_markets())
def test_the_columns_say_of_every_pair_what_the_rules_say(snapshot: Snapshot) -> None:
    """Who is turned away at once, and which offers fit each of the others, is the same as by the contract's rules and the spec, asked one by one."""
    _compare(snapshot)


@settings(max_examples=100, deadline=None)
@given(snapshots())
def test_small_markets_are_judged_alike(snapshot: Snapshot) -> None:
    """The same for the markets of the other tests, with fills of ours that the view does not show."""
    _compare(snapshot)


def test_a_warm_reader_judges_another_market_alike() -> None:
    """One reader for many markets: what it remembers of one says nothing about the next."""
    reader = ColumnReader()
    for seed in range(60):
        _compare(wild_market(random.Random(seed)), reader)


def test_the_markets_hold_pairs_that_fit_and_pairs_that_do_not() -> None:
    """Else the comparisons above would be of nothing."""
    counts = [sum(_compare(wild_market(random.Random(seed)))) for seed in range(40)]

    assert sum(counts) > 200


def _compare(snapshot: Snapshot, reader: ColumnReader | None = None) -> list[int]:
    reader = reader or ColumnReader()
    facts = Facts(snapshot, reader.columns(snapshot.view))
    turned_away = refused_at_once(facts)
    rows = np.array([row for row in range(facts.orders.rows) if row not in turned_away], np.int64)
    demands, fitting = Demands(facts, rows), list[int]()
    group, fits = demands.group, demands.fits
    found = fits[demands.of[rows]][:, group]
    for row, order in enumerate(facts.columns.book):
        assert (row in turned_away) == _is_hopeless(snapshot, order)
    for at, row in enumerate(rows.tolist()):
        expected = [_fits(snapshot, facts.columns.book[row], offer) for offer in facts.columns.listings]
        assert found[at].tolist() == expected
        fitting.append(sum(expected))
    return fitting


def _is_hopeless(snapshot: Snapshot, order: BookOrder) -> bool:
    """Whether no offer at all could serve this order now."""
    if any(fill.signed.id == order.id for fill in snapshot.posted):
        return True
    number, now = time_of(snapshot)
    record = snapshot.view.leases.get(order.id)
    terms, lease = order.signed.order, record.lease if record else NO_LEASE
    for at in (now + 1, now + 5):
        if refusal_of_order(terms, lease, at, snapshot.opener):
            return True
        if order.delegate is not None and snapshot.opener != terms.client:
            budget = snapshot.view.budgets.get((terms.client, order.delegate), NO_BUDGET)
            if refusal_of_signer(terms, order.delegate, budget, at, charged=lease.charged):
                return True
    recent = [row for row in snapshot.view.refused.get(order.id, ()) if number - row.block_number < 5]
    return any(row.reason in FOR_ITS_OWN_SAKE for row in recent)


def _fits(snapshot: Snapshot, order: BookOrder, offer: Offer) -> bool:
    """Whether this offer could serve this order, were it free enough and cheap enough."""
    number, now = time_of(snapshot)
    ample = replace(offer, free=GpuCount(2**16), price=PricePerGpuHour(0))
    if any(refusal_of_offer(order.signed.order, ample, at, snapshot.opener) for at in (now + 1, now + 5)):
        return False
    wanted = order.spec.constraints
    reputation = snapshot.view.reputations.get(offer.provider, NEWCOMER)
    heard_at = snapshot.view.heartbeats.get(offer.provider)
    return not (
        (wanted.providers and offer.provider not in wanted.providers)
        or offer.provider in wanted.exclude_providers
        or reputation.score_bps(snapshot.view.block.timestamp) < wanted.min_reliability_bps
        or not _is_machine_enough(snapshot, order, offer)
        or heard_at is None
        or now - heard_at > 20
        or _has_declined(snapshot, order, offer, now)
        or any(
            row.offer == offer.id and number - row.block_number < 5 for row in snapshot.view.refused.get(order.id, ())
        )
    )


def _is_machine_enough(snapshot: Snapshot, order: BookOrder, offer: Offer) -> bool:
    asked, regions = order.spec.resources, order.spec.constraints.regions
    machine, nothing = snapshot.view.machines.get(sha256_in(offer.spec)), Resources()
    promised = {row.number: row.vram_mib for row in snapshot.classes}.get(offer.gpu_class)
    vram = machine.vram_mib if machine else promised
    if asked.vram_mib and (vram is None or vram < asked.vram_mib):
        return False
    if machine is None:
        return not regions and all(
            getattr(asked, name) <= getattr(nothing, name) for name in ("cpus", "memory_mib", "disk_mib")
        )
    return (
        machine.cpus >= asked.cpus
        and machine.memory_mib >= asked.memory_mib
        and machine.disk_mib >= asked.disk_mib
        and (not regions or machine.region in regions)
    )


def _has_declined(snapshot: Snapshot, order: BookOrder, offer: Offer, now: int) -> bool:
    """Within the last ten minutes, as this scheduler saw it or as the chain's record says."""
    times = [at for who, at in snapshot.declined.get(order.id, {}).items() if who == offer.provider]
    record = snapshot.view.leases.get(order.id)
    if (
        record
        and record.exit == "LeaseDeclined"
        and record.lease.status is LeaseStatus.NONE
        and record.provider == offer.provider
    ):
        times.append(record.lease.opened_at)
    return any(now - at < 600 for at in times)
