"""API8:2023, security misconfiguration: what a gateway tells and allows without being asked to."""

from __future__ import annotations

import pytest

from tests.integration.gateway.conftest import CLIENT, Gateway
from tests.integration.gateway.owasp.conftest import Private


def test_answers_are_never_taken_for_pages(gateway: Gateway, private: Private) -> None:
    """No content sniffing; files come as attachments that run nothing; private ones are in no shared cache."""
    path = f"/v1/leases/{private.lease.id}/blobs/{private.blobs[0]}"
    read = gateway.read(CLIENT, path)

    assert read.headers["content-disposition"] == "attachment"
    assert read.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert read.headers["cache-control"].startswith("private")
    for url in ("/v1/market", "/nothing", path):
        assert gateway.http.get(url).headers["x-content-type-options"] == "nosniff"


def test_no_other_site_may_read_with_a_visitors_session(gateway: Gateway, private: Private) -> None:
    """No cross-origin leave, no cookies: a token is sent by who has it, and by no browser on its own."""
    asked = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    for method in ("GET", "OPTIONS"):
        told = gateway.http.request(method, f"/v1/leases/{private.lease.id}", headers=asked)
        assert not [name for name in told.headers if name.lower().startswith("access-control-")]
        assert "set-cookie" not in told.headers


@pytest.mark.parametrize(
    "path",
    [
        "/redoc",
        "/debug",
        "/.env",
        "/.git/config",
        "/admin",
        "/v1/journal",
        "/v1/blobs/",
        "/v1/blobs",
        "/static/../etc/passwd",
    ],
)
def test_nothing_else_is_served(gateway: Gateway, path: str) -> None:
    """No documentation pages, no files, no listings."""
    assert gateway.http.get(path).status_code in (404, 405)


def test_problems_tell_nothing_of_the_inside(gateway: Gateway, private: Private) -> None:
    """No paths of files, no traces, no versions, no addresses of neighbours."""
    inside = (
        str(gateway.blobs.path),
        str(gateway.journal_file),
        gateway.redis.url,
        "Traceback",
        ".py",
        "uvicorn",
        "sqlite",
    )
    for path in (
        "/v1/orders/x",
        "/v1/leases/0x12",
        "/v1/quotes",
        f"/v1/leases/{private.lease.id}/logs",
        "/v1/events?after=x",
        "/ready?for=x",
    ):
        told = gateway.http.get(path)
        assert told.is_error
        assert not [word for word in inside if word in told.text + str(told.headers.get("server", ""))], path
