"""What a client is told: the nearest miss in words, with prices as people write them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.book import MOST_OFFERS_TOLD, RejectionReason
from marketplace.domain.fitting import ABOUT_THE_ORDER
from marketplace.domain.ids import OfferId
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.refusals import Refusal
from marketplace.domain.spec import Resources
from marketplace.domain.units import TokenUnits, UnixTime
from scheduler.engine.clear import clear
from scheduler.engine.explain import NEARNESS, PHRASES
from tests.unit.engine.markets import DOLLAR, NOW, PEOPLE, SPEC, a_record, a_snapshot, an_offer, an_order

CENT = DOLLAR // 100


def _words(order: Any, offers: list[Any], **market: Any) -> str:
    return clear(a_snapshot([order], offers, **market)).rejections[0].nearest_miss


def test_each_reason_names_the_first_offers_that_fell_for_it() -> None:
    """By number, and no more than are told; all of them are counted."""
    small, dear = [an_offer(n, free=1) for n in range(2, 40)], an_offer(1, price=900 * CENT)
    (told,) = clear(a_snapshot([an_order(gpus=2, max_price=250 * CENT)], [*reversed(small), dear])).rejections

    assert told.reasons[RejectionReason.NOT_ENOUGH_GPUS] == len(small)
    assert told.offers[RejectionReason.NOT_ENOUGH_GPUS] == tuple(range(2, 2 + MOST_OFFERS_TOLD))
    assert told.offers[RejectionReason.PRICE_OUT_OF_BOUNDS] == (1,)


def test_the_cheapest_feasible_offer_is_named_with_its_price_and_the_limit() -> None:
    """And what the others lack is counted."""
    big = replace(SPEC, resources=Resources(vram_mib=80_000))
    fits = [an_offer(n, gpu_class=1, spec="0x" + "77" * 32, price=(280 + n) * CENT) for n in (1, 2)]
    order = an_order(spec=big, max_price=250 * CENT)
    small = [an_offer(n) for n in range(3, 17)]

    assert _words(order, [*fits, *small]) == (
        "cheapest feasible offer asks 2.81 tUSD/GPU-h, your limit is 2.50; 14 offers lack VRAM"
    )


@pytest.mark.parametrize(
    ("order", "offers", "market", "words"),
    [
        (an_order(), [], {}, "nobody offers any GPUs"),
        (an_order(expires_at=UnixTime(NOW)), [an_offer()], {}, "the order's expiresAt has passed"),
        (
            an_order(gpus=4),
            [an_offer(1, free=1), an_offer(2, free=3)],
            {},
            "the roomiest feasible offer has 3 GPUs free, you need 4 together",
        ),
        (
            an_order(),
            [an_offer()],
            {"accounts": {PEOPLE[-1]: TokenUnits(25 * CENT)}},
            "offer 1 locks 1.00 tUSD, your free balance is 0.25 tUSD",
        ),
        (
            an_order(),
            [an_offer()],
            {"accounts": {PEOPLE[-1]: TokenUnits(DOLLAR)}},
            "the provider of offer 1 cannot cover the bond of 0.10 tUSD",
        ),
        (
            an_order(spec=replace(SPEC, resources=Resources(vram_mib=80_000))),
            [an_offer()],
            {},
            "1 offer lacks VRAM: you need 80000 MiB a GPU",
        ),
        (
            an_order(classes=2),
            [an_offer(1), an_offer(2)],
            {},
            "nobody offers a GPU class that you accept; 2 offers are of other GPU classes",
        ),
        (
            an_order(),
            [an_offer(1), an_offer(2, gpu_class=7), an_offer(3, arbiter=PEOPLE[4])],
            {"heartbeats": {}},
            "1 offer is of a silent provider; 1 offer names another arbiter; 1 offer is of another GPU class",
        ),
    ],
)
def test_the_nearest_miss_is_something_to_act_on(order: Any, offers: list[Any], market: Any, words: str) -> None:
    """One sentence for each kind of miss."""
    assert _words(order, offers, **market) == words


def test_an_order_that_was_outbid_is_told_from_what_price_on() -> None:
    """Its offers went to others in this very round."""
    keen, late = an_order("keen", max_price=3 * DOLLAR), an_order("late")
    plan = clear(a_snapshot([keen, late], [an_offer(free=1)]))

    assert plan.rejections[0].nearest_miss == (
        "1 feasible offer, from 1.00 tUSD/GPU-h, went to orders ahead of yours and cleared from 2.00 tUSD/GPU-h, your limit is 2.00"
    )


def test_a_placed_order_is_told_where_at_what_price_and_among_how_many() -> None:
    """A placement explains itself too."""
    plan = clear(a_snapshot([an_order()], [an_offer(1), an_offer(2, price=150 * CENT), an_offer(3, gpu_class=9)]))

    why = plan.explanation(plan.fills[0].signed.id)
    assert (why.placed_on, dict(why.reasons)) == (1, {RejectionReason.CLASS_NOT_ACCEPTED: 1})
    assert why.nearest_miss == "offer 1 at 1.00 tUSD/GPU-h, chosen among 2 offers that could serve it"


def test_an_order_that_is_being_served_is_told_where() -> None:
    """The projection still has it on the book."""
    order = an_order()
    record = a_record(order, status=LeaseStatus.OPEN, offer=OfferId(1))
    why = clear(a_snapshot([order], [an_offer()], leases={order.id: record})).rejections[0]

    assert (why.placed_on, why.nearest_miss) == (1, "the order is being served already")


def test_every_reason_has_its_place_and_its_words() -> None:
    """No reason that an offer can fall for is left without a phrase; the rest are about the order and have the contract's sentence."""
    about_orders = {RejectionReason.of(refusal) for refusal in ABOUT_THE_ORDER} | {RejectionReason.NO_OFFERS}

    assert set(NEARNESS) == set(PHRASES) == set(RejectionReason) - about_orders
    assert len(NEARNESS) == len(set(NEARNESS))


def test_every_refusal_of_a_fill_has_a_reason_of_its_name() -> None:
    """Whatever the contract answers to a fill can be told to the order's client."""
    fills = [refusal for refusal in Refusal if refusal < Refusal.NotLive]

    assert [RejectionReason.of(refusal).value for refusal in fills] == [refusal.name for refusal in fills]
