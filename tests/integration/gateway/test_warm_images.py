"""Which providers have a container image: their agents' word, on its way to who asks for a quote."""

from __future__ import annotations

from redis import Redis

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.warm_images import MOST_WARM_IMAGES, WarmImageAnswer
from marketplace.domain.ids import Sha256
from marketplace.domain.offers import Offer
from marketplace.store.board_keys import warm_images
from marketplace.store.board_words import WARM_IMAGES_KEPT_SECONDS
from tests.integration.gateway.conftest import PROVIDER, Gateway, running
from tests.integration.gateway.forms import check_form

A, B = Sha256("a" * 64), Sha256("b" * 64)


def test_images_are_told_until_others_take_their_place(gateway: Gateway, offer: Offer) -> None:
    """A provider's newest word counts, for a quarter of an hour; what it has no more it has no more, and nobody else has it."""
    with running(gateway.app) as url:
        agent, anyone = GatewayApi(url, key=PROVIDER), GatewayApi(url)
        before = anyone.warm_at(A)
        agent.post_warm_images([A, B])
        both = (anyone.warm_at(A), anyone.warm_at(B))
        agent.post_warm_images([B])
        after = (anyone.warm_at(A), anyone.warm_at(B))
        told = gateway.http.get(f"/v1/images/{B}/providers").json()
        agent.close()
        anyone.close()

    assert before == frozenset()
    assert both == (frozenset({offer.provider}), frozenset({offer.provider}))
    assert after == (frozenset(), frozenset({offer.provider}))
    check_form(WarmImageAnswer, told)
    with Redis.from_url(gateway.redis.url) as redis:
        assert 0 < redis.ttl(warm_images(PROVIDER.address)) <= WARM_IMAGES_KEPT_SECONDS


def test_images_are_bounded(gateway: Gateway, offer: Offer) -> None:
    """More than a provider may name, and what is no digest, are refused; an empty list is none."""
    many = '{"images": ["' + '", "'.join([A] * (MOST_WARM_IMAGES + 1)) + '"]}'
    answers = [
        gateway.write(PROVIDER, "POST", "/v1/images", body.encode()).status_code
        for body in (many, '{"images": ["../x"]}', '{"images": []}')
    ]

    assert offer.provider == PROVIDER.address
    assert answers == [422, 422, 200]
