"""The project's own HTTP client understands what the gateway says: the two were written apart, from one page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.orders import ExplanationTold
from marketplace.chain.devnet import increase_time
from marketplace.chain.request_signing import sign_request
from marketplace.domain.book import Explanation, RejectionReason
from marketplace.domain.classes import load_classes
from marketplace.domain.errors import GatewayProblem
from marketplace.domain.ids import bytes32_of, sha256_of
from marketplace.domain.offers import Offer
from marketplace.domain.units import PricePerGpuHour, Seconds
from tests.integration.gateway.conftest import CLIENT, DOLLAR, OPENER, PROVIDER, Gateway
from tests.integration.gateway.forms import check_form

pytestmark = pytest.mark.quick


@pytest.fixture
def client(gateway: Gateway) -> Iterator[GatewayApi]:
    api = GatewayApi(gateway.url, key=CLIENT)
    yield api
    api.close()


@pytest.fixture
def provider(gateway: Gateway) -> Iterator[GatewayApi]:
    api = GatewayApi(gateway.url, key=PROVIDER, domain=gateway.domain, block_time=gateway.now)
    yield api
    api.close()


def test_the_market_and_its_offers_are_read(gateway: Gateway, client: GatewayApi, offer: Offer) -> None:
    """Terms, classes, offers over all pages, quotes and balances."""
    more = [gateway.list(gpus=1) for _ in range(3)]
    gateway.board.beat(PROVIDER.address, gateway.now())

    assert client.market().terms.market == gateway.book.market
    assert client.market().opener == OPENER.address
    assert client.classes() == load_classes()
    listed = {row.offer.id: row for row in client.offers(1)}
    assert {offer.id, *(row.id for row in more)} <= listed.keys()
    assert listed[offer.id].machine is not None
    quotes = client.quotes("RTX4090", gpus=1, max_seconds=Seconds(3600), max_price=PricePerGpuHour(3 * DOLLAR))
    assert quotes[0].can_serve
    assert quotes[0].locked == 2 * DOLLAR
    assert client.account(CLIENT.address).free == gateway.market.balance_of(CLIENT.address)


def test_a_jobs_whole_life_is_told(
    gateway: Gateway, client: GatewayApi, provider: GatewayApi, offer: Offer, tmp_path: Path
) -> None:
    """Upload, order, log, receipt, outputs, download: each side with its own signature."""
    name = client.put_blob(b"some input")
    signed = gateway.signed()
    assert client.post_order(signed) == client.post_order(signed) == signed.id
    assert client.order(signed.id).state == "book"
    gateway.open(signed, offer)
    assert provider.heartbeat() == gateway.now()
    assert provider.append_log(signed.id, 0, b"epoch 1\n") == 8
    assert provider.append_log(signed.id, 99, b"lost\n") == 8
    result = gateway.result()
    receipt = gateway.receipt(signed.id, 0, bytes32_of(result.sha256))

    provider.post_receipt(signed.id, receipt, "provider", PROVIDER.sign_receipt(receipt, gateway.domain), result)
    client.post_receipt(signed.id, receipt, "client", CLIENT.sign_receipt(receipt, gateway.domain))

    assert [row.role for row in client.receipts(signed.id)] == ["provider", "client"]
    assert client.outputs(signed.id).content == result.canonical()
    assert "".join(chunk.text for chunk in client.follow_log(signed.id)) == "epoch 1\nepoch 2\n"
    assert client.log(signed.id) == b"epoch 1\n"
    lease = client.lease(signed.id)
    assert (lease.record.provider, lease.last_heartbeat) == (PROVIDER.address, gateway.now())
    assert client.fetch_blob_into(name, tmp_path / "input").read_bytes() == b"some input"


def test_a_replayed_heartbeat_says_nothing_new(gateway: Gateway) -> None:
    """A beat is as old as the block time that was signed, whenever it arrives; and none moves the last one back."""
    gateway.fund(PROVIDER, DOLLAR)
    path, then = "/v1/heartbeats", gateway.now()
    signed = sign_request(PROVIDER, "POST", path, b"{}", then, gateway.domain)
    headers = {**signed, "Content-Type": "application/json"}
    assert gateway.http.post(path, content=b"{}", headers=headers).json()["at"] == then
    increase_time(gateway.chain, 60)
    assert gateway.now() > then

    assert gateway.http.post(path, content=b"{}", headers=headers).json()["at"] == then
    with closing(GatewayApi(gateway.url, key=PROVIDER)) as api:
        later = api.heartbeat()
    assert later == gateway.now()
    assert gateway.http.post(path, content=b"{}", headers=headers).json()["at"] == later


def test_problems_are_typed(gateway: Gateway, client: GatewayApi) -> None:
    """Reason and field arrive as they were sent."""
    with pytest.raises(GatewayProblem) as refused:
        client.post_order(gateway.signed(expires_at=1))
    with pytest.raises(GatewayProblem) as missing:
        client.fetch_blob(sha256_of(b"nothing"))

    assert (refused.value.status, refused.value.reason, refused.value.field) == (409, "OrderExpired", "order.expiresAt")
    assert (missing.value.status, missing.value.reason) == (404, "NotFound")


def test_an_explanation_is_there_after_the_first_round(gateway: Gateway, client: GatewayApi) -> None:
    """By itself and in the order's answer the same; before a round has looked at the order, it is there and says nothing."""
    signed = gateway.signed()
    client.post_order(signed)
    before, early = client.explanation(signed.id), gateway.http.get(f"/v1/orders/{signed.id}/explanation")
    why = Explanation(
        signed.id, gateway.chain.head(), None, {RejectionReason.PRICE_OUT_OF_BOUNDS: 2}, "cheapest asks 2.80, your limit is 2.50"
    )  # fmt: skip
    gateway.board.explain([why])

    after = client.explanation(signed.id)
    told = gateway.http.get(f"/v1/orders/{signed.id}/explanation").json()

    assert before is None
    assert (early.status_code, early.json()) == (
        200, {"order": signed.id, "placedOn": None, "reasons": {}, "nearestMiss": "", "block": None, "offers": {}},
    )  # fmt: skip
    assert after is not None
    assert (after.placed_on, dict(after.reasons), after.nearest_miss) == (
        None, {"PriceOutOfBounds": 2}, "cheapest asks 2.80, your limit is 2.50",
    )  # fmt: skip
    check_form(ExplanationTold, told)
    assert told == gateway.http.get(f"/v1/orders/{signed.id}").json()["explanation"]


def test_a_withdrawn_order_is_known_as_such(gateway: Gateway, client: GatewayApi) -> None:
    """Withdrawing is signed by the client's key."""
    signed = gateway.signed()
    client.post_order(signed)

    client.withdraw_order(signed.id)

    assert client.order(signed.id).withdrawn
