"""API2:2023, broken authentication: sessions by Sign-In with Ethereum, and signed reads."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

import httpx
import pytest

from marketplace.api.sessions import ChallengeAnswer, SessionAnswer
from marketplace.chain.devnet import increase_time
from marketplace.chain.request_signing import sign_request
from marketplace.chain.sign_in import SignIn, read_sign_in
from marketplace.chain.signing import Key
from marketplace.domain.ids import Address, sha256_of
from marketplace.gateway.app import create_app
from marketplace.gateway.desks import desks_over
from marketplace.services.sessions import CHALLENGE_SECONDS, MOST_SESSIONS, SESSION_SECONDS
from tests.integration.contracts import wallet_of
from tests.integration.gateway.conftest import CLIENT, OTHER_CLIENT, PROVIDER, STRANGER, Gateway, running
from tests.integration.gateway.forms import check_form
from tests.integration.gateway.owasp.conftest import Private


def challenge(gateway: Gateway, account: Address) -> str:
    told = gateway.http.get(f"/v1/sessions/challenge?account={account}")
    check_form(ChallengeAnswer, told.json())
    return str(told.json()["message"])


def sign_in(gateway: Gateway, key: Key, message: str, signature: str = "") -> httpx.Response:
    return gateway.http.post(
        "/v1/sessions", json={"message": message, "signature": signature or key.sign_text(message)}
    )


def bearer(told: httpx.Response) -> dict[str, str]:
    assert told.status_code == 201, told.text
    check_form(SessionAnswer, told.json())
    return {"Authorization": f"Bearer {told.json()['token']}"}


def log_of(gateway: Gateway, private: Private, headers: dict[str, str], url: str = "") -> int:
    return gateway.http.get(f"{url}/v1/leases/{private.lease.id}/logs?follow=false", headers=headers).status_code


def test_a_session_reads_as_its_account_at_every_gateway_until_it_ends(gateway: Gateway, private: Private) -> None:
    """Signed once; known to another gateway over the same journal; gone everywhere when it is closed; nobody else's is opened by it."""
    session = bearer(sign_in(gateway, CLIENT, challenge(gateway, CLIENT.address)))
    others = bearer(sign_in(gateway, OTHER_CLIENT, challenge(gateway, OTHER_CLIENT.address)))
    roles = gateway.app.state.desks.roles
    twin = desks_over(gateway.market, gateway.journal, gateway.board, gateway.blobs, roles, clock=time)

    with running(create_app(twin)) as url:
        assert [log_of(gateway, private, session, where) for where in ("", url)] == [200, 200]
        assert log_of(gateway, private, others, url) == 404
        assert gateway.http.delete("/v1/sessions", headers=session).status_code == 200
        assert [log_of(gateway, private, session, where) for where in ("", url)] == [401, 401]
    assert gateway.http.delete("/v1/sessions").status_code == 401


def test_a_session_writes_nothing(gateway: Gateway, private: Private) -> None:
    """A token that leaks lets somebody read for an hour, and do nothing."""
    session = bearer(sign_in(gateway, PROVIDER, challenge(gateway, PROVIDER.address)))

    for method, path in (
        ("POST", "/v1/heartbeats"), ("POST", f"/v1/leases/{private.lease.id}/logs?offset=8"), ("DELETE", f"/v1/orders/{private.lease.id}"),
    ):  # fmt: skip
        answer = gateway.http.request(
            method, path, content=b"{}", headers={"Content-Type": "application/json", **session}
        )
        assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized"), path


def test_the_pages_session_is_a_cookie_that_counts_for_the_page_only(gateway: Gateway, private: Private) -> None:
    """No script reads it, no token is told; it reads only where the browser says that this origin's page asks, and goes when it is closed."""
    ours = {"Sec-Fetch-Site": "same-origin"}
    message = challenge(gateway, CLIENT.address)
    signed = {"message": message, "signature": CLIENT.sign_text(message)}
    told = httpx.post(
        f"{gateway.url}/v1/sessions", json=signed, headers={"Bourse-Page": "1", **ours}, trust_env=False, timeout=20
    )
    kept, _, rest = told.headers["set-cookie"].partition(";")
    cookie = {"Cookie": kept}

    assert (told.status_code, told.json()["token"]) == (201, "")
    assert {word.strip().lower() for word in rest.split(";")} >= {"httponly", "samesite=strict", "path=/v1"}
    assert log_of(gateway, private, cookie | ours) == 200
    for site in ("cross-site", "same-site", "none"):
        assert log_of(gateway, private, cookie | {"Sec-Fetch-Site": site}) == 401, site
    assert log_of(gateway, private, cookie) == 401
    assert gateway.http.delete("/v1/sessions", headers=cookie).status_code == 401
    assert gateway.http.delete("/v1/sessions", headers=cookie | ours).status_code == 200
    assert log_of(gateway, private, cookie | ours) == 401


def test_another_page_gets_no_cookie(gateway: Gateway) -> None:
    """A sign-in that another origin's page sends, or that does not say that it is the page's, is told its token as ever."""
    for headers in ({"Bourse-Page": "1", "Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-origin"}):
        message = challenge(gateway, CLIENT.address)
        signed = {"message": message, "signature": CLIENT.sign_text(message)}
        told = gateway.http.post("/v1/sessions", json=signed, headers=headers)

        assert told.status_code == 201
        assert told.json()["token"]
        assert "set-cookie" not in told.headers


def test_a_session_is_short(gateway: Gateway, private: Private) -> None:
    """An hour of block time, and no longer than the message says."""
    session = bearer(sign_in(gateway, CLIENT, challenge(gateway, CLIENT.address)))
    increase_time(gateway.chain, SESSION_SECONDS + 1)
    gateway.sync()

    assert log_of(gateway, private, session) == 401


def test_a_wallet_that_is_a_contract_signs_in(gateway: Gateway) -> None:
    """Its owner's signature is taken where the wallet takes it (EIP-1271); a stranger's is not."""
    wallet = wallet_of(gateway.chain, OTHER_CLIENT)
    message = challenge(gateway, wallet)

    assert sign_in(gateway, STRANGER, message).status_code == 401
    told = sign_in(gateway, OTHER_CLIENT, message)
    assert (told.status_code, told.json()["account"]) == (201, wallet)


def changed(change: Callable[[SignIn], dict[str, Any]]) -> Callable[[Gateway, str], str]:
    def text(gateway: Gateway, message: str) -> str:
        said = read_sign_in(message, gateway.domain)
        fields = {name: getattr(said, name) for name in SignIn.__dataclass_fields__}
        return SignIn(**(fields | change(said))).text()

    return text


FORGED: dict[str, Callable[[Gateway, str], str]] = {
    "for another site": changed(lambda said: {"site": "http://evil.example"}),
    "for another scheme": changed(lambda said: {"site": said.site.replace("http:", "https:")}),
    "for two sites": lambda _, message: message.replace("URI: http://", "URI: http://evil."),
    "with a nonce of one's own": changed(lambda said: {"nonce": "0" * len(said.nonce)}),
    "with another account's nonce": lambda gateway, _: changed(lambda said: {"account": CLIENT.address})(gateway, challenge(gateway, STRANGER.address)),
    "issued at another time": changed(lambda said: {"issued_at": said.issued_at + 1}),
    "expired": changed(lambda said: {"expires_at": said.issued_at}),
    "for another chain": lambda _, message: message.replace("Chain ID: 31337", "Chain ID: 1"),
    "for another market": lambda gateway, message: message.replace(gateway.domain.market, STRANGER.address),
    "without an expiry": lambda _, message: "\n".join(line for line in message.split("\n") if "Expiration" not in line),
    "that is no message": lambda _, message: "sign in",
    "too long": lambda _, message: message + " " * 3_000,
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_message_that_is_not_the_gateways_challenge_is_refused(gateway: Gateway, name: str) -> None:
    """Whatever the account signed: another site's, another time's, another chain's message opens nothing here."""
    message = FORGED[name](gateway, challenge(gateway, CLIENT.address))

    told = sign_in(gateway, CLIENT, message)

    assert told.status_code in (401, 422), told.text
    assert told.headers["content-type"] == "application/problem+json"


def test_a_challenge_is_answered_once_and_soon(gateway: Gateway) -> None:
    """A message that somebody overheard opens no second session, and an old one none at all."""
    message = challenge(gateway, CLIENT.address)
    assert sign_in(gateway, CLIENT, message).status_code == 201
    assert sign_in(gateway, CLIENT, message).status_code == 401
    assert sign_in(gateway, CLIENT, challenge(gateway, CLIENT.address), STRANGER.sign_text(message)).status_code == 401

    late = challenge(gateway, CLIENT.address)
    increase_time(gateway.chain, CHALLENGE_SECONDS + 1)
    gateway.sync()
    assert sign_in(gateway, CLIENT, late).status_code == 401


def test_an_account_has_few_sessions(gateway: Gateway, private: Private) -> None:
    """Signing in again and again makes the oldest go, not the journal grow."""
    sessions = [bearer(sign_in(gateway, CLIENT, challenge(gateway, CLIENT.address))) for _ in range(MOST_SESSIONS + 2)]

    assert sum(log_of(gateway, private, session) == 200 for session in sessions) == MOST_SESSIONS


@pytest.mark.parametrize(
    "value", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer x", "Bearer " + "a" * 43, "Bearer ü" * 5, ""]
)
def test_what_is_no_token_is_no_session(gateway: Gateway, private: Private, value: str) -> None:
    """Made up, malformed, of another scheme: a 401, never a 500."""
    assert (
        log_of(
            gateway, private, {"Authorization": value.encode("latin-1").decode("latin-1")} if value.isascii() else {}
        )
        == 401
    )


def test_a_signed_read_is_good_for_one_path_and_a_short_while(gateway: Gateway, private: Private) -> None:
    """Not for another lease's log, another query, another method, another market or an old block time."""
    path, nothing = f"/v1/leases/{private.lease.id}/outputs", sha256_of(b"")

    def read(headers: dict[str, str]) -> int:
        return gateway.http.get(path, headers=headers).status_code

    assert read(gateway.reading(CLIENT, path)) == 200
    assert read(gateway.reading(CLIENT, path + "?x=1")) == 401
    assert read(sign_request(CLIENT, "POST", path, nothing, gateway.now(), gateway.domain)) == 401
    assert read(sign_request(CLIENT, "GET", path, nothing, gateway.now() - 121, gateway.domain)) == 401  # type: ignore[arg-type]
    assert read(gateway.reading(STRANGER, path) | {"Bourse-Account": CLIENT.address}) == 401
    assert read({"Bourse-Account": CLIENT.address}) == 401
