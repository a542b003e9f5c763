"""What a provider's agent saw of its GPUs: its signed word, on its way to who looks at offers."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.measurements import MeasurementsAnswer, MeasurementTold
from marketplace.chain.signing import Key
from marketplace.chain.statements import sign_measurement
from marketplace.client.measured import measured
from marketplace.domain.measurements import MeasuredGpu, Measurement, SignedMeasurement
from marketplace.domain.offers import Offer
from marketplace.store.board_keys import measurement as measurement_key
from tests.integration.gateway.conftest import CLIENT, MACHINE, PROVIDER, STRANGER, Gateway, running
from tests.integration.gateway.forms import check_form


def seen(gateway: Gateway, offer: Offer) -> Measurement:
    head = gateway.chain.head()
    gpus = tuple(
        MeasuredGpu(f"GPU-{n}", "NVIDIA GeForce RTX 4090", 24_564, "8.9", 4, 16, None, False) for n in range(offer.gpus)
    )
    return Measurement(offer.id, MACHINE.sha256, head.number, head.timestamp, "550.54.15", "12.4", gpus)


def post(gateway: Gateway, said: Measurement, key: Key = PROVIDER, by: Key | None = None) -> httpx.Response:
    document = {
        "measurement": said.document(),
        "signature": sign_measurement(key, said, gateway.domain),
    }
    return gateway.write(by or key, "POST", "/v1/measurements", json.dumps(document).encode())


def test_a_measurement_reaches_whoever_looks(gateway: Gateway, offer: Offer) -> None:
    """It is told as it was signed, beside offers that nobody measured; the newest word counts."""
    other = gateway.list(gpus=1)
    first = seen(gateway, offer)
    newer = replace(first, driver="560.1")
    answers = [post(gateway, first), post(gateway, newer)]
    told = gateway.http.get(f"/v1/measurements?offers={offer.id},{other.id},9999").json()
    with running(gateway.app) as url:
        api = GatewayApi(url)
        found = measured(api, api.offers(), gateway.market.terms())
        api.close()

    assert [answer.status_code for answer in answers] == [200, 200]
    check_form(MeasurementTold, answers[0].json())
    check_form(MeasurementsAnswer, told)
    assert [row["measurement"] for row in told["items"]] == [newer.document()]
    assert found == {offer.id: newer}


@pytest.mark.parametrize("change", ["signer", "sender", "offer", "machine", "gpus"])
def test_nobody_measures_for_others(gateway: Gateway, offer: Offer, change: str) -> None:
    """Signed by another, brought by another, of another's offer, of another machine or of fewer GPUs: refused, and nothing is kept."""
    said, asked = seen(gateway, offer), f"/v1/measurements?offers={offer.id}"
    before = gateway.http.get(asked).json()
    refused = {
        "signer": lambda: post(gateway, said, STRANGER, by=PROVIDER),
        "sender": lambda: post(gateway, said, PROVIDER, by=CLIENT),
        "offer": lambda: post(gateway, said, CLIENT),
        "machine": lambda: post(gateway, replace(said, machine="5a" * 32)),
        "gpus": lambda: post(gateway, replace(said, gpus=said.gpus[:-1])),
    }[change]()

    assert refused.status_code == 403
    assert gateway.http.get(asked).json() == before


@pytest.mark.parametrize(
    "changed",
    [{"gpus": []}, {"block": -1}, {"version": 2}, {"more": 1}, {"driver": "a\nb"}, {"machine": "x"}, {"seen_at": "1"}],
)
def test_what_is_no_measurement_is_refused(gateway: Gateway, offer: Offer, changed: dict) -> None:
    """The field that is wrong is named."""
    document = {"measurement": seen(gateway, offer).document() | changed, "signature": "0x" + "11" * 65}
    answer = gateway.write(PROVIDER, "POST", "/v1/measurements", json.dumps(document).encode())

    assert (answer.status_code, answer.json()["field"].split(".")[0]) == (422, "measurement")


@pytest.mark.parametrize("offers", ["", "a", "1,", "01", ",".join(map(str, range(1, 102))), "1" * 13])
def test_what_names_no_offers_is_refused(gateway: Gateway, offers: str) -> None:
    """Numbers with commas between, a hundred at most."""
    assert gateway.http.get("/v1/measurements", params={"offers": offers}).status_code == 422


def test_a_gateway_makes_up_no_measurement(gateway: Gateway, offer: Offer) -> None:
    """What its store says and the provider did not sign, or signed of another offer, is not shown as measured."""
    said = seen(gateway, offer)
    forged = SignedMeasurement(said, sign_measurement(STRANGER, said, gateway.domain))
    moved = replace(said, driver="1")
    gateway.board.keep_measurement(forged)
    with running(gateway.app) as url:
        api = GatewayApi(url)
        by_stranger = measured(api, api.offers(), gateway.market.terms())
        gateway.board.keep_measurement(SignedMeasurement(moved, sign_measurement(PROVIDER, said, gateway.domain)))
        changed = measured(api, api.offers(), gateway.market.terms())
        api.close()

    assert (by_stranger, changed) == ({}, {})
    assert gateway.board._redis.call("TTL", measurement_key(offer.id)) > 0
