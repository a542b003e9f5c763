"""The rulebook itself, by hand: each rule at its edge, and which of several reasons is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.book import RefusedFill, RejectionReason
from marketplace.domain.fitting import Circumstances, Pair, offer_row, reason_against, reason_against_order
from marketplace.domain.leases import NO_LEASE
from marketplace.domain.policy import DEFAULT, is_silent
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import UnixTime
from tests.unit.engine.markets import BLOCK, CLASSES, NOW, OPENER, PEOPLE, a_snapshot, an_offer, an_order

R = RejectionReason
GIVEN = Circumstances(BLOCK, OPENER)


def pair_of(order: dict[str, Any], offer: dict[str, Any], heard_at: int | None = NOW) -> Pair:
    listed, view = an_offer(**offer), a_snapshot().view
    row = replace(offer_row(listed, CLASSES[0], view), last_heartbeat=heard_at)
    return Pair.of(an_order(**order), row)


@pytest.mark.parametrize(
    ("reason", "order", "offer"),
    [
        (None, {}, {}),
        (None, {}, {"expires_at": UnixTime(NOW + 6)}),
        (R.OFFER_NOT_ALIVE, {}, {"expires_at": UnixTime(NOW + 5)}),
        (R.WRONG_OFFER, {"offer": 2}, {}),
        (R.CLASS_NOT_ACCEPTED, {"classes": 2}, {}),
        (R.WRONG_ARBITER, {"arbiter": PEOPLE[1]}, {}),
        (R.BOND_TOO_SMALL, {"min_bond_bps": 1_001}, {}),
        (R.MIN_SECONDS_TOO_SMALL, {}, {"min_seconds": 1}),
        (None, {"starts_at": UnixTime(NOW + 1)}, {}),
        (R.TERM_LEASE_NOT_BY_PROVIDER, {"starts_at": UnixTime(NOW + 2)}, {}),
        (None, {"starts_at": UnixTime(NOW + 2)}, {"provider": OPENER}),
        (R.NOT_ENOUGH_GPUS, {"gpus": 5}, {}),
        (R.PRICE_OUT_OF_BOUNDS, {"max_price": 999_999}, {}),
    ],
)
def test_the_contracts_rules_hold_at_both_ends_of_mining(
    reason: RejectionReason | None, order: dict[str, Any], offer: dict[str, Any]
) -> None:
    """A fill is mined from one second on and up to five later: what fails at either is told."""
    heard_at = NOW

    assert reason_against(pair_of(order, offer, heard_at), GIVEN) is reason


@pytest.mark.parametrize(
    ("heard_at", "reason"), [(NOW - 20, None), (NOW - 21, R.PROVIDER_SILENT), (None, R.PROVIDER_SILENT)]
)
def test_a_provider_is_silent_after_twenty_seconds_of_block_time(
    heard_at: int | None, reason: RejectionReason | None
) -> None:
    """The same for quotes, rounds and lists; a scheduler's own policy may say otherwise for its rounds."""
    patient = replace(GIVEN, policy=replace(DEFAULT, heartbeat_seconds=60))

    assert reason_against(pair_of({}, {}, heard_at), GIVEN) is reason
    assert is_silent(heard_at, NOW) == (reason is not None)
    assert reason_against(pair_of({}, {}, heard_at), patient) is (None if heard_at else R.PROVIDER_SILENT)


def test_what_happened_before_bars_a_pair_for_a_while() -> None:
    """A decline bars its provider, a refusal its offer: after what is dearer or has no room, which is told first."""
    pair, offer = pair_of({}, {}), an_offer()

    assert reason_against(pair, GIVEN, declined={offer.provider}, refused={offer.id}) is R.DECLINED_BEFORE
    assert reason_against(pair, GIVEN, refused={offer.id}) is R.RECENTLY_REFUSED
    assert reason_against(pair_of({"gpus": 5}, {}), GIVEN, refused={offer.id}) is R.NOT_ENOUGH_GPUS
    assert [GIVEN.is_declined_lately(UnixTime(NOW - age)) for age in (599, 600)] == [True, False]
    refusals = [RefusedFill(offer.id, Refusal.NotEnoughGpus, BLOCK.number - age) for age in (4, 5)]
    assert [GIVEN.is_refused_lately(one) for one in refusals] == [True, False]


def test_an_order_that_the_contract_refused_for_its_own_sake_is_served_nowhere() -> None:
    """For as long as that is recent; a refusal that was about the offer says nothing of others."""
    order, view = an_order(), a_snapshot().view

    def reason(why: Refusal, age: int) -> RejectionReason | None:
        refused = [RefusedFill(an_offer().id, why, BLOCK.number - age)]
        return reason_against_order(order, view, NO_LEASE, refused, GIVEN)

    assert [reason(Refusal.BadSignature, age) for age in (4, 5)] == [R.BAD_SIGNATURE, None]
    assert reason(Refusal.NotEnoughGpus, 0) is None
