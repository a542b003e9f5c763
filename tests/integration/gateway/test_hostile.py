"""Whatever is sent, nothing is a 5xx, every error is a problem, and nothing changes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from marketplace.domain.ids import Bytes32, bytes32_of
from marketplace.domain.offers import Offer
from marketplace.domain.wire import receipt_to_wire
from tests.integration.gateway.conftest import CLIENT, PROVIDER, Gateway, submission

HOSTILE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["0x", "-1", "1e9", "\0", "\ud800", str(2**80)]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
READS = (
    "/v1/orders/{}", "/v1/orders/{}/explanation", "/v1/orders?client={}", "/v1/orders?client=0x" + "1" * 40 + "&after={}", "/v1/offers/{}", "/v1/offers?class={}",
    "/v1/offers?limit={}", "/v1/offers?after={}", "/v1/book/{}", "/v1/prices/{}", "/v1/leases/{}", "/v1/leases/{}/logs",
    "/v1/leases/0x" + "1" * 64 + "/logs?offset={}", "/v1/leases/{}/receipts", "/v1/leases/{}/outputs", "/v1/accounts/{}",
    "/v1/providers/{}", "/v1/blobs/{}", "/{}",
)  # fmt: skip


def paths(document: Any, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where something stands in a document that something else could stand."""
    if not isinstance(document, dict):
        return [prefix]
    return [prefix, *(path for name, item in document.items() for path in paths(item, (*prefix, name)))]


def replaced(document: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    return {**document, path[0]: replaced(document[path[0]], path[1:], value)}


@dataclass(frozen=True)
class Good:
    """Requests that would be taken, and everything as it is before."""

    lease: Bytes32
    bodies: dict[str, Any]
    before: dict[str, object]


@pytest.fixture(scope="module")
def good(gateway: Gateway, offer: Offer) -> Good:
    lease = gateway.leased(offer).id
    result = gateway.result()
    receipt = gateway.receipt(lease, 1, bytes32_of(result.sha256))
    bodies = {
        "order": submission(gateway.signed()),
        "receipt": {
            "receipt": receipt_to_wire(receipt), "role": "provider", "signature": PROVIDER.sign_receipt(receipt, gateway.domain),
            "resultDocument": json.loads(result.canonical()),
        },
        "quote": {"gpu": "RTX4090", "gpus": 1, "maxSeconds": 60, "maxPrice": "5", "spec": gateway.spec().sha256},
    }  # fmt: skip
    gateway.sync()
    return Good(lease, bodies, gateway.everything())


@HOSTILE
@given(choice=st.data())
def test_junk_in_any_place_of_a_write(gateway: Gateway, good: Good, choice: st.DataObject) -> None:
    """A good request with one thing in it replaced by anything at all."""
    kind = choice.draw(st.sampled_from(sorted(good.bodies)))
    path = choice.draw(st.sampled_from(paths(good.bodies[kind])))
    body = json.dumps(replaced(good.bodies[kind], path, choice.draw(JUNK))).encode()
    assume(body != json.dumps(good.bodies[kind]).encode())

    if kind == "receipt":
        answer = gateway.write(PROVIDER, "POST", f"/v1/leases/{good.lease}/receipts", body)
    else:
        where = "/v1/orders" if kind == "order" else "/v1/quotes"
        answer = gateway.http.post(where, content=body, headers={"Content-Type": "application/json"})

    is_fine = kind == "quote" and answer.status_code == 200
    assert is_fine or 400 <= answer.status_code < 500, answer.text
    assert is_fine or answer.headers["content-type"] == "application/problem+json"
    assert is_fine or answer.json()["rule"]
    assert good.before == gateway.everything()


@HOSTILE
@given(template=st.sampled_from(READS), text=st.text(max_size=80) | st.integers().map(str))
def test_junk_in_any_parameter(gateway: Gateway, template: str, text: str) -> None:
    """Reads are as strict as writes."""
    answer = gateway.http.get(template.format(quote(text.encode("utf-8", "surrogatepass"), safe="")))

    assert answer.status_code < 500, answer.text
    assert answer.status_code < 400 or answer.headers["content-type"] == "application/problem+json"


@HOSTILE
@given(headers=st.dictionaries(
    st.sampled_from(["Bourse-Account", "Bourse-Time", "Bourse-Signature", "Idempotency-Key", "Last-Event-ID", "Content-Type"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), min_size=1, max_size=140),
))  # fmt: skip
def test_junk_in_any_header(gateway: Gateway, headers: dict[str, str]) -> None:
    """Headers are read by strangers' rules, so they hold anything that HTTP lets through."""
    raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    for method, path in (
        ("POST", "/v1/heartbeats"),
        ("POST", "/v1/orders"),
        ("DELETE", "/v1/orders/0x" + "1" * 64),
        ("GET", "/live"),
    ):
        answer = gateway.http.request(method, path, content=b"{}", headers=raw)  # type: ignore[arg-type]

        assert answer.status_code < 500, answer.text
    assert CLIENT.address not in gateway.board.heartbeats()
