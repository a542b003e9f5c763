"""The columns against the rulebook: whole markets judged pair by pair by ``marketplace.domain.fitting``, and compared reason by reason."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
from hypothesis import given, settings

from marketplace.domain.book import BookOrder, RejectionReason
from marketplace.domain.fitting import Pair, reason_against, reason_against_order
from marketplace.domain.offers import Offer
from marketplace.domain.units import GpuCount, PricePerGpuHour
from scheduler.engine.arrays import UNKNOWN
from scheduler.engine.documents.snapshot import Snapshot
from scheduler.engine.explain import CODES, NEARNESS
from scheduler.engine.matching.checks import refused_at_once
from scheduler.engine.matching.demands import Demands
from scheduler.engine.tables.columns import ColumnReader
from scheduler.engine.tables.facts import Facts
from tests.unit.engine.markets import snapshots
from tests.unit.engine.wild import wild_market, wild_markets

AMPLE = GpuCount(2**16)


@settings(max_examples=150, deadline=None)
@given(wild_markets())
def test_the_columns_say_of_every_pair_what_the_rulebook_says(snapshot: Snapshot) -> None:
    """Who is turned away at once and why, and which offers fit each of the others or why not, is the same as by the rulebook, asked one by one."""
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
    found = demands.fits[demands.of[rows]][:, demands.offer_kind]
    room, never_too_dear = np.full(facts.offers.rows, AMPLE, np.int64), np.zeros(facts.offers.rows, np.bool_)
    for row, order in enumerate(facts.columns.book):
        assert turned_away.get(row) == _reason_against_order(snapshot, order)
    for at, row in enumerate(rows.tolist()):
        expected = [_reason_against(snapshot, facts.columns.book[row], offer) for offer in facts.columns.listings]
        codes = demands.reasons_against(row, room, never_too_dear, CODES)
        assert [None if code == UNKNOWN else NEARNESS[code] for code in codes.tolist()] == expected
        assert found[at].tolist() == [reason is None for reason in expected]
        fitting.append(expected.count(None))
    return fitting


def _reason_against_order(snapshot: Snapshot, order: BookOrder) -> RejectionReason | None:
    if any(fill.signed.id == order.id for fill in snapshot.posted):
        return RejectionReason.ORDER_LIVE
    refused = snapshot.view.refused.get(order.id, ())
    return reason_against_order(order, snapshot.view, snapshot.lease_of(order.id), refused, snapshot.circumstances)


def _reason_against(snapshot: Snapshot, order: BookOrder, offer: Offer) -> RejectionReason | None:
    """The rulebook's answer, were the offer free enough and cheap enough."""
    given, declines = snapshot.circumstances, snapshot.declines_of(order)
    ample = replace(offer, free=AMPLE, price=PricePerGpuHour(0))
    return reason_against(
        Pair.of(order, snapshot.offer_row(ample)),
        given,
        {who for who, at in declines.items() if given.is_declined_lately(at)},
        {row.offer for row in snapshot.view.refused.get(order.id, ()) if given.is_refused_lately(row)},
    )
