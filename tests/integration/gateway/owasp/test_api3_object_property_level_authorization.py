"""API3:2023, broken object property level authorization: no public answer tells a private property, no write sets one of another's."""

from __future__ import annotations

import json
from collections.abc import Iterator

from marketplace.domain.wire import order_to_wire
from tests.integration.gateway.conftest import CLIENT, Gateway
from tests.integration.gateway.owasp.conftest import SECRET, Private
from tests.integration.gateway.owasp.test_api1_object_level_authorization import PUBLIC


def public_answers(gateway: Gateway, private: Private) -> Iterator[tuple[str, str]]:
    """Everything that a stranger may read, lists included."""
    ids = {
        "order_id": private.lease.id, "lease_id": private.lease.id, "offer": private.offer.id, "class_name": "RTX4090",
        "round_hash": private.lease.id, "account": CLIENT.address, "provider": private.offer.provider, "name": "0" * 64,
        "vault": gateway.book.market, "loan": "1", "company": private.offer.provider,
    }  # fmt: skip
    plain = {
        path
        for path, methods in gateway.http.get("/openapi.json").json()["paths"].items()
        if "get" in methods and "{" not in path
    }
    for path in sorted(PUBLIC | plain - {"/v1/events", "/metrics", "/v1/sessions/challenge"}):
        url = path.format(**ids) + (f"?client={CLIENT.address}" if path == "/v1/orders" else "")
        yield url, gateway.http.get(url).text


def test_no_public_answer_tells_what_is_private(gateway: Gateway, private: Private) -> None:
    """Neither command, environment nor log; no names of inputs, outputs or log; no signature of an order that could still be opened."""
    waiting = gateway.signed()
    assert gateway.post_order(waiting).status_code == 201
    gateway.sync()
    secrets = {SECRET, "train.py", "epoch 1", waiting.signature, private.lease.signature, *private.blobs[1:]}

    for url, text in public_answers(gateway, private):
        assert not [secret for secret in secrets if secret in text], url
    spec = gateway.http.get(f"/v1/blobs/{private.lease.order.spec[2:]}").text
    assert not [secret for secret in secrets if secret in spec]


def test_nobody_sets_a_property_that_is_not_asked_for(gateway: Gateway, private: Private) -> None:
    """Every body is refused for a field too many: nothing can be slipped in that a later version might obey."""
    bodies = {
        "/v1/orders": {"order": order_to_wire(private.lease.order), "signature": private.lease.signature},
        "/v1/heartbeats": {},
        "/v1/sessions": {"message": "", "signature": "0x"},
        "/v1/quotes": {"gpu": "RTX4090", "maxSeconds": 60},
        f"/v1/leases/{private.lease.id}/receipts": {"receipt": {}, "role": "client", "signature": "0x"},
    }
    for path, body in bodies.items():
        for extra in ("isAdmin", "acceptedAt", "provider", "__proto__"):
            told = gateway.write(CLIENT, "POST", path, json.dumps(body | {extra: True}).encode())
            assert (told.status_code, told.json()["field"]) == (422, extra), path
