"""HTTP as every library expects it: methods, parts, media types, parameters, places, other origins, and streams that are over."""

from __future__ import annotations

import random
from collections.abc import Iterator

import httpx
import pytest
from httpx_sse import EventSource

from marketplace.chain import verbs
from marketplace.chain.request_signing import sign_request
from marketplace.domain.ids import sha256_of
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.gateway.app import create_app
from tests.integration.gateway.conftest import BUNDLE, CLIENT, PROVIDER, Gateway, running

SHOP = "https://shop.example"
CONTENT = random.Random(7).randbytes(100_000)


@pytest.fixture(scope="module")
def lease(gateway: Gateway) -> SignedOrder:
    """A lease that is over, with a log of ten bytes."""
    signed = gateway.leased(gateway.list())
    path = f"/v1/leases/{signed.id}/logs?offset=0"
    assert gateway.write(PROVIDER, "POST", path, b"0123456789", kind="application/octet-stream").status_code == 200
    gateway.send(CLIENT, verbs.terminate(gateway.book.market, signed.order))
    return signed


@pytest.fixture(scope="module")
def blob(gateway: Gateway) -> str:
    """The path of a public file."""
    return f"/v1/blobs/{gateway.keep(CONTENT, public=True)}"


def paths(gateway: Gateway) -> Iterator[tuple[str, set[str]]]:
    """Every route of the document with the methods that it answers, its parameters filled in."""
    for path, methods in gateway.http.get("/openapi.json").json()["paths"].items():
        filled = path.replace("{name}", "ab" * 32).replace("{class_name}", "RTX4090").replace("{offer}", "1")
        for word in ("{order_id}", "{lease_id}", "{round_hash}"):
            filled = filled.replace(word, "0x" + "12" * 32)
        for word in ("{account}", "{provider}", "{vault}", "{company}"):
            filled = filled.replace(word, CLIENT.address)
        filled = filled.replace("{loan}", "1")
        assert "{" not in filled
        yield filled, {method.upper() for method in methods}


def test_every_route_says_what_it_answers(gateway: Gateway) -> None:
    """OPTIONS and a 405 name the same methods, all of the path's: HEAD wherever there is GET, and OPTIONS."""
    for path, methods in paths(gateway):
        expected = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
        options, refused = gateway.http.options(path), gateway.http.request("PATCH", path)
        assert (options.status_code, options.content, refused.status_code) == (204, b"", 405), path
        assert refused.json()["reason"] == "MethodNotAllowed"
        assert [set(answer.headers["allow"].split(", ")) for answer in (options, refused)] == [expected] * 2, path
    assert gateway.http.options("/v1/nothing").status_code == 404


def test_every_read_answers_a_head_as_it_answers_a_get(gateway: Gateway) -> None:
    """The same status and kind of answer without its body, at once also where a GET would go on for ever."""
    for path, methods in paths(gateway):
        if "GET" not in methods:
            continue
        head = gateway.http.head(path)
        with gateway.http.stream("GET", path) as get:
            assert (head.status_code, head.content) == (get.status_code, b""), path
            assert head.headers["content-type"] == get.headers["content-type"], path


def test_a_signed_head_is_signed_as_a_head(gateway: Gateway) -> None:
    """Although it is served as a GET: a signature over another method is none."""
    path = f"/v1/blobs/{gateway.keep(b'my own', CLIENT)}"

    answers = [
        gateway.http.head(
            path, headers=sign_request(CLIENT, method, path, sha256_of(b""), gateway.now(), gateway.domain)
        )
        for method in ("HEAD", "GET")
    ]
    assert [answer.status_code for answer in answers] == [200, 401]


def test_a_download_resumes(gateway: Gateway, blob: str) -> None:
    """From where it broke off, by curl's own means: Range with If-Range; joined it is the file, byte for byte."""
    whole = gateway.http.get(blob)
    first = gateway.http.get(blob, headers={"Range": "bytes=0-59999"})
    rest = gateway.http.get(blob, headers={"Range": "bytes=60000-", "If-Range": first.headers["etag"]})

    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    assert (first.status_code, rest.status_code) == (206, 206)
    assert first.headers["content-range"] == "bytes 0-59999/100000"
    assert rest.headers["content-range"] == "bytes 60000-99999/100000"
    assert first.content + rest.content == whole.content == CONTENT
    tail = gateway.http.get(blob, headers={"Range": "bytes=-5"})
    assert (tail.headers["content-length"], tail.content) == ("5", CONTENT[-5:])
    other = gateway.http.get(blob, headers={"Range": "bytes=60000-", "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, CONTENT)
    beyond = gateway.http.get(blob, headers={"Range": "bytes=100000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */100000")
    assert (beyond.json()["reason"], beyond.json()["bytes"]) == ("RangeNotSatisfiable", 100_000)


def test_a_partys_file_resumes_for_the_party_only(gateway: Gateway, lease: SignedOrder) -> None:
    """Below a lease as well; who may not read the file learns nothing by asking for a part of it, or by its tag."""
    content = BUNDLE
    path, tag = f"/v1/leases/{lease.id}/blobs/{sha256_of(content)}", f'"{sha256_of(content)}"'

    part = gateway.read(CLIENT, path, Range="bytes=3-")
    assert (part.status_code, part.content) == (206, content[3:])
    assert gateway.read(CLIENT, path, **{"If-None-Match": tag}).status_code == 304
    for headers in ({"Range": "bytes=3-"}, {"If-None-Match": tag}, {"If-None-Match": "*"}):
        assert gateway.http.get(path, headers=headers).status_code == 401


def test_what_the_client_has_is_not_sent_again(gateway: Gateway, blob: str) -> None:
    """A 304 with the tag and without a body, packed or not; another tag gets the file."""
    large = f"/v1/blobs/{gateway.keep(b'x' * (1 << 20), public=True)}"
    for path in (blob, large):
        tag = gateway.http.get(path).headers["etag"]
        known = gateway.http.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
        assert (known.status_code, known.content) == (304, b"")
        assert known.headers["etag"].strip('"') in tag
        assert gateway.http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_an_answer_that_the_client_has_is_not_sent_again(gateway: Gateway) -> None:
    """Reads in JSON have a tag, also those that are remembered: with it a 304 without a body, until what they tell has changed."""
    for path in ("/v1/classes", "/v1/offers", "/v1/book/RTX4090", f"/v1/accounts/{CLIENT.address}/statement.csv"):
        gateway.http.get(path)
        told = gateway.http.get(path)
        tag = told.headers["etag"]
        known = gateway.http.get(path, headers={"If-None-Match": tag})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag), path
        assert gateway.http.head(path).headers["etag"] == tag
        other = gateway.http.get(path, headers={"If-None-Match": '"other"'})
        assert (other.status_code, other.content) == (200, told.content)
    path = f"/v1/accounts/{CLIENT.address}"
    before = gateway.http.get(path).headers["etag"]
    gateway.fund(CLIENT, 5)
    assert gateway.http.get(path, headers={"If-None-Match": before}).status_code == 200
    assert "etag" not in gateway.http.get("/v1/nothing").headers


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/v1/market", "text/html", 406),
        ("/v1/market", "application/json;q=0", 406),
        ("/v1/market", "text/html, */*;q=0.1", 200),
        ("/v1/market", "application/*", 200),
        ("/metrics", "application/json", 406),
        ("/metrics", "text/plain", 200),
        ("/v1/blobs/" + sha256_of(CONTENT), "application/json", 406),
        ("/v1/blobs/" + sha256_of(CONTENT), "application/octet-stream", 200),
        ("/v1/events", "application/json", 406),
        ("/v1/leases/0x" + "1" * 64 + "/logs", "text/plain", 406),
        ("/v1/leases/0x" + "1" * 64 + "/logs?follow=false", "text/plain", 401),
    ],
)
def test_nobody_gets_what_it_cannot_read(gateway: Gateway, blob: str, path: str, accept: str, status: int) -> None:
    """Where nothing fits ``Accept``, a 406 says what would; problems are told to everybody."""
    answer = gateway.http.get(path, headers={"Accept": accept})

    assert answer.status_code == status
    if status == 406:
        problem = answer.json()
        assert (problem["reason"], problem["field"]) == ("NotAcceptable", "Accept")
        assert "/" in problem["rule"]


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("GET", "/v1/offers?Class=1", "Class"),
        ("GET", "/v1/offers?limit=5&page=2", "page"),
        ("GET", "/v1/offers?limit=5&limit=6", "limit"),
        ("GET", "/v1/market?x", "x"),
        ("HEAD", "/v1/market?x=", "x"),
        ("POST", "/v1/orders?dry=true", "dry"),
        ("PUT", "/v1/blobs/" + "ab" * 32 + "?Public=true", "Public"),
        ("GET", "/ready?duty=orders", "duty"),
        ("GET", "/v1/leases/0x" + "1" * 64 + "/logs?from=4", "from"),
    ],
)
def test_a_parameter_that_nothing_would_obey_is_refused(gateway: Gateway, method: str, path: str, field: str) -> None:
    """By its name, before anything else: whoever misspelt it would believe that it holds."""
    answer = gateway.http.request(method, path)

    assert answer.status_code == 422
    if method != "HEAD":
        assert (answer.json()["reason"], answer.json()["field"]) == ("InvalidField", field)


def test_what_is_made_says_where_it_is(gateway: Gateway) -> None:
    """``Location`` on each 201, also on one that is replayed; it leads to what was made."""
    signed, content = gateway.signed(), b"a new file"
    posted = [gateway.post_order(signed, **{"Idempotency-Key": "manners"}) for _ in range(2)]
    put = gateway.write(CLIENT, "PUT", f"/v1/blobs/{sha256_of(content)}?public=true", content)

    assert [answer.status_code for answer in (*posted, put)] == [201] * 3
    assert [answer.headers["location"] for answer in posted] == [f"/v1/orders/{signed.id}"] * 2
    assert gateway.http.get(posted[0].headers["location"]).json()["id"] == signed.id
    assert gateway.http.get(put.headers["location"]).content == content
    assert "location" not in gateway.post_order(signed).headers


def test_other_origins_are_let_in_by_name_only(gateway: Gateway) -> None:
    """None by default; those that the operator names may send signed requests and read our headers, problems included."""
    asking = {
        "Origin": SHOP,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "bourse-account",
    }
    path = "/v1/blobs/" + "ab" * 32
    assert "access-control-allow-origin" not in gateway.http.options(path, headers=asking).headers
    with (
        running(create_app(gateway.app.state.desks, origins=(SHOP,))) as url,
        httpx.Client(base_url=url, trust_env=False) as http,
    ):
        preflight, read = http.options(path, headers=asking), http.get(path, headers={"Origin": SHOP})
        stranger = http.get(path, headers={"Origin": "https://else.example"})

    assert preflight.status_code == 204
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    assert {"Bourse-Signature", "Range"} <= set(preflight.headers["access-control-allow-headers"].split(", "))
    assert (read.status_code, read.headers["access-control-allow-origin"]) == (404, SHOP)
    assert {"ETag", "Content-Range"} <= set(read.headers["access-control-expose-headers"].split(", "))
    assert "access-control-allow-origin" not in stranger.headers
    assert "Origin" in stranger.headers["vary"]


def test_a_log_asked_beyond_its_end_says_how_long_it_is(gateway: Gateway, lease: SignedOrder) -> None:
    """As plain text a 416 with the length, as a stream an ``end`` with it; at the end itself there is nothing, and no fault."""
    path = f"/v1/leases/{lease.id}/logs"
    at_end = gateway.read(CLIENT, f"{path}?follow=false&offset=10")
    beyond = gateway.read(CLIENT, f"{path}?follow=false&offset=11")

    assert (at_end.status_code, at_end.content, at_end.headers["bourse-log-next"]) == (200, b"", "10")
    assert (beyond.status_code, beyond.json()["reason"], beyond.json()["length"]) == (416, "LogOffset", 10)
    with gateway.http.stream(
        "GET", f"{path}?offset=99", headers=gateway.reading(CLIENT, f"{path}?offset=99")
    ) as response:
        (end,) = EventSource(response).iter_sse()
    assert (end.event, end.json()) == ("end", {"length": 10})


def test_who_comes_back_after_the_end_is_sent_away(gateway: Gateway, lease: SignedOrder) -> None:
    """A browser's EventSource asks again until it gets a 204; who has missed the ``end`` gets it."""
    path = f"/v1/leases/{lease.id}/logs"
    with gateway.http.stream("GET", path, headers=gateway.reading(CLIENT, path)) as response:
        *_, log, end = EventSource(response).iter_sse()

    assert (log.id, end.event, end.id) == ("10", "end", "10-end")
    again = gateway.read(CLIENT, path, **{"Last-Event-ID": end.id})
    assert (again.status_code, again.content) == (204, b"")
    missed = gateway.read(CLIENT, path, **{"Last-Event-ID": log.id})
    assert (missed.status_code, "event: end" in missed.text) == (200, True)


def test_an_offer_looks_the_same_in_its_event(gateway: Gateway, offer: Offer) -> None:
    """Who has read the event needs not read the resource."""
    listed = [
        entry.payload["fields"] for entry in gateway.board.read_events("0") if entry.payload["name"] == "OfferListed"
    ]
    resource = gateway.http.get(f"/v1/offers/{offer.id}").json()

    assert (listed[-1]["offer"], listed[-1]["provider"]) == (offer.id, offer.provider)
    assert listed[-1]["value"].items() <= resource.items()
