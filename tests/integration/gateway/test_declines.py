"""Why a lease was given back: a provider's signed word, on its way to client and scheduler."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.leases import DeclineTold
from marketplace.chain import verbs
from marketplace.chain.signing import Key
from marketplace.chain.statements import decliner_of, sign_decline
from marketplace.client.declines import why_declined
from marketplace.domain.declines import Decline, ObstacleReason, SignedDecline, decline_to_wire
from marketplace.domain.offers import Offer
from tests.integration.gateway.conftest import CLIENT, PROVIDER, STRANGER, Gateway, running
from tests.integration.gateway.forms import check_form


def declined(gateway: Gateway, offer: Offer) -> Decline:
    """What the provider would say about a lease that it has just given back."""
    signed = gateway.leased(offer)
    opened_at = gateway.market.lease_of(signed.id).opened_at
    gateway.send(PROVIDER, verbs.decline(gateway.book.market, signed.order))
    return Decline(signed.id, opened_at, ObstacleReason.NOT_ENOUGH_DISK, "10 of 5 MiB")


def post(gateway: Gateway, decline: Decline, key: Key = PROVIDER, **changed: object) -> httpx.Response:
    told = decline_to_wire(SignedDecline(decline, sign_decline(key, decline, gateway.domain))) | changed
    body, kind = json.dumps(told).encode(), {"Content-Type": "application/json"}
    return gateway.http.post(f"/v1/leases/{decline.lease}/declines", content=body, headers=kind)


def test_a_reason_reaches_whoever_asks(gateway: Gateway, offer: Offer) -> None:
    """Also when the lease is over; said twice it is kept once, and its signature is checked against the provider's key."""
    decline = declined(gateway, offer)
    first, again = post(gateway, decline), post(gateway, decline)
    check_form(DeclineTold, first.json())
    with running(gateway.app) as url:
        api = GatewayApi(url)
        (found,) = api.declines(decline.lease)
        said = [why_declined(api, gateway.domain, decline.lease, who.address) for who in (PROVIDER, STRANGER)]
        api.close()

    assert (first.status_code, again.status_code) == (201, 200)
    assert found.decline == decline
    assert said == ["not_enough_disk: 10 of 5 MiB", ""]
    assert decliner_of(found.decline, found.signature, gateway.domain) == PROVIDER.address
    assert decliner_of(replace(decline, detail="other"), found.signature, gateway.domain) != PROVIDER.address


@pytest.mark.parametrize("key", [CLIENT, STRANGER])
def test_nobody_else_says_why(gateway: Gateway, offer: Offer, key: Key) -> None:
    """The word of anybody but the provider of this very serving is refused, and changes nothing."""
    decline = declined(gateway, offer)
    before = gateway.everything()
    answers = [post(gateway, decline, key), post(gateway, replace(decline, opened_at=decline.opened_at - 1))]  # type: ignore[arg-type]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert gateway.everything() == before


@pytest.mark.parametrize(
    "changed",
    [
        {"reason": "no_such_reason"}, {"reason": None}, {"detail": "two\nlines"}, {"detail": "x" * 401}, {"detail": 5},
        {"openedAt": -1}, {"openedAt": "5"}, {"openedAt": True}, {"signature": "0xzz"}, {"more": 1},
    ],
)  # fmt: skip
def test_what_is_no_decline_is_refused(gateway: Gateway, offer: Offer, changed: dict[str, object]) -> None:
    """Every field has its rule, and none may be added."""
    decline = Decline(gateway.signed().id, gateway.now(), ObstacleReason.OUT_OF_TIME, "")

    assert post(gateway, decline, **changed).status_code == 422


def test_a_decline_is_left_below_its_own_lease(gateway: Gateway, offer: Offer) -> None:
    """What is said about another lease than the path's is not looked at."""
    decline = Decline(gateway.signed().id, gateway.now(), ObstacleReason.OUT_OF_TIME, "")

    assert post(gateway, decline, lease="0x" + "12" * 32).status_code == 403
