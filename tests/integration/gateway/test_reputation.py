"""Reputations over HTTP: shown with their evidence, used by quotes as the engine uses them, and computable by anyone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.api.accounts import ProviderAnswer
from marketplace.chain import verbs
from marketplace.chain.devnet import increase_time
from marketplace.client import GatewayApi
from marketplace.client.reputation import reputation_from_chain
from marketplace.domain.book import BookOrder, RejectionReason
from marketplace.domain.ids import OfferId
from marketplace.domain.offers import Offer
from marketplace.domain.reputation import MILD, NEWCOMER, Outcome
from marketplace.domain.spec import Constraints
from marketplace.domain.units import UnixTime
from scheduler.engine.clear import clear
from scheduler.engine.documents.snapshot import Snapshot
from tests.integration.gateway.conftest import OPENER, OTHER_PROVIDER, PROVIDER, STRANGER, Gateway
from tests.integration.gateway.forms import check_form


@pytest.fixture(scope="module")
def judged(gateway: Gateway, offer: Offer) -> Offer:
    """The offer of a provider that declined one lease and never came back to another."""
    market = gateway.book.market
    declined, expired = gateway.leased(offer), gateway.leased(offer)
    gateway.send(PROVIDER, verbs.decline(market, declined.order))
    increase_time(gateway.chain, 4_000)
    gateway.send(OPENER, verbs.expire(market, expired.order))
    return offer


def test_a_provider_is_shown_with_its_evidence(gateway: Gateway, judged: Offer) -> None:
    """Score, prior and what each outcome weighs: as of the answer's block, and as the chain's events give it."""
    told = gateway.http.get(f"/v1/providers/{PROVIDER.address}").json()

    check_form(ProviderAnswer, told)
    shown = told["reputation"]
    assert shown["outcomes"]["declined"]["count"] == shown["outcomes"]["expired"]["count"] == 1
    assert int(shown["outcomes"]["declined"]["weight"]) <= MILD
    assert shown["priorGoodHuman"] == "18.00 tUSD"
    assert 0 < shown["reliabilityBps"] < 9_000
    with_sdk = GatewayApi(gateway.url)
    answer = with_sdk.provider(PROVIDER.address)
    with_sdk.close()
    assert answer.reputation == reputation_from_chain(gateway.market, PROVIDER.address, answer.block)
    assert answer.reputation.score_bps(answer.block.timestamp) == shown["reliabilityBps"]


def test_a_stranger_is_a_newcomer(gateway: Gateway, judged: Offer) -> None:
    """Nothing is known of it, and that is said."""
    told = gateway.http.get(f"/v1/providers/{STRANGER.address}").json()

    check_form(ProviderAnswer, told)
    assert (told["reputation"]["reliabilityBps"], told["reputation"]["outcomes"]) == (9_000, {})
    assert (told["offers"], told["lastHeartbeat"]) == ([], None)


def test_offers_tell_how_reliable_their_provider_is(gateway: Gateway, judged: Offer) -> None:
    """The score at the answer's block."""
    other = gateway.list(OTHER_PROVIDER)
    rows = {row["id"]: row["reliabilityBps"] for row in gateway.http.get("/v1/offers").json()["items"]}

    shown = gateway.http.get(f"/v1/providers/{PROVIDER.address}").json()["reputation"]["reliabilityBps"]
    assert (rows[judged.id], rows[other.id]) == (shown, 9_000)


def test_quotes_and_rounds_agree_on_who_is_reliable_enough(gateway: Gateway, judged: Offer) -> None:
    """At the score itself the offer can serve, a basis point above it cannot; in a draft, in a spec, and in a round."""
    gateway.board.beat(PROVIDER.address, gateway.now())
    view = gateway.board.view()
    assert view is not None
    score = view.reliability_of(PROVIDER.address)
    assert view.reputations[PROVIDER.address].tallies[Outcome.EXPIRED].count == 1
    assert NEWCOMER.score_bps(UnixTime(0)) > score
    asked = {"gpu": "RTX4090", "maxSeconds": 60}
    for wanted in (score, score + 1):
        spec = gateway.spec(constraints=Constraints(min_reliability_bps=wanted))
        rows = [
            next(
                row for row in gateway.http.post("/v1/quotes", json=asked | more).json()["quotes"]
                if row["offer"]["id"] == judged.id
            )
            for more in ({"minReliabilityBps": wanted}, {"spec": spec.sha256})
        ]  # fmt: skip
        signed = gateway.signed(offer=OfferId(judged.id))
        waiting = BookOrder(signed, spec, UnixTime(0))
        round_of_one = Snapshot(replace(view, orders=(waiting,)), OPENER.address, gateway.market.terms())
        plan = clear(round_of_one)
        is_placed = bool(plan.fills)

        assert is_placed == (wanted == score)
        assert {row["reason"] for row in rows} == {"" if is_placed else RejectionReason.RELIABILITY_TOO_LOW.value}
        assert all(f"{score // 100}.{score % 100:02d} %" in row["detail"] for row in rows if row["reason"])
