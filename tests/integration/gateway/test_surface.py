"""The whole surface: reads, pages, events, health, OpenAPI, and that every error is a problem."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource

from marketplace.api.accounts import ProviderAnswer
from marketplace.api.health import ReadyAnswer
from marketplace.api.market import ClassPage, MarketAnswer
from marketplace.api.offers import BookAnswer, OfferAnswer, OfferPage, PriceAnswer
from marketplace.api.problems import ProblemTold
from marketplace.chain.contracts import Signature, contract_abi
from marketplace.chain.devnet import increase_time, mine
from marketplace.domain.classes import load_classes
from marketplace.domain.offers import Offer
from marketplace.domain.policy import DEFAULT
from marketplace.domain.wire import offer_from_wire
from marketplace.gateway.app import create_app
from tests.integration.gateway.conftest import (
    ARBITER,
    CLIENT,
    DOLLAR,
    MACHINE,
    OPENER,
    OTHER_PROVIDER,
    PROVIDER,
    STRANGER,
    Gateway,
    running,
)
from tests.integration.gateway.forms import check_form


def test_the_market_introduces_itself(gateway: Gateway) -> None:
    """Addresses, constants, and the address that an order should name as its opener."""
    told = gateway.http.get("/v1/market").json()

    check_form(MarketAnswer, told)
    terms = gateway.market.terms()
    assert (told["market"], told["chainId"], told["token"]["decimals"]) == (terms.market, terms.chain_id, 6)
    assert (told["opener"], told["arbiter"]) == (OPENER.address, ARBITER.address)
    assert told["challengeWindow"] == terms.challenge_window
    assert told["block"]["hash"] == gateway.chain.head().hash


def test_the_abi_is_published(gateway: Gateway) -> None:
    """As the compiler wrote it: a library that has nothing else makes calls by it, and knows every error by its selector."""
    told = gateway.http.get("/v1/market/abi")

    assert told.json() == contract_abi("ComputeMarket").document
    errors = {Signature.of(item).selector for item in told.json() if item["type"] == "error"}
    assert errors == {error.selector for error in contract_abi("ComputeMarket").errors.values()}
    assert gateway.http.get("/v1/market/abi", headers={"If-None-Match": told.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["/v1/classes", "/v1/offers/classes"])
def test_the_classes_are_the_catalogues(gateway: Gateway, path: str) -> None:
    """Numbers, names and memory of every class."""
    told = gateway.http.get(path).json()

    check_form(ClassPage, told)
    assert [(row["class"], row["name"], row["vramMib"]) for row in told["items"]] == [
        (row.number, row.name, row.vram_mib) for row in load_classes()
    ]


def test_offers_come_in_pages_with_their_machines(gateway: Gateway, offer: Offer) -> None:
    """Each offer once; what the machine is said to be, and that nobody measured it."""
    others = [gateway.list(gpus=1) for _ in range(4)]
    dead = gateway.list(expires_at=gateway.now() + 1)
    increase_time(gateway.chain, 5)
    gateway.sync()
    found, after = [], None
    while True:
        query = {"limit": "2", **({"after": after} if after else {})}
        told = gateway.http.get("/v1/offers", params=query).json()
        check_form(OfferPage, told)
        found += told["items"]
        after = told["next"]
        if after is None:
            break

    ids = [row["id"] for row in found]
    assert ids == sorted({*ids, offer.id, *(other.id for other in others)})
    assert dead.id not in ids
    whole, short = (gateway.http.get(f"/v1/offers?limit={len(ids) - less}").json() for less in (0, 1))
    assert (whole["next"], short["next"]) == (None, str(ids[-2])), "what ends with a page has no next one"
    assert dead.id in [row["id"] for row in gateway.http.get("/v1/offers?listed=false&limit=100").json()["items"]]
    told = gateway.http.get(f"/v1/offers/{offer.id}").json()
    check_form(OfferAnswer, told)
    assert offer_from_wire(told) == gateway.market.offer_of(offer.id)
    assert told["machine"] == json.loads(MACHINE.canonical())
    assert told["machine"]["measured"] is False
    assert told["className"] == "RTX4090"


def test_offers_are_filtered(gateway: Gateway, offer: Offer) -> None:
    """By class, by number or name, and by provider."""
    for query, is_there in (
        ("class=1", True), ("class=rtx4090", True), ("class=2", False),
        (f"provider={offer.provider}", True), (f"provider={CLIENT.address}", False),
    ):  # fmt: skip
        items = gateway.http.get(f"/v1/offers?limit=100&{query}").json()["items"]
        assert (offer.id in [row["id"] for row in items]) is is_there, query


def test_a_book_has_two_sides(gateway: Gateway, offer: Offer) -> None:
    """Asks with their machines, cheapest first; bids without their signatures, highest first."""
    gateway.write(PROVIDER, "POST", "/v1/heartbeats", b"{}")
    cheap, dear = gateway.signed(max_price=2 * DOLLAR), gateway.signed(max_price=4 * DOLLAR)
    for signed in (cheap, dear):
        assert gateway.post_order(signed).status_code == 201
    gateway.sync()

    for path in ("/v1/book/RTX4090", "/v1/offers/book/1"):
        told = gateway.http.get(path).json()
        check_form(BookAnswer, told)
        bids = [row["id"] for row in told["bids"]]
        assert bids.index(dear.id) < bids.index(cheap.id)
        assert offer.id in [row["id"] for row in told["asks"]]
        assert dear.signature not in json.dumps(told)
    price = gateway.http.get("/v1/prices/RTX4090").json()
    check_form(PriceAnswer, price)
    assert price["lowestAsk"] == str(2 * DOLLAR)
    assert price["average"] is None


def test_a_price_is_one_that_is_to_be_had(gateway: Gateway, offer: Offer) -> None:
    """Neither an offer without a free GPU counts, nor one whose provider has fallen silent; the list of offers says which are."""
    full, silent = gateway.list(price=DOLLAR, gpus=1), gateway.list(OTHER_PROVIDER, price=DOLLAR // 2, gpus=1)
    signed = gateway.signed(gpus=1)
    assert gateway.post_order(signed).status_code == 201
    gateway.open(signed, full)
    gateway.write(OTHER_PROVIDER, "POST", "/v1/heartbeats", b"{}")
    increase_time(gateway.chain, DEFAULT.heartbeat_seconds + 1)
    gateway.write(PROVIDER, "POST", "/v1/heartbeats", b"{}")
    gateway.sync()

    price = gateway.http.get("/v1/prices/RTX4090").json()

    rows = {row["id"]: row for row in gateway.http.get("/v1/offers?limit=100").json()["items"]}
    mine = [row for row in rows.values() if row["provider"] == PROVIDER.address]
    assert (rows[silent.id]["listed"], rows[silent.id]["silent"], rows[full.id]["silent"]) == (True, True, False)
    assert gateway.http.get("/v1/market").json()["maxSilenceSeconds"] == DEFAULT.heartbeat_seconds
    assert price["lowestAsk"] == str(min(int(row["price"]) for row in mine if row["free"]))
    assert price["gpusFree"] == sum(row["free"] for row in mine)


def test_a_provider_is_shown(gateway: Gateway, offer: Offer) -> None:
    """Offers and the last sign of life."""
    gateway.write(PROVIDER, "POST", "/v1/heartbeats", b"{}")

    told = gateway.http.get(f"/v1/providers/{PROVIDER.address.upper().replace('0X', '0x')}").json()

    check_form(ProviderAnswer, told)
    assert offer.id in [row["id"] for row in told["offers"]]
    assert told["lastHeartbeat"] is not None


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/", 404, "NotFound"),
        ("GET", "/v1", 404, "NotFound"),
        ("GET", "/v1/orders/", 404, "NotFound"),
        ("GET", "/v1/orders/0x" + "1" * 64, 404, "NotFound"),
        ("GET", "/v1/orders/0x" + "1" * 64 + "/explanation", 404, "NotFound"),
        ("GET", "/v1/orders/x/explanation", 422, "InvalidField"),
        ("GET", "/v1/orders/x", 422, "InvalidField"),
        ("GET", "/v1/orders", 422, "InvalidField"),
        ("GET", "/v1/orders?client=me", 422, "InvalidField"),
        ("GET", "/v1/offers/1x", 422, "InvalidField"),
        ("GET", "/v1/offers/999999", 404, "NotFound"),
        ("GET", "/v1/offers?class=RTX9999", 422, "InvalidField"),
        ("GET", "/v1/offers?class=9999", 422, "InvalidField"),
        ("GET", "/v1/offers?limit=0", 422, "InvalidField"),
        ("GET", "/v1/offers?limit=101", 422, "InvalidField"),
        ("GET", "/v1/offers?limit=\uff15", 422, "InvalidField"),
        ("GET", "/v1/offers?after=-1", 422, "InvalidField"),
        ("GET", "/v1/offers?listed=yes", 422, "InvalidField"),
        ("GET", "/v1/book/RTX9999", 422, "InvalidField"),
        ("GET", "/v1/book/999999999999999999999", 422, "InvalidField"),
        ("GET", "/v1/prices/%00", 422, "InvalidField"),
        ("GET", "/v1/accounts/0x12", 422, "InvalidField"),
        ("GET", "/v1/providers/me", 422, "InvalidField"),
        ("GET", "/v1/leases/0x" + "1" * 64, 404, "NotFound"),
        ("GET", "/v1/events?after=x", 422, "InvalidField"),
        ("GET", "/v1/events?after=" + "9" * 30, 422, "InvalidField"),
        ("PUT", "/v1/orders", 405, "MethodNotAllowed"),
        ("DELETE", "/v1/market", 405, "MethodNotAllowed"),
        ("POST", "/live", 405, "MethodNotAllowed"),
        ("PROPFIND", "/v1/orders", 405, "MethodNotAllowed"),
    ],
)
def test_every_error_is_a_problem(gateway: Gateway, method: str, path: str, status: int, reason: str) -> None:
    """Also those that no route of ours makes."""
    answer = gateway.http.request(method, path)

    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    check_form(ProblemTold, problem)
    assert (answer.status_code, problem["status"], problem["reason"]) == (status, status, reason)
    assert problem["type"] == f"urn:compute-bourse:problem:{reason}"
    if status == 405:
        assert answer.headers["allow"]


def test_events_arrive_as_they_happen(gateway: Gateway, offer: Offer) -> None:
    """A reader of now sees the next deposit; a reader that was away resumes behind what it saw."""
    seen: list[Any] = []
    listening = threading.Event()

    def follow() -> None:
        with httpx.stream("GET", f"{gateway.url}/v1/events", timeout=20, trust_env=False) as response:
            listening.set()
            for event in EventSource(response).iter_sse():
                seen.append(event)
                if event.event == "Deposited":
                    return

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        assert listening.wait(10)
        gateway.fund(STRANGER, DOLLAR)
        following.result(20)

    deposited = seen[-1].json()
    assert deposited["fields"]["account"] == STRANGER.address
    earlier = gateway.board.read_events("0")[-2].id
    with gateway.http.stream("GET", "/v1/events", headers={"Last-Event-ID": earlier}) as response:
        first = next(EventSource(response).iter_sse())
    assert (first.event, first.id) == ("Deposited", seen[-1].id)


def test_health_is_told(gateway: Gateway) -> None:
    """Alive; ready with the blocks that it goes by; numbers for Prometheus by route, never by id."""
    mine(gateway.chain)
    gateway.sync()
    assert gateway.http.get("/live").json() == {"live": True}
    ready = gateway.http.get("/ready")
    assert ready.status_code == 200, ready.text
    check_form(ReadyAnswer, ready.json())
    head = gateway.chain.head().number
    assert [ready.json()[block]["number"] for block in ("head", "projection")] == [head, head]
    gateway.http.get("/v1/orders/0x" + "1" * 64)

    numbers = gateway.http.get("/metrics").text

    assert 'bourse_gateway_requests_total{method="GET",route="/v1/orders/{order_id}",status="404"}' in numbers
    assert "0x1111" not in numbers


def test_openapi_describes_every_route(gateway: Gateway) -> None:
    """Bodies, answers and problems; every reference in it leads somewhere."""
    document = gateway.http.get("/openapi.json").json()

    shapes = document["components"]["schemas"]
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in shapes, reference
    assert "#/$defs/" not in text
    assert "HTTPValidationError" not in text
    post = document["paths"]["/v1/orders"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/OrderSubmission"
    }
    assert set(post["responses"]) == {"200", "201", "default"}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert "application/problem+json" in operation["responses"]["default"]["content"], (method, path)
    assert {"/v1/quotes", "/v1/heartbeats", "/v1/leases/{lease_id}/logs", "/v1/blobs/{name}", "/ready"} <= set(
        document["paths"]
    )


def test_openapi_says_who_asks_and_what_comes_back(gateway: Gateway) -> None:
    """Signed writes, reads with a signature or a session, and the media types of what is no JSON."""
    document = gateway.http.get("/openapi.json").json()
    paths, schemes = document["paths"], document["components"]["securitySchemes"]

    def content(path: str, method: str = "get") -> set[str]:
        return set(paths[path][method]["responses"]["200"]["content"])

    assert document["servers"] == [{"url": "/"}]
    assert {scheme["type"] for scheme in schemes.values()} == {"apiKey", "http"}
    assert paths["/v1/blobs/{name}"]["put"]["security"] == [
        {"bourseAccount": [], "bourseTime": [], "bourseSignature": []}
    ]
    assert {"bourseSession": []} in paths["/v1/leases/{lease_id}/outputs"]["get"]["security"]
    assert "security" not in paths["/v1/offers"]["get"]
    headers = [one for one in paths["/v1/heartbeats"]["post"]["parameters"] if one["in"] == "header"]
    assert [(one["name"], one["required"]) for one in headers] == [
        ("Bourse-Account", True), ("Bourse-Time", True), ("Bourse-Signature", True),
    ]  # fmt: skip
    assert content("/v1/blobs/{name}") == {"application/octet-stream"}
    assert content("/v1/leases/{lease_id}/logs") == {"text/event-stream", "text/plain"}
    assert content("/v1/events") == {"text/event-stream"}
    assert content("/metrics") == {"text/plain"}


def test_the_docs_are_a_page_of_our_own(gateway: Gateway) -> None:
    """Every route is on it, and nothing in it is fetched from anywhere."""
    page = gateway.http.get("/docs")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "src=" not in page.text
    assert "<script" not in page.text
    assert all(path.replace("'", "") in page.text for path in gateway.http.get("/openapi.json").json()["paths"])


def test_streams_end_when_the_server_stops(gateway: Gateway) -> None:
    """A reader of events does not keep a stopping server alive, and is told that this is not the end."""
    listening = threading.Event()

    def follow(url: str) -> list[str]:
        with httpx.stream("GET", f"{url}/v1/events", timeout=20, trust_env=False) as response:
            listening.set()
            return list(response.iter_lines())

    with ThreadPoolExecutor(1) as pool:
        with running(create_app(gateway.app.state.desks)) as url:
            following = pool.submit(follow, url)
            assert listening.wait(10)
        # ``running`` has waited for the server; it would have complained about one that hangs.
        lines = following.result(10)

    assert "event: problem" in lines
    assert "GatewayStopping" in "".join(lines)


def test_no_parameter_says_null_and_each_says_what_it_takes(gateway: Gateway) -> None:
    """A parameter that may be left out is of one type; duties, shares and classes are told apart before anything is sent."""
    paths = gateway.http.get("/openapi.json").json()["paths"]
    shown = {
        (path, parameter["name"]): parameter["schema"]
        for path, methods in paths.items() for operation in methods.values() for parameter in operation.get("parameters", ())
    }  # fmt: skip

    assert not [place for place, schema in shown.items() if "anyOf" in schema or not {"type", "enum"} & schema.keys()]
    assert shown["/ready", "for"]["enum"] == ["book", "events", "files", "orders", "receipts"]
    assert re.fullmatch(shown["/v1/leases/{lease_id}/logs", "share"]["pattern"], f"log.17.0x{'ab' * 20}.0x{'cd' * 65}")
    assert not re.fullmatch(shown["/v1/leases/{lease_id}/logs", "share"]["pattern"], "log")
    classes = shown["/v1/book/{class_name}", "class_name"]["pattern"]
    assert [bool(re.fullmatch(classes, text)) for text in ("RTX4090", "51", "52", "007", "RTX9999")] == [
        True,
        True,
        False,
        False,
        False,
    ]
