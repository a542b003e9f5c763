"""API7:2023, server side request forgery: no field makes the gateway talk to anybody but its own neighbours."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from marketplace.domain.canonical import canonical_json
from marketplace.domain.ids import bytes32_of, sha256_of
from tests.integration.gateway.conftest import CLIENT, Gateway
from tests.integration.gateway.owasp.conftest import Private


@contextmanager
def canary() -> Iterator[tuple[str, list[object]]]:
    """A server that nobody should ever connect to, and who did."""
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    line, peer = listener.accept()
                except TimeoutError:
                    continue
                seen.append(peer)
                line.close()

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/x", seen
        finally:
            over.set()
            thread.join()


def test_no_url_in_a_request_is_followed(gateway: Gateway, private: Private) -> None:
    """In specs, works, machines, quotes, sessions, paths and headers: refused, or kept as the text that it is."""
    with canary() as (url, seen):
        spec = json.loads(gateway.spec().canonical())
        for changed in (
            {"image": url},
            {"work": {"sha256": url, "bytes": 1}},
            {"checkpoint": url},
            {"constraints": {"regions": [url]}},
        ):
            content = canonical_json(spec | changed)
            gateway.keep(content, CLIENT, public=True)
            assert gateway.post_order(gateway.signed(spec=bytes32_of(sha256_of(content)))).status_code == 422
        for path in (
            f"/v1/blobs/{url}",
            f"/v1/accounts/{url}",
            f"/{url}",
            f"/v1/leases/{private.lease.id}/outputs?share={url}",
        ):
            assert gateway.read(CLIENT, path).status_code >= 400
        for body in ({"gpu": url, "maxSeconds": 1}, {"gpu": "RTX4090", "maxSeconds": 1, "spec": url}):
            assert gateway.http.post("/v1/quotes", json=body).status_code == 422
        told = gateway.http.post("/v1/sessions", json={"message": url, "signature": "0x"})
        assert told.status_code == 401
        headers = {
            "Host": url.split("/")[2],
            "X-Forwarded-Host": url,
            "Referer": url,
            "Bourse-For": url,
            "Forwarded": f"host={url}",
        }
        assert gateway.http.get("/v1/market", headers=headers).status_code == 200

    assert seen == []
