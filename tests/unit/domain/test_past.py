"""The past as a fold: sums by spans of time say what the events say, at every moment, and whom an event concerns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from marketplace.domain import events as e
from marketplace.domain.annals import About, about, annals_of
from marketplace.domain.history import LAST_INSTANT, SPANS_SECONDS, Span, SpanName, changes_of, spans_after
from marketplace.domain.ids import Address
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import Rows, apply, replay
from marketplace.domain.reputation import Outcome, judge
from marketplace.domain.units import PricePerGpuHour, TokenUnits, UnixTime
from tests.unit.domain.lives import CLIENT, DOLLAR, FLOOR, PROVIDER, START, Life


def told(events: Sequence[e.Event]) -> dict[SpanName, Span]:
    """The spans after these events."""
    state, spans = Rows(), dict[SpanName, Span]()
    for event in events:
        rows = apply(state, event, FLOOR)
        spans |= spans_after(spans, changes_of(state, rows, event))
        state = rows.over(state)
    return spans


def level(spans: dict[SpanName, Span], seconds: int, before: int) -> tuple[int, int]:
    """GPUs let and listed when this moment begins, by the sums of spans of one length."""
    earlier = [span for name, span in spans.items() if name.seconds == seconds and name.start + seconds <= before]
    return sum(span.let for span in earlier), sum(span.listed for span in earlier)


def busy_life(seed: int) -> Life:
    """Leases that open, end in several ways, and are given back; offers that expire, are withdrawn, and come back."""
    draw, life, now = random.Random(seed), Life(), int(START)
    ends = (
        lambda lease, at: life.settle(lease, 5, at),
        life.decline,
        life.expire,
        lambda lease, at: life.claim(lease, 5, at),
    )
    for _ in range(12):
        now += draw.randrange(900)
        lease = life.open(at=now, gpus=draw.randint(1, 4), price=DOLLAR + draw.randrange(5) * 1_000)
        offer = life.state.leases[lease].lease.offer
        for _ in range(draw.randrange(3)):
            now += draw.randrange(2_000)
            until = UnixTime(draw.choice([now - 1, now, now + 700, now + 90_000, LAST_INSTANT + 5]))
            life.tell(e.OfferRepriced(life.ref(now), offer, PricePerGpuHour(DOLLAR), until))
        if draw.random() < 0.7:
            now += draw.randrange(5_000)
            draw.choice(ends)(lease, now)
    return life


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("seconds", SPANS_SECONDS)
def test_levels_are_those_of_the_ledger_at_every_moment(seed: int, seconds: int) -> None:
    """Also where an offer ends without an event, comes back, or is withdrawn early; minutes, hours and days agree."""
    life = busy_life(seed)
    spans, last = told(life.told), life.told[-1].ref.block.timestamp
    for moment in range(START - START % seconds, last + 2 * seconds, max(seconds, 600)):
        state = replay([event for event in life.told if event.ref.block.timestamp < moment], FLOOR)
        leases = [record for record in state.leases.values() if record.lease.status is LeaseStatus.OPEN]
        let = sum(record.order.gpus for record in leases if record.order)
        listed = sum(offer.gpus for offer in state.offers.values() if offer.expires_at >= moment)
        assert level(spans, seconds, moment) == (let, listed), moment


def test_a_span_has_its_prices() -> None:
    """The first, the last, the lowest, the highest, and each weighed by its GPUs; another span knows nothing of them."""
    life = Life()
    for price, gpus in ((3, 1), (1, 2), (5, 1), (4, 4)):
        life.open(at=START, price=price * DOLLAR, gpus=gpus)
    spans = told(life.told)
    gpu_class = life.state.offers[life.state.leases[next(iter(life.state.leases))].lease.offer].gpu_class

    hour = spans[SpanName(gpu_class, 3_600, UnixTime(START - START % 3_600))]

    prices = [price // DOLLAR for price in (hour.first, hour.last, hour.lowest, hour.highest, hour.weighted)]
    assert prices == [3, 4, 1, 5, 3 + 2 + 5 + 16]
    assert (hour.opened, hour.gpus_opened, hour.let) == (4, 8, 8)
    assert {name.seconds for name in spans} == set(SPANS_SECONDS)


def test_annals_say_who_was_paid_what_moved_a_score_and_whom_it_concerns() -> None:
    """Of an opening both sides' money; of its end the outcome and the score that the fold has."""
    life = Life()
    lease = life.open(gpus=2)
    before = life.state
    event = e.LeaseTerminated(life.ref(START + 60), lease, CLIENT, 60, TokenUnits(9), TokenUnits(5), TokenUnits(7))
    after, standings = apply(before, event, FLOOR), judge(before, {}, event, FLOOR)

    annals = annals_of(before, after, standings, event, FLOOR)

    assert (annals.told, annals.delegations, annals.charges) == (((lease, event),), frozenset(), ())
    moved = {one.account: one.amount for one in annals.movements}
    assert moved == {PROVIDER: 16, CLIENT: 5}
    assert {(one.event, one.lease) for one in annals.movements} == {("LeaseTerminated", lease)}
    (score,) = annals.scores
    assert (score.outcome, score.lease) == (Outcome.TERMINATED, lease)
    assert score.score_bps == standings[PROVIDER].reputation.score_bps(START + 60)
    known = about(before, after, event)
    assert isinstance(known, About)
    assert (known.order, {PROVIDER, CLIENT} <= set(known.accounts)) == (lease, True)
    assert known.gpu_class == before.offers[before.leases[lease].lease.offer].gpu_class
    assert replace(known, accounts=()) == About(lease, (), known.gpu_class)
    assert about(before, Rows(), e.Deposited(event.ref, CLIENT, Address(PROVIDER), TokenUnits(1))).accounts == (CLIENT,)
