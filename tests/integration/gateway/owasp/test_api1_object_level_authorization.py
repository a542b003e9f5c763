"""API1:2023, broken object level authorization: every route with an id, from the OpenAPI document, asked by outsiders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from marketplace.chain.signing import Key
from marketplace.domain.ids import bytes32_of, sha256_of
from marketplace.domain.work import Input
from tests.integration.gateway.conftest import BUNDLE, CLIENT, PROVIDER, STRANGER, Gateway
from tests.integration.gateway.owasp.conftest import OUTSIDERS, SECRET, Private

PUBLIC = {
    "/v1/orders/{order_id}", "/v1/orders/{order_id}/explanation", "/v1/leases/{lease_id}", "/v1/leases/{lease_id}/receipts",
    "/v1/offers/{offer}", "/v1/book/{class_name}", "/v1/prices/{class_name}", "/v1/rounds/{round_hash}", "/v1/accounts/{account}",
    "/v1/providers/{provider}", "/v1/leases/{lease_id}/declines", "/v1/history/{class_name}", "/v1/providers/{provider}/scores",
    "/v1/accounts/{account}/statement", "/v1/accounts/{account}/statement.csv", "/v1/accounts/{account}/delegates",
    "/v1/orders/{order_id}/events", "/v1/images/{name}/providers",
    "/v1/vaults/{vault}", "/v1/vaults/{vault}/loans/{loan}", "/v1/companies/{company}",
}  # fmt: skip
"""What the chain's log says to everybody anyway, and what anybody may audit."""


def private_routes(gateway: Gateway) -> Iterator[str]:
    """Every path with an id that can be read and is not public."""
    for path, methods in gateway.http.get("/openapi.json").json()["paths"].items():
        if "{" in path and "get" in methods and path not in PUBLIC:
            yield path


def asked(gateway: Gateway, path: str, key: Key | None, *, method: str = "GET") -> tuple[int, str]:
    """What an account is told, without what it sent itself: status and reason."""
    headers = gateway.reading(key, path) if key else {}
    answer = gateway.http.request(method, path, headers=headers)
    return answer.status_code, answer.json()["reason"] if answer.is_error else ""


def test_the_table_of_public_routes_is_of_this_gateway(gateway: Gateway) -> None:
    """A route that is gone, or renamed, leaves the table; one that is new is private until somebody says otherwise."""
    assert set(gateway.http.get("/openapi.json").json()["paths"]) >= PUBLIC
    assert {"/v1/leases/{lease_id}/logs", "/v1/leases/{lease_id}/outputs", "/v1/blobs/{name}"} <= set(
        private_routes(gateway)
    )


@pytest.mark.parametrize("outsider", [None, *OUTSIDERS, STRANGER], ids=["nobody", "client", "provider", "stranger"])
def test_an_outsider_is_told_the_same_of_what_is_not_its_own_and_what_is_not_there(
    gateway: Gateway, private: Private, outsider: Key | None
) -> None:
    """On every route with an id: no content, and no way to find out by asking."""
    for path in private_routes(gateway):
        for blob in private.blobs:
            query = "?follow=false" if path.endswith("/logs") else ""
            theirs = path.format(lease_id=private.lease.id, name=blob) + query
            absent = path.format(lease_id="0x" + "7" * 64, name="7" * 64) + query
            of_theirs = path.format(lease_id=private.lease.id, name="7" * 64) + query
            told = {asked(gateway, one, outsider) for one in (theirs, absent, of_theirs)}
            assert len(told) == 1, (path, told)
            assert told <= {(401, "Unauthorized"), (404, "NotFound")}, path


@pytest.mark.parametrize("party", [CLIENT, PROVIDER], ids=["client", "provider"])
def test_the_parties_read_everything(gateway: Gateway, private: Private, party: Key) -> None:
    """The work with its secret, inputs, log, result and outputs."""
    lease = f"/v1/leases/{private.lease.id}"
    read = {blob: gateway.read(party, f"{lease}/blobs/{blob}") for blob in private.blobs}

    assert {blob: sha256_of(answer.content) for blob, answer in read.items()} == {blob: blob for blob in private.blobs}
    assert SECRET in read[private.work.name.sha256].text
    assert gateway.read(party, f"{lease}/logs?follow=false").text.startswith("epoch 1\n")
    assert gateway.read(party, f"{lease}/outputs").json()["resultSha256"] == private.result.sha256


def test_a_name_that_somebody_learnt_opens_nothing(gateway: Gateway, private: Private) -> None:
    """Neither by itself, nor as an input of an order of one's own, nor as the result of a lease of one's own."""
    thief, (secret, *_) = OUTSIDERS[0], private.blobs
    assert asked(gateway, f"/v1/blobs/{secret}", thief) == (404, "NotFound")
    assert asked(gateway, f"/v1/blobs/{secret}", CLIENT)[0] == 200

    work = gateway.work(inputs=(Input("/job/in", private.work.name.bytes, (secret,)),), salt="0a" * 32)
    gateway.keep(work.canonical(), thief)
    order = gateway.order(thief, spec=bytes32_of(gateway.spec(work=work.name).sha256))
    refused = gateway.post_order(thief.sign_order(order, gateway.domain))
    assert (refused.status_code, refused.json()["reason"]) == (409, "MissingBlob")

    offer = gateway.list(OUTSIDERS[1])
    own_work = gateway.work(salt="0c" * 32)
    gateway.keep(own_work.canonical(), thief)
    gateway.keep(BUNDLE, thief)
    own = gateway.leased(offer, key=thief, spec=bytes32_of(gateway.spec(work=own_work.name).sha256))
    receipt = gateway.receipt(own.id, 0, bytes32_of(private.result.sha256))
    posted = gateway.post_receipt(OUTSIDERS[1], receipt, "provider")
    assert (posted.status_code, posted.json()["field"]) == (422, "resultDocument")
    posted = gateway.post_receipt(OUTSIDERS[1], receipt, "provider", private.result)
    assert posted.status_code == 201
    for blob in private.blobs[-2:]:
        assert asked(gateway, f"/v1/leases/{own.id}/blobs/{blob}", thief) == (404, "NotFound")


def test_naming_somebody_as_acceptor_opens_nothing_of_theirs(gateway: Gateway, private: Private) -> None:
    """Whoever writes an order names its acceptor, who need not know: its files are not the order's, here and past the gateway."""
    thief, lease, secret = OUTSIDERS[1], private.lease, private.work.name.sha256
    spec = replace(gateway.spec(work=private.work.name), public=True)
    gateway.keep(spec.canonical(), thief, public=True)
    order = gateway.order(thief, acceptor=lease.order.client, spec=bytes32_of(spec.sha256))
    signed = thief.sign_order(order, gateway.domain)
    refused = gateway.post_order(signed)
    assert (refused.status_code, refused.json()["reason"]) == (409, "MissingBlob")

    gateway.open(signed, private.offer)
    assert (
        gateway.http.get(f"/v1/leases/{signed.id}/outputs").json()["reason"] == "NotFound"
    )  # the lease is known, and public
    for reader in (thief, PROVIDER):
        assert asked(gateway, f"/v1/leases/{signed.id}/blobs/{secret}", reader) == (404, "NotFound")


def test_bringing_the_content_is_no_question_about_it(gateway: Gateway, private: Private) -> None:
    """An upload of what others keep here is answered as the first upload of anything; only afterwards it is the sender's, too."""
    thief = OUTSIDERS[0]
    content = private.work.canonical()
    answers: list[httpx.Response] = []
    for one in (content, content.replace(b"launch", b"lunch!")):
        path = f"/v1/blobs/{sha256_of(one)}"
        answers.append(gateway.write(thief, "PUT", path, b"", body_sha256=sha256_of(one)))
    assert {(answer.status_code, answer.json()["reason"]) for answer in answers} == {(422, "HashMismatch")}

    path = f"/v1/blobs/{sha256_of(content)}"
    assert gateway.write(thief, "PUT", path, content, kind="application/octet-stream").status_code == 201
    assert gateway.read(thief, path).content == content


def test_a_public_job_is_read_by_everybody(gateway: Gateway, private: Private) -> None:
    """``"public": true`` in the spec, which its client signed by hash, opens work, inputs and log."""
    work = gateway.work(salt="0b" * 32)
    spec = replace(gateway.spec(work=work.name), public=True)
    gateway.keep(spec.canonical(), public=True)
    lease = gateway.leased(private.offer, spec=bytes32_of(spec.sha256))

    assert gateway.http.get(f"/v1/leases/{lease.id}/blobs/{work.name.sha256}").content == work.canonical()
    assert gateway.http.get(f"/v1/leases/{lease.id}/logs?follow=false").status_code == 200
