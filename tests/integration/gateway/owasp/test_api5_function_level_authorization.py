"""API5:2023, broken function level authorization: each write by somebody whose function it is not; every write route is in the table."""

from __future__ import annotations

import json

import httpx
import pytest

from marketplace.api.gpu_use import GpuSampleDocument, GpuSamplesSent
from marketplace.api.job_use import JobSampleDocument, JobSamplesSent
from marketplace.api.record import to_json
from marketplace.chain.signing import Key
from marketplace.domain.ids import sha256_of
from marketplace.domain.wire import receipt_to_wire
from tests.integration.gateway.conftest import CLIENT, OTHER_CLIENT, OTHER_PROVIDER, PROVIDER, STRANGER, Gateway
from tests.integration.gateway.owasp.conftest import Private

OPEN_TO_ALL = {
    ("post", "/v1/orders"), ("post", "/v1/quotes"), ("post", "/v1/sessions"), ("post", "/v1/leases/{lease_id}/declines"),
    ("post", "/v1/leases/{lease_id}/host-key"), ("post", "/v1/measurements"),
}  # fmt: skip
"""They carry their own signature, or change nothing."""
NOT_ALLOWED: dict[tuple[str, str], tuple[Key, ...]] = {
    ("delete", "/v1/orders/{order_id}"): (OTHER_CLIENT, PROVIDER, STRANGER),
    ("post", "/v1/leases/{lease_id}/logs"): (CLIENT, OTHER_PROVIDER, STRANGER),
    ("post", "/v1/leases/{lease_id}/receipts"): (OTHER_PROVIDER, OTHER_CLIENT, STRANGER),
    ("post", "/v1/leases/{lease_id}/key"): (PROVIDER, OTHER_PROVIDER, OTHER_CLIENT, STRANGER),
    ("post", "/v1/leases/{lease_id}/gpus"): (CLIENT, OTHER_PROVIDER, OTHER_CLIENT, STRANGER),
    ("post", "/v1/leases/{lease_id}/usage"): (CLIENT, OTHER_PROVIDER, OTHER_CLIENT, STRANGER),
    ("post", "/v1/heartbeats"): (STRANGER,),
    ("post", "/v1/images"): (CLIENT, OTHER_CLIENT, STRANGER),
}
WITHOUT_FUNCTION = {("put", "/v1/blobs/{name}"), ("delete", "/v1/sessions")}
"""Anybody may, for itself only."""


def sent(gateway: Gateway, private: Private, route: tuple[str, str], key: Key | None) -> httpx.Response:
    method, path = route
    path = path.format(order_id=private.lease.id, lease_id=private.lease.id, name=sha256_of(b"x"))
    body = b"{}"
    if path.endswith("/receipts"):
        receipt = gateway.receipt(private.lease.id, 7, "0x" + "00" * 32, last=False)  # type: ignore[arg-type]
        wire = {
            "receipt": receipt_to_wire(receipt),
            "role": "provider",
            "signature": PROVIDER.sign_receipt(receipt, gateway.domain),
        }
        body = json.dumps(wire).encode()
    if path.endswith("/gpus"):
        body = to_json(GpuSamplesSent([GpuSampleDocument(2, "GPU-a", 97, 20_000, 400, 71)]))
    if path.endswith("/usage"):
        body = to_json(JobSamplesSent([JobSampleDocument(2, 1_500, 300, 2, 4_096)]))
    if path == "/v1/images":
        body = b'{"images": []}'
    if method == "delete":
        body = b""
    if key is None:
        return gateway.http.request(method, path, content=body, headers={"Content-Type": "application/json"})
    return gateway.write(key, method.upper(), path, body)


def test_every_write_has_its_line_in_the_table(gateway: Gateway) -> None:
    """A new route that changes something must say who may use it."""
    paths = gateway.http.get("/openapi.json").json()["paths"]
    writes = {(method, path) for path, methods in paths.items() for method in methods if method not in ("get", "head")}

    assert writes == OPEN_TO_ALL | WITHOUT_FUNCTION | set(NOT_ALLOWED)


@pytest.mark.parametrize("route", NOT_ALLOWED, ids=lambda route: " ".join(route))
def test_nobody_does_what_is_anothers_function(gateway: Gateway, private: Private, route: tuple[str, str]) -> None:
    """A 403 for the wrong account, a 401 for nobody, and nothing has changed."""
    gateway.sync()
    before = gateway.everything()

    assert {sent(gateway, private, route, key).status_code for key in NOT_ALLOWED[route]} == {403}
    assert sent(gateway, private, route, None).status_code == 401
    assert gateway.everything() == before


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST", "TRACE", "CONNECT", "LOCK"])
def test_no_other_method_does_anything(gateway: Gateway, private: Private, method: str) -> None:
    """On routes that are read: a 405, whoever signs."""
    for path in (
        f"/v1/leases/{private.lease.id}",
        f"/v1/leases/{private.lease.id}/outputs",
        "/v1/market",
        f"/v1/accounts/{CLIENT.address}",
    ):
        told = gateway.write(CLIENT, method, path, b"")
        assert told.status_code == 405, path
    forced = gateway.http.get("/v1/market", headers={"X-HTTP-Method-Override": method})
    assert forced.status_code == 200
